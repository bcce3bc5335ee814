"""Docket on Redis calls services when they fall due, so that one process of them all wakes and asks for the turn.

A call is a hint: who takes the turn is decided by its row. So calls may come late, twice or never, and whatever happens
to Redis costs no more than the moment until somebody looks at the rows (``GRACE_SECONDS``).

Processes that run the same services share a docket, named by them; a process of other services has another one. So
nobody is ever called for what it does not run, and no service depends on a process that does not know it.
"""

import asyncio
import hashlib
import importlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from sempre.server.coordination.plain_pickles import allow_plain_pickles_only
from sempre.server.redis.installation import Installation
from sempre.server.settings.sections import DocketSettings

__all__ = ["GRACE_SECONDS", "DocketCalls", "docket_name"]

log = logging.getLogger("sempre.services")

GRACE_SECONDS = 2.0  # that a service is left to be called, while Redis answers

_BUDGET_SECONDS = 1.0  # for what Redis answers in a millisecond
_OPEN_SECONDS = 5.0
_LOOK_SECONDS = 2.0  # between two looks at Redis, and at what is planned in it
_REBUILD_SECONDS = 1.0
_CANCEL_SECONDS = 0.5
_MOST_CANCELS = 10
_MOST_MISSED = 5  # services in a row that nobody was called for, before the connections are made anew
_REDELIVERY = timedelta(seconds=5)
_RESOLUTION = timedelta(seconds=0.25)
_READ = timedelta(seconds=2)
_HEARTBEAT = timedelta(seconds=15)


def docket_name(name: str, services: Iterable[str]) -> str:
    """Of the docket that processes with these services share."""
    return f"{name}:{hashlib.sha256(','.join(sorted(services)).encode()).hexdigest()[:8]}"


class DocketCalls:
    """``intervals`` by service. ``call`` takes the turn of a service if it is due, and returns in how many seconds it
    is to be called for again."""

    def __init__(
        self,
        settings: DocketSettings,
        installation: Installation | None,
        intervals: Mapping[str, float],
        call: Callable[[str], Awaitable[float]],
    ) -> None:
        assert settings.url is not None
        self._url = settings.url
        self._name = docket_name(settings.name, intervals)
        self._installation = installation
        self._intervals = intervals
        self._call = call
        self._missed: set[str] = set()
        self._misses = 0
        self._answered: float | None = None
        self._warned = False

    @property
    def grace(self) -> float:
        """Seconds for which services that are due are left to be called; none while Redis is away."""
        since = None if self._answered is None else time.monotonic() - self._answered
        return GRACE_SECONDS if since is not None and since < 2 * _LOOK_SECONDS else 0.0

    def missed(self, service: str) -> None:
        """Its turn was taken without a call: whatever is planned for it, plan it anew."""
        if self._answered is not None:
            self._missed.add(service)
            self._misses += 1

    async def run(self) -> None:
        """Until cancelled. Opens everything anew after any failure."""
        while True:
            try:
                await asyncio.to_thread(_library)
                await self._session()
            except Exception as error:
                self._away(error)
            await asyncio.sleep(_REBUILD_SECONDS * random.uniform(0.75, 1.25))  # noqa: S311

    async def _session(self) -> None:
        docket = self._docket(await self._installation.key(self._name) if self._installation else self._name)
        opened = asyncio.Event()
        working = asyncio.create_task(self._work(docket, opened), name="docket")
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await _opened(opened, working)
            self._misses = 0
            while not working.done():
                async with asyncio.timeout(_BUDGET_SECONDS):
                    await self._plan(docket)
                self._here()
                await asyncio.wait({working}, timeout=_LOOK_SECONDS)
            await working
            raise ConnectionError("the docket worker ended by itself")
        finally:
            self._answered = None
            await _end(working)

    def _docket(self, name: str) -> Any:
        docket = _library().Docket(name=name, url=self._url, heartbeat_interval=_HEARTBEAT, execution_ttl=timedelta(0))
        for service, interval in self._intervals.items():
            docket.register(self._task(service, interval))
        return docket

    def _task(self, service: str, interval: float) -> Callable[..., Awaitable[None]]:
        perpetual = _library().Perpetual(every=timedelta(seconds=interval))

        async def task(again: Any = perpetual) -> None:
            self._misses = 0
            again.after(timedelta(seconds=await self._call(service)))

        task.__name__ = service  # by which it is planned again
        return task

    async def _work(self, docket: Any, opened: asyncio.Event) -> None:
        async with (
            docket,
            _library().Worker(
                docket,
                concurrency=2 * len(self._intervals),
                redelivery_timeout=_REDELIVERY,
                reconnection_delay=timedelta(seconds=_REBUILD_SECONDS),
                minimum_check_interval=_READ,
                scheduling_resolution=_RESOLUTION,
                schedule_automatic_tasks=False,
            ) as worker,
        ):
            opened.set()
            await worker.run_forever()

    async def _plan(self, docket: Any) -> None:
        """Plan what is not planned. Raises unless Redis takes writes."""
        if self._misses >= _MOST_MISSED:
            raise ConnectionError("nobody is called")
        async with docket.redis() as redis:
            await redis.set(docket.key("looked"), "", ex=60)
            known = await redis.exists(*(docket.runs_key(service) for service in self._intervals))
        if known < len(self._intervals):
            for service in self._intervals:
                await docket.add(service, key=service)()
        while self._missed:
            service = next(iter(self._missed))
            await docket.replace(service, when=datetime.now(UTC), key=service)()
            self._missed.discard(service)

    def _here(self) -> None:
        if self._answered is None:
            log.info("services are called by the docket %s", self._name)
        self._answered = time.monotonic()
        self._warned = False

    def _away(self, error: Exception) -> None:
        level = logging.DEBUG if self._warned else logging.WARNING
        log.log(level, "the docket is away, services take turns by Postgres: %s", error or type(error).__name__)
        self._warned = True


@cache
def _library() -> Any:
    """Docket, which takes half a second to import."""
    library = importlib.import_module("docket")
    allow_plain_pickles_only()
    # What it says at every reconnection, we say once.
    logging.getLogger("docket").setLevel(logging.CRITICAL)
    return library


async def _opened(opened: asyncio.Event, working: asyncio.Task[None]) -> None:
    """Wait until it is open, or raise what kept it from that."""
    waiting = asyncio.create_task(opened.wait())
    try:
        await asyncio.wait({waiting, working}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if working.done():
        await working


async def _end(working: asyncio.Task[None]) -> None:
    """Cancel it as often as it takes: on its way out it asks Redis several times, and a hanging one never answers."""
    for _ in range(_MOST_CANCELS):
        working.cancel()
        done, _ = await asyncio.wait({working}, timeout=_CANCEL_SECONDS)
        if done:
            break
    else:
        log.error("the docket worker does not end")
    if working.done() and not working.cancelled():
        working.exception()
