"""Reaching code that runs in threads: of a flow that has ended, the tasks that are still running are interrupted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sempre.sdk.engine.timeouts import interrupt_thread
from sempre.sdk.errors import TerminationSignal

__all__ = ["Interruptions", "current"]


class Interruptions:
    """What can be interrupted at this moment: the calls of user code in the threads of one task runner.

    TerminationSignal is raised in plain functions the next time they execute Python code (a wait inside of C code ends
    by itself first), coroutines are cancelled. Nothing else is interrupted: how a run ended is always told.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._calls: dict[object, Callable[[], None]] = {}

    @property
    def over(self) -> bool:
        """Whether this was interrupted."""
        return self._over.is_set()

    def interrupt(self) -> None:
        """Once: end what runs, and what would begin from now on."""
        with self._lock:
            if self._over.is_set():
                return
            self._over.set()
            for end in self._calls.values():
                end()

    @contextmanager
    def thread(self) -> Iterator[None]:
        """Around user code in the calling thread. What is inside of another such block ends with that."""
        me = threading.get_ident()
        with self._lock:
            self._raise_if_over()
            outermost = me not in self._calls
            if outermost:
                self._calls[me] = lambda: interrupt_thread(me, TerminationSignal)
        try:
            yield
        finally:
            # Interrupted right here, the entry stays, and nobody ever looks at it again.
            with self._lock:
                if outermost:
                    self._calls.pop(me, None)

    @contextmanager
    def coroutine(self) -> Iterator[None]:
        """Around an await of user code in the calling task of a loop."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        key = object()

        def cancel() -> None:
            if key in self._calls and task is not None:
                task.cancel()

        with self._lock:
            self._raise_if_over()
            self._calls[key] = lambda: _soon(loop, cancel)
        try:
            yield
        finally:
            with self._lock:
                del self._calls[key]

    def sleep(self, seconds: float) -> None:
        """As `time.sleep`. Raises TerminationSignal when interrupted."""
        if self._over.wait(seconds):
            raise TerminationSignal

    def _raise_if_over(self) -> None:
        if self._over.is_set():
            raise TerminationSignal


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(call)


# Of the task runner in one of whose threads this is; None anywhere else, where a signal reaches.
current: ContextVar[Interruptions | None] = ContextVar("sempre_interruptions", default=None)
