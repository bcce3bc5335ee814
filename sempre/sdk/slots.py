"""Slots of concurrency limits, taken with a lease, and rates."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future as Handle
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

from sempre.client import ApiRefused, ObjectNotFound, backstage, get_client
from sempre.sdk.context import FlowRunContext, TaskRunContext
from sempre.sdk.engine.timeouts import interrupt_thread
from sempre.sdk.errors import SempreException
from sempre.sdk.slot_events import tell_slots

__all__ = [
    "AcquireConcurrencySlotTimeoutError",
    "ConcurrencySlotAcquisitionError",
    "aconcurrency",
    "arate_limit",
    "concurrency",
    "rate_limit",
]

Names = str | list[str]
_RENEW_AT = 0.75  # of a lease's duration


class ConcurrencySlotAcquisitionError(SempreException):
    """The slots could not be taken, or were lost."""


class AcquireConcurrencySlotTimeoutError(SempreException, TimeoutError):
    """The slots did not become free in time."""


class _SlotsLost(ConcurrencySlotAcquisitionError):
    """Raised in code whose slots were lost."""


@contextmanager
def concurrency(
    names: Names,
    occupy: int = 1,
    timeout_seconds: float | None = None,
    max_retries: int | None = None,
    lease_duration: float = 300,
    strict: bool = False,
) -> Iterator[None]:
    """Hold ``occupy`` slots of each of these limits inside of the block; waits until they are free.

    The lease on them is renewed from outside of this thread. Names without a limit hold nothing up, unless
    ``strict``: then ConcurrencySlotAcquisitionError is raised, here or, when the slots are lost, inside of the block.
    AcquireConcurrencySlotTimeoutError after ``timeout_seconds`` or ``max_retries`` attempts.
    """
    thread = threading.get_ident()
    held = backstage.run(_acquire(_listed(names), occupy, timeout_seconds, max_retries, lease_duration, strict))
    if held is None:
        yield
        return
    held.renew(lambda: interrupt_thread(thread, _SlotsLost))
    try:
        yield
    finally:
        backstage.run(held.release())


@asynccontextmanager
async def aconcurrency(
    names: Names,
    occupy: int = 1,
    timeout_seconds: float | None = None,
    max_retries: int | None = None,
    lease_duration: float = 300,
    strict: bool = False,
) -> AsyncIterator[None]:
    """As :func:`concurrency`, for coroutines."""
    held = await _acquire(_listed(names), occupy, timeout_seconds, max_retries, lease_duration, strict)
    if held is None:
        yield
        return
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    if task is None:
        raise RuntimeError("slots are held by tasks of a loop")
    lost: list[bool] = []

    def end() -> None:
        lost.append(True)
        loop.call_soon_threadsafe(task.cancel)

    held.renew(end)
    try:
        yield
    except asyncio.CancelledError:
        if lost and task.uncancel() == 0:
            raise ConcurrencySlotAcquisitionError(f"The slots of {held.names} were lost.") from None
        raise
    finally:
        await held.release()


async def arate_limit(
    names: Names, occupy: int = 1, timeout_seconds: float | None = None, strict: bool = False
) -> None:
    """As :func:`rate_limit`, for coroutines."""
    wanted = _listed(names)

    async def take() -> Any:
        return await get_client().increment_concurrency_slots(wanted, occupy, "rate_limit")

    limits = await _patiently(take, wanted, timeout_seconds, None)
    if strict and not limits:
        raise ConcurrencySlotAcquisitionError(f"There is no limit for any of {wanted}.")
    tell_slots("acquired", _plain(limits))


def rate_limit(names: Names, occupy: int = 1, timeout_seconds: float | None = None, strict: bool = False) -> None:
    """Wait until ``occupy`` more are within the rate of each of these limits. Nothing is given back: slots decay.

    AcquireConcurrencySlotTimeoutError after ``timeout_seconds``.
    """
    backstage.run(arate_limit(names, occupy, timeout_seconds, strict))


class _Held:
    """Slots that this process holds."""

    def __init__(self, names: list[str], lease: UUID, duration: float, strict: bool, limits: list[Any]) -> None:
        self.names = names
        self._lease = lease
        self._duration = duration
        self._strict = strict
        self._since = time.monotonic()
        self._renewal: Handle[None] | None = None
        self._limits = _plain(limits)
        self._events = tell_slots("acquired", self._limits)

    def renew(self, lost: Callable[[], None]) -> None:
        self._renewal = backstage.spawn(self._renew(lost))

    async def release(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        await get_client().release_concurrency_slots_with_lease(self._lease)
        tell_slots("released", self._limits, self._events)

    async def _renew(self, lost: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(self._duration * _RENEW_AT)
            try:
                await get_client().renew_concurrency_lease(self._lease, self._duration)
            except (ObjectNotFound, ApiRefused) as error:
                if self._strict:
                    lost()
                else:
                    logging.getLogger("sempre.concurrency").warning(f"The slots of {self.names} were lost: {error}")
                return


async def _acquire(
    names: list[str], occupy: int, timeout: float | None, attempts: int | None, duration: float, strict: bool
) -> _Held | None:
    if not names:
        return None

    async def take() -> Any:
        return await get_client().increment_concurrency_slots_with_lease(
            names, occupy, "concurrency", duration, holder=_holder()
        )

    told = await _patiently(take, names, timeout, attempts)
    if not told.limits:
        if strict:
            raise ConcurrencySlotAcquisitionError(f"There is no limit for any of {names}.")
        return None
    return _Held(names, told.lease_id, duration, strict, list(told.limits))


async def _patiently(take: Callable[[], Any], names: list[str], timeout: float | None, attempts: int | None) -> Any:
    """Ask again when the server says so, for as long as is wanted."""
    deadline = None if timeout is None else time.monotonic() + timeout
    made = 0
    while True:
        try:
            return await take()
        except ApiRefused as refused:
            if refused.status_code != 423:
                raise ConcurrencySlotAcquisitionError(f"No slots of {names} could be taken: {refused}") from refused
            wait = max(refused.retry_after or 1.0, 0.05)
        made += 1
        if attempts is not None and made > attempts:
            raise AcquireConcurrencySlotTimeoutError(f"The slots of {names} were not free in {made} attempts.")
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise AcquireConcurrencySlotTimeoutError(f"The slots of {names} were not free within {timeout} s.")
        await asyncio.sleep(wait if left is None else min(wait, left))


def _holder() -> dict[str, str] | None:
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    if task is not None:
        return {"type": "task_run", "id": str(task.task_run.id)}
    return None if flow is None else {"type": "flow_run", "id": str(flow.flow_run.id)}


def _plain(limits: list[Any]) -> list[dict[str, Any]]:
    return [{"id": each.id, "name": each.name, "limit": each.limit} for each in limits]


def _listed(names: Names) -> list[str]:
    return [names] if isinstance(names, str) else sorted(set(names))
