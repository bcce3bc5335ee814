"""What runs tell in processes that need not reach the API: carried home, live where there is a way, and with the
result in any case."""

from __future__ import annotations

import threading
from contextvars import ContextVar, copy_context
from typing import Any
from uuid import uuid4

import cloudpickle

from sempre.sdk.engine.world import current_world, known_world, set_world
from sempre.sdk.runners.portable import ForwardingWorld, Tell, execute_packed

__all__ = ["Told", "execute_carrying"]

_telling: ContextVar[Tell | None] = ContextVar("sempre_telling", default=None)


class Told:
    """Passes on what calls elsewhere tell, each thing once, by the settings of whoever made this. Thread-safe."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        self._silent = False
        self._context = copy_context()

    def __call__(self, kind: str, content: dict[str, Any]) -> None:
        with self._lock:
            known = self._silent or content["id"] in self._seen
            self._seen.add(content["id"])
        if not known:
            world = current_world()
            self._context.copy().run(world.emit if kind == "event" else world.log, content)

    def silence(self) -> None:
        """Pass on nothing more: the calls are given up, and what they still tell would contradict that."""
        with self._lock:
            self._silent = True

    def result(self, carried: bytes) -> bytes:
        """The packed result of a call that :func:`execute_carrying` made, after what came with it was passed on."""
        packed: bytes
        told, packed = cloudpickle.loads(carried)
        for kind, content in told:
            self(kind, content)
        return packed


def execute_carrying(packed: bytes, live: Tell | None = None) -> bytes:
    """Execute a packed call in this thread; returns its result and what was told meanwhile. ``live`` is told at once,
    too. In the process of the flow itself nothing has to be carried."""
    told: list[tuple[str, dict[str, Any]]] = []

    def tell(kind: str, content: dict[str, Any]) -> None:
        named = content if "id" in content else {"id": str(uuid4()), **content}
        told.append((kind, named))
        if live is not None:
            live(kind, named)

    if known_world() is None:
        set_world(ForwardingWorld(_tell))
    token = _telling.set(tell)
    try:
        result = execute_packed(packed)
    finally:
        _telling.reset(token)
    carried: bytes = cloudpickle.dumps((told, result))
    return carried


def _tell(kind: str, content: dict[str, Any]) -> None:
    tell = _telling.get()
    if tell is not None:
        tell(kind, content)
