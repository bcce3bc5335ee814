"""The loop behind the scenes: one daemon thread per process in which all I/O of the client happens.

What runs there does not wait for the user's code: heartbeats, leases and deliveries go on while a flow computes.
Nothing in it may block.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["arun", "at_close", "at_exit", "close", "is_here", "loop", "run", "spawn"]

T = TypeVar("T")

EXIT_SECONDS = 10.0
"""Longest that the end of the process waits for what is still to be delivered."""

Flush = Callable[[float], Awaitable[None]]


class _Stage:
    """The thread and its loop. After a fork the child builds another."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.flushes: list[Flush] = []
        self.closings: list[Callable[[], Awaitable[None]]] = []
        self.thread = threading.Thread(target=self._play, name="sempre-backstage", daemon=True)
        self.thread.start()

    def _play(self) -> None:
        _here.stage = self
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def close(self, seconds: float) -> None:
        """Flush, all at the same time, then end the loop."""
        if not self.thread.is_alive():
            return
        ending = asyncio.run_coroutine_threadsafe(self._end(seconds), self.loop)
        with contextlib.suppress(concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
            ending.result(seconds + 1)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(1)
        if not self.thread.is_alive():
            self.loop.close()

    async def _end(self, seconds: float) -> None:
        flushes = [asyncio.ensure_future(_bounded(flush, seconds)) for flush in reversed(self.flushes)]
        await asyncio.gather(*flushes, return_exceptions=True)
        await asyncio.gather(*(closing() for closing in self.closings), return_exceptions=True)
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.wait(rest, timeout=1) if rest else None
        await self.loop.shutdown_asyncgens()


async def _bounded(flush: Flush, seconds: float) -> None:
    await asyncio.wait_for(flush(seconds), seconds)


_stage: _Stage | None = None
_lock = threading.Lock()
_here = threading.local()


def _current() -> _Stage:
    global _stage
    stage = _stage
    if stage is None:
        with _lock:
            if _stage is None:
                _stage = _Stage()
            stage = _stage
    return stage


def loop() -> asyncio.AbstractEventLoop:
    """The loop of this process; the thread is started if it is not running yet."""
    return _current().loop


def is_here() -> bool:
    """Whether the caller runs in the backstage's own thread, or in that of one that is about to end: what is cancelled
    then cleans up in the loop that it has always been in."""
    return hasattr(_here, "stage")


def spawn(work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Begin `work` backstage. It sees the caller's context variables."""
    return asyncio.run_coroutine_threadsafe(work, loop())


def run(work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
    """Do `work` backstage and wait for it, for at most `timeout` seconds (TimeoutError then). If the caller is
    interrupted, so is the work. RuntimeError when called from the backstage itself, which would wait for itself."""
    if is_here():
        work.close()
        raise RuntimeError("the backstage cannot wait for itself; await the coroutine instead")
    future = spawn(work)
    try:
        return future.result(timeout)
    except BaseException:
        future.cancel()
        raise


async def arun(work: Coroutine[Any, Any, T]) -> T:
    """Do `work` backstage and wait for it in the caller's loop. Cancelling the caller cancels the work."""
    if is_here():
        return await work
    return await asyncio.wrap_future(spawn(work))


def at_exit(flush: Flush) -> None:
    """Have `flush(seconds)` called backstage when the process ends; it has so many seconds."""
    _current().flushes.append(flush)


def at_close(closing: Callable[[], Awaitable[None]]) -> None:
    """Have `closing()` called backstage once everything is flushed."""
    _current().closings.append(closing)


def close(seconds: float = EXIT_SECONDS) -> None:
    """Flush and end the backstage; the next use starts another."""
    global _stage
    with _lock:
        stage, _stage = _stage, None
    if stage is not None:
        stage.close(seconds)


after_fork: list[Callable[[], None]] = []
"""What the modules of this package forget in a forked child."""


def _forget() -> None:
    # Only the thread that forked lives on in the child: the loop, its sockets and its locks belong to the parent.
    global _stage, _lock
    _stage, _lock = None, threading.Lock()
    for forget in after_fork:
        forget()


atexit.register(close)
# By then no executor works any more, and looking up a host's name needs one: the first flush comes before that, the
# other is for what threads ship that outlast the main one.
if hasattr(threading, "_register_atexit"):
    threading._register_atexit(close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
