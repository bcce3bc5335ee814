"""Tasks in threads of this process."""

from __future__ import annotations

import contextvars
import sys
from concurrent.futures import Future as Handle
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from sempre.sdk.futures import Future
from sempre.sdk.returned import crashed
from sempre.sdk.runners.base import TaskRunner, execute
from sempre.settings import get_current_settings

if TYPE_CHECKING:
    from sempre.sdk.engine.task_run import TaskCall

__all__ = ["ThreadPoolTaskRunner"]


class ThreadPoolTaskRunner(TaskRunner):
    """Up to ``max_workers`` tasks at a time, each in a thread; as many as there are by default."""

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__()
        if max_workers is not None and max_workers < 1:
            raise ValueError(f"max_workers must be at least 1, not {max_workers}")
        self._max_workers = max_workers
        self._pool: ThreadPoolExecutor | None = None

    def duplicate(self) -> Self:
        return type(self)(self._max_workers)

    def opened(self) -> None:
        self._pool = ThreadPoolExecutor(self._max_workers or _configured() or sys.maxsize, "sempre-task")

    def closed(self, failed: bool) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=failed)

    def start(self, call: TaskCall, future: Future[Any], context: contextvars.Context) -> None:
        if self._pool is None:
            raise RuntimeError("The flow has ended, so its tasks do not start any more.")
        handle = self._pool.submit(context.run, execute, call, future)
        handle.add_done_callback(lambda done: _settle(done, future))


def _configured() -> int | None:
    return get_current_settings().tasks.runner_max_workers


def _settle(handle: Handle[None], future: Future[Any]) -> None:
    """A call that was cancelled before it began resolves its future too."""
    if handle.cancelled():
        future.resolve(crashed(RuntimeError("the flow ended before this task could start")))
