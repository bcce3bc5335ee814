"""Tasks in threads of this process."""

from __future__ import annotations

import contextvars
import sys
from concurrent.futures import Future as Handle
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Self

from sempre.sdk.engine import interruptions
from sempre.sdk.futures import Future
from sempre.sdk.loggers import get_logger
from sempre.sdk.returned import crashed
from sempre.sdk.runners.base import TaskRunner, execute
from sempre.settings import get_current_settings

if TYPE_CHECKING:
    from sempre.sdk.engine.task_run import TaskCall

__all__ = ["ThreadPoolTaskRunner"]

# How long the end of an interrupted flow waits for tasks that are stuck in C code.
_PATIENCE_SECONDS = 10.0


class ThreadPoolTaskRunner(TaskRunner):
    """Up to ``max_workers`` tasks at a time, each in a thread; as many as there are by default.

    When the flow is cancelled, or its time is over, its tasks are interrupted.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__()
        if max_workers is not None and max_workers < 1:
            raise ValueError(f"max_workers must be at least 1, not {max_workers}")
        self._max_workers = max_workers
        self._pool: ThreadPoolExecutor | None = None
        self._closing: ThreadPoolExecutor | None = None
        self._interruptions: interruptions.Interruptions | None = None
        self._running: set[Handle[None]] = set()

    def duplicate(self) -> Self:
        return type(self)(self._max_workers)

    def opened(self) -> None:
        self._pool = ThreadPoolExecutor(self._max_workers or _configured() or sys.maxsize, "sempre-task")
        self._interruptions = interruptions.Interruptions()

    def closed(self, failed: bool) -> None:
        if self._pool is not None:
            self._closing, self._pool = self._pool, None
        pool = self._closing
        if pool is None:
            return
        if self._interruptions is not None and self._interruptions.over:
            pool.shutdown(wait=False, cancel_futures=True)
            stuck = len(wait(tuple(self._running), _PATIENCE_SECONDS).not_done)
            if stuck:
                get_logger("task_runners").warning(
                    f"{stuck} task(s) do not end: they wait inside of code that is not Python's. The run ends without "
                    "them; the process ends when they do."
                )
        else:
            pool.shutdown(wait=True, cancel_futures=failed)

    def interrupt(self) -> None:
        if self._interruptions is not None:
            self._interruptions.interrupt()

    def start(self, call: TaskCall, future: Future[Any], context: contextvars.Context) -> None:
        if self._pool is None:
            raise RuntimeError("The flow has ended, so its tasks do not start any more.")
        context.run(interruptions.current.set, self._interruptions)
        handle = self._pool.submit(context.run, execute, call, future)
        self._running.add(handle)
        handle.add_done_callback(lambda done: self._settle(done, future))

    def _settle(self, handle: Handle[None], future: Future[Any]) -> None:
        """A call that was cancelled before it began resolves its future too."""
        self._running.discard(handle)
        if handle.cancelled():
            future.resolve(crashed(RuntimeError("the flow ended before this task could start")))


def _configured() -> int | None:
    return get_current_settings().tasks.runner_max_workers
