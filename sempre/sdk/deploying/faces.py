"""Deploying waits for git, for image builds and for users' own modules, so it is plain code that awaits nothing."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, cast

from sempre.sdk.dual import in_coroutine

__all__ = ["awaitable", "either"]

P = ParamSpec("P")
T = TypeVar("T")


def awaitable(fn: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The plain function as a coroutine function: it is called in a thread."""

    @functools.wraps(fn)
    async def in_thread(*args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(fn, *args, **kwargs)

    return in_thread


def either(fn: Callable[P, T]) -> Callable[P, T]:
    """The plain function for everybody: inside of a coroutine the call returns what has to be awaited.

    Type checkers see the plain form.
    """

    @functools.wraps(fn)
    def face(*args: P.args, **kwargs: P.kwargs) -> T:
        if in_coroutine():
            return cast(T, asyncio.to_thread(fn, *args, **kwargs))
        return fn(*args, **kwargs)

    return face
