"""One name for two worlds: functions that block where code is plain, and are awaited where it is a coroutine."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, cast

from sempre.client import backstage

__all__ = ["dual", "in_coroutine"]

P = ParamSpec("P")
T = TypeVar("T")


def dual(fn: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """The coroutine function ``fn`` for everybody: inside of a coroutine the call returns what has to be awaited,
    everywhere else it waits for the value itself.

    Type checkers see the plain form; the coroutine function stays as ``.aio``.
    """

    @functools.wraps(fn)
    def either(*args: P.args, **kwargs: P.kwargs) -> T:
        work = fn(*args, **kwargs)
        return cast(T, work) if in_coroutine() else backstage.run(work)

    either.aio = fn  # type: ignore[attr-defined]
    return either


def in_coroutine() -> bool:
    """Whether the caller can await: a loop runs in this thread, and the innermost run is none of a plain function."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    from sempre.sdk.context import FlowRunContext, TaskRunContext

    task, flow = TaskRunContext.get(), FlowRunContext.get()
    if task is not None:
        return task.task.isasync
    return flow is None or flow.flow.isasync
