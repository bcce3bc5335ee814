"""Futures: runs that were started and not waited for."""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Generic, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from sempre.sdk.states import Pending, State

__all__ = ["DoneAndNotDone", "Future", "FutureList", "as_completed", "resolve_futures_to_states", "wait"]

R = TypeVar("R")
_Inner: TypeAlias = "cf.Future[State[Any]]"
_SLICE_SECONDS = 0.25


class Future(Generic[R]):
    """A task run that goes on elsewhere.

    Passed to another task, it stands for its value and makes that task wait for it.
    """

    is_future: ClassVar[bool] = True

    def __init__(self, task_run_id: UUID) -> None:
        self._task_run_id = task_run_id
        self._inner: cf.Future[State[R]] = cf.Future()

    @property
    def task_run_id(self) -> UUID:
        return self._task_run_id

    @property
    def state(self) -> State[R]:
        """The state that the run ended in; PENDING until then."""
        return self._inner.result() if self._inner.done() else Pending()

    def done(self) -> bool:
        return self._inner.done()

    def wait(self, timeout: float | None = None) -> None:
        """Return once the run has ended, or after ``timeout`` seconds."""
        _wait((self._inner,), timeout)

    async def wait_async(self, timeout: float | None = None) -> None:
        """As :meth:`wait`, for coroutines."""
        if not self._inner.done():
            await asyncio.wait((asyncio.wrap_future(self._inner),), timeout=timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """The run's value, waited for; its exception is raised, or returned if not ``raise_on_failure``.

        Raises TimeoutError after ``timeout`` seconds, UnfinishedRun if the run never started.
        """
        if not self._inner.done():
            _wait((self._inner,), timeout)
        if not self._inner.done():
            raise TimeoutError(f"Task run {self._task_run_id} did not end within {timeout} seconds")
        return self._inner.result().result(raise_on_failure)

    async def result_async(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """As :meth:`result`, for coroutines."""
        await self.wait_async(timeout)
        return self.result(0, raise_on_failure)

    def add_done_callback(self, fn: Callable[[Future[R]], None]) -> None:
        """Call ``fn(future)`` when the run has ended, at once if it has."""
        self._inner.add_done_callback(lambda _: fn(self))

    def resolve(self, state: State[R]) -> None:
        """Say how the run ended. For task runners."""
        if not self._inner.done():
            self._inner.set_result(state)

    def __reduce__(self) -> Any:
        """A future crosses process borders as the state that it ended in."""
        self.wait()
        return _state_of, (self.state,)

    def __repr__(self) -> str:
        return f"<Future of task run {self._task_run_id}: {self.state}>"


class FutureList(list["Future[R]"]):
    """What `map` returns: a list of futures that can be waited for as one."""

    def wait(self, timeout: float | None = None) -> None:
        wait(self, timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[R]:
        """The values in order. Raises TimeoutError if they are not there after ``timeout`` seconds altogether."""
        _wait([future._inner for future in self], timeout)
        return [future.result(0 if timeout is not None else None, raise_on_failure) for future in self]


class DoneAndNotDone(NamedTuple):
    done: set[Future[Any]]
    not_done: set[Future[Any]]


def wait(futures: Iterable[Future[Any]], timeout: float | None = None) -> DoneAndNotDone:
    """Wait until all futures are done, or ``timeout`` seconds have passed."""
    by_inner = {future._inner: future for future in futures}
    done, waiting = _wait(by_inner, timeout)
    return DoneAndNotDone({by_inner[each] for each in done}, {by_inner[each] for each in waiting})


def as_completed(futures: Iterable[Future[R]], timeout: float | None = None) -> Iterator[Future[R]]:
    """The futures in the order in which they end. Raises TimeoutError after ``timeout`` seconds."""
    by_inner = {future._inner: future for future in futures}
    for each in cf.as_completed(by_inner, timeout):
        yield by_inner[each]


def resolve_futures_to_states(value: Any) -> Any:
    """``value`` with states in place of the futures in it, each waited for."""
    from sempre.sdk.inputs import to_states

    return to_states(value)


def _wait(inner: Iterable[_Inner], timeout: float | None) -> tuple[set[_Inner], set[_Inner]]:
    """In the main thread a signal ends a wait; in others an interruption is seen between two short ones."""
    futures = set(inner)
    if threading.current_thread() is threading.main_thread():
        return cf.wait(futures, timeout)
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = _SLICE_SECONDS if deadline is None else min(_SLICE_SECONDS, max(0.0, deadline - time.monotonic()))
        done, waiting = cf.wait(futures, left)
        if not waiting or (deadline is not None and time.monotonic() >= deadline):
            return done, waiting


def _state_of(state: State[Any]) -> State[Any]:
    return state
