"""What the drivers need of their surroundings; the real one is :mod:`sempre.sdk.engine.backstage_world`."""

from __future__ import annotations

from typing import Any, Protocol

from sempre.sdk.engine.effects import Request
from sempre.sdk.runs import FlowRun

__all__ = ["Watch", "World", "current_world", "known_world", "set_world"]


class Watch(Protocol):
    """Looks after one flow run while its code is being executed: its heartbeats, and whether somebody cancelled or
    suspended it."""

    @property
    def cancelled(self) -> bool: ...

    @property
    def suspended(self) -> bool: ...

    def end(self) -> None: ...


class World(Protocol):
    def emit(self, event: dict[str, Any]) -> None:
        """Send an event some time; never blocks."""

    def ask(self, request: Request) -> Any:
        """The API's answer, waited for in the calling thread."""

    async def aask(self, request: Request) -> Any:
        """The API's answer, waited for in the calling loop."""

    def log(self, line: dict[str, Any]) -> None:
        """Send a line of a run some time; never blocks."""

    def watch(self, run: FlowRun, flow_name: str) -> Watch:
        """Begin to look after a run whose code the calling thread is about to execute."""


_world: World | None = None


def current_world() -> World:
    """The process's own, made at the first run."""
    global _world
    if _world is None:
        from sempre.sdk.engine.backstage_world import BackstageWorld

        _world = BackstageWorld()
    return _world


def known_world() -> World | None:
    """The process's own, if it was asked for before."""
    return _world


def set_world(world: World | None) -> World | None:
    """Put another one in its place, for tests; returns the one before."""
    global _world
    before, _world = _world, world
    return before
