"""Tasks in processes of their own."""

from __future__ import annotations

import contextlib
import contextvars
import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future as Handle
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from sempre.sdk.engine.world import current_world, set_world
from sempre.sdk.errors import TerminationSignal
from sempre.sdk.futures import Future
from sempre.sdk.runners.base import TaskRunner
from sempre.sdk.runners.portable import ForwardingWorld, execute_packed, pack, settle

if TYPE_CHECKING:
    from sempre.sdk.engine.task_run import TaskCall

__all__ = ["ProcessPoolTaskRunner"]


class ProcessPoolTaskRunner(TaskRunner):
    """Up to ``max_workers`` tasks at a time (one for each CPU by default), each in a process: for code that computes.

    Arguments and results have to be picklable (cloudpickle). Events and log lines go out through this process.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__()
        if max_workers is not None and max_workers < 1:
            raise ValueError(f"max_workers must be at least 1, not {max_workers}")
        self._max_workers = max_workers
        self._pool: ProcessPoolExecutor | None = None
        self._closing: ProcessPoolExecutor | None = None
        self._told: Any = None
        self._teller: threading.Thread | None = None
        self._children: set[int] = set()

    def duplicate(self) -> Self:
        return type(self)(self._max_workers)

    def opened(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._told = spawn.Queue()
        self._pool = ProcessPoolExecutor(
            self._max_workers, mp_context=spawn, initializer=_begin, initargs=(self._told,)
        )
        self._teller = threading.Thread(
            target=contextvars.copy_context().run, args=(self._pass_on,), name="sempre-teller", daemon=True
        )
        self._teller.start()

    def closed(self, failed: bool) -> None:
        if self._pool is not None:
            self._closing, self._pool = self._pool, None
        if self._closing is not None:
            self._closing.shutdown(wait=True, cancel_futures=failed)
        teller, self._teller = self._teller, None
        if teller is not None:
            self._told.put(None)
            teller.join()
            self._told.close()

    def interrupt(self) -> None:
        for pid in tuple(self._children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _pass_on(self) -> None:
        world = current_world()
        while (item := self._told.get()) is not None:
            kind, content = item
            if kind == "begun":
                self._children.add(content)
            else:
                (world.emit if kind == "event" else world.log)(content)

    def start(self, call: TaskCall, future: Future[Any], context: contextvars.Context) -> None:
        if self._pool is None:
            raise RuntimeError("The flow has ended, so its tasks do not start any more.")
        packed = pack(call, future)
        if packed is not None:
            handle = self._pool.submit(_execute, packed)
            handle.add_done_callback(lambda done: _settle(done, call, future))


def _settle(handle: Handle[bytes], call: TaskCall, future: Future[Any]) -> None:
    error = None if handle.cancelled() else handle.exception()
    settle(call, future, None if handle.cancelled() or error else handle.result(), error)


# In the other process


_executing = False


def _begin(told: Any) -> None:
    set_world(ForwardingWorld(lambda kind, content: told.put((kind, content))))
    signal.signal(signal.SIGTERM, _terminate)
    told.put(("begun", os.getpid()))


def _terminate(number: int, _: object) -> None:
    """SIGTERM interrupts a task. A process that has none to execute is ended by the pool."""
    if _executing:
        raise TerminationSignal(number)


def _execute(packed: bytes) -> bytes:
    global _executing
    _executing = True
    try:
        return execute_packed(packed)
    finally:
        _executing = False
