"""Keeps the background services of one process running, and says when one of them does not.

A round that fails is logged, recorded and tried again, ever later; a loop that dies is restarted; one that keeps dying
ends the process. While the database is away everything waits quietly.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence

from sempre.db.errors import DatabaseUnavailable
from sempre.server.coordination.alone import EveryReplica
from sempre.server.coordination.postgres import LONGEST_WAIT, PostgresTurns
from sempre.server.coordination.turns import Coordination
from sempre.server.feed.doorbell import Doorbell
from sempre.server.ids import new_id
from sempre.server.resources import migrated, open_database
from sempre.server.scope import Scope
from sempre.server.services.health import answering
from sempre.server.services.registry import enabled_services
from sempre.server.services.service import Service
from sempre.server.settings import Settings

__all__ = ["ServiceFailed", "Supervisor", "run_services"]

log = logging.getLogger("sempre.services")

_LOOK_SECONDS = 15.0  # longest sleep of a loop: a turn given back is noticed within this time
_AWAY_SECONDS = 2.0  # between two looks at a database that is away
_SHORTEST_SECONDS = 0.02  # between two starts of a continuous service that has nothing to do
_LATE_SECONDS = 60.0  # beyond looking and working, before a loop counts as late
_MOST_DEATHS = 6
_RESTART_SECONDS = 1.0  # times the deaths so far, before a loop is run again
_HEALTHY_SECONDS = 300.0  # a loop that lived this long starts counting anew
_LONGEST_ERROR = 2000


class ServiceFailed(RuntimeError):
    """A background service kept dying; the process must end and be started afresh."""


class Supervisor:
    """Runs ``services`` (default: all enabled ones) until ``stop``.

    ``on_failure`` is called once with what happened when a loop keeps dying; by default the process is told to end.
    """

    def __init__(
        self,
        scope: Scope,
        services: Sequence[Service] | None = None,
        *,
        on_failure: Callable[[ServiceFailed], None] | None = None,
    ) -> None:
        settings = scope.settings
        self._scope = scope
        self._services = enabled_services(settings) if services is None else list(services)
        self._on_failure = on_failure or _end_process
        self._turns: Coordination = EveryReplica()
        if settings.services.coordination_enabled:
            self._turns = PostgresTurns(scope.db, f"{socket.gethostname()}:{os.getpid()}:{new_id()}")
        self._tasks: list[asyncio.Task[None]] = []
        self._consuming: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._rounds: set[str] = set()  # names of periodic services at work
        self._beats: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def start(self) -> None:
        """Start every service. Returns at once; nothing needs to be reachable yet."""
        for service in self._services:
            self._beat(service)
            task = asyncio.create_task(self._keep(service), name=f"service-{service.name}")
            self._tasks.append(task)
            if service.continuous:
                self._consuming.append(task)

    async def stop(self) -> None:
        """Let rounds in flight end, for as long as the drain setting allows; cut the rest and give its turns back."""
        self._stopping.set()
        for task in self._consuming:
            task.cancel()  # nothing is lost: what it did is committed with its cursor, or not at all
        await asyncio.gather(*self._consuming, return_exceptions=True)
        leaving = [asyncio.ensure_future(service.stop(self._scope)) for service in self._services if service.stop]
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._scope.settings.services.drain_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *leaving, return_exceptions=True)
        if self._rounds:
            with contextlib.suppress(DatabaseUnavailable):
                await self._turns.release(*self._rounds)

    def ages(self) -> dict[str, float]:
        """Seconds since each loop last completed a round, or found that the turn is another replica's."""
        now = time.monotonic()
        return {name: now - beat for name, beat in self._beats.items()}

    def late(self) -> dict[str, float]:
        """The ages of the loops that are overdue: hanging, dead, or without a database."""
        ages = self.ages()
        allowed = {s.name: _LOOK_SECONDS + s.longest_round + _LATE_SECONDS for s in self._services}
        return {name: age for name, age in ages.items() if age > allowed[name]}

    def _beat(self, service: Service) -> None:
        self._beats[service.name] = time.monotonic()

    async def _keep(self, service: Service) -> None:
        """Run the service's loop, and run it again when it dies."""
        deaths = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                await self._loop(service)
                if self._stopping.is_set():
                    return
                raise ServiceFailed("the loop ended by itself")
            except DatabaseUnavailable as away:
                log.warning("%s waits for the database: %s", service.name, away)
                await self._pause(_AWAY_SECONDS)
            except Exception as error:
                deaths = 1 if time.monotonic() - began > _HEALTHY_SECONDS else deaths + 1
                log.exception("%s died (%d of %d)", service.name, deaths, _MOST_DEATHS)
                if deaths >= _MOST_DEATHS:
                    self._on_failure(ServiceFailed(f"the service {service.name} keeps dying: {_text(error)}"))
                    return
                await self._pause(_RESTART_SECONDS * deaths)

    async def _loop(self, service: Service) -> None:
        if service.continuous:
            await self._again_and_again(service)
            return
        interval = service.interval(self._scope.settings)
        while not self._stopping.is_set():
            turn = await self._turns.take(service.name, interval)
            if turn.taken:
                await self._round(service, interval)
            self._beat(service)
            await self._pause(min(interval if turn.taken else turn.wait, _LOOK_SECONDS))

    async def _again_and_again(self, service: Service) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            await service.run(self._scope)
            self._beat(service)
            await asyncio.sleep(max(0.0, _SHORTEST_SECONDS - (time.monotonic() - began)))

    async def _round(self, service: Service, interval: float) -> None:
        """One round. Raises DatabaseUnavailable; every other failure is recorded and answered with patience."""
        began = time.monotonic()
        error: str | None = None
        self._rounds.add(service.name)
        async with self._extended(service, interval):
            try:
                await service.run(self._scope)
                self._failures.pop(service.name, None)
            except DatabaseUnavailable as away:
                # Nothing to be patient about: the next round comes when the database does.
                log.warning("%s waits for the database: %s", service.name, away)
                error = _text(away)
            except Exception as failure:
                log.exception("%s failed", service.name)
                error = _text(failure)
                self._failures[service.name] = self._failures.get(service.name, 0) + 1
        self._rounds.discard(service.name)
        seconds = time.monotonic() - began
        next_in = max(0.0, interval - seconds) + self._patience(service, interval)
        await self._turns.finish(service.name, seconds=seconds, next_in=next_in, error=error)

    def _patience(self, service: Service, interval: float) -> float:
        """Extra seconds before the next round of a service that keeps failing."""
        failures = self._failures.get(service.name, 0)
        return min(interval * (2 ** min(failures, 10) - 2), LONGEST_WAIT) if failures > 1 else 0.0

    @contextlib.asynccontextmanager
    async def _extended(self, service: Service, interval: float) -> AsyncIterator[None]:
        """Keep the next turn away while a round outlasts its interval: two at once are correct, and a waste."""

        async def extend() -> None:
            while True:
                await asyncio.sleep(max(0.8 * interval, 1.0))
                with contextlib.suppress(DatabaseUnavailable):
                    await self._turns.extend(service.name, max(interval, 2.0))

        extending = asyncio.create_task(extend())
        try:
            yield
        finally:
            extending.cancel()
            await asyncio.gather(extending, return_exceptions=True)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]


def _end_process(failure: ServiceFailed) -> None:
    log.critical("ending this process: %s", failure)
    os.kill(os.getpid(), signal.SIGTERM)


async def run_services(settings: Settings) -> None:
    """A process of services alone: runs until cancelled (which SIGTERM and SIGINT do), then hands back what it holds.

    Raises ServiceFailed when one of them keeps dying, OSError when the port of its health is taken.
    """
    db, embedded = await open_database(settings)
    doorbell = Doorbell(db)
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(failure: ServiceFailed) -> None:
        if not failed.done():
            failed.set_exception(failure)

    supervisor = Supervisor(Scope(db, settings, doorbell), on_failure=fail)
    migration = asyncio.create_task(migrated(db, settings))
    doorbell.start()
    try:
        async with answering(settings, supervisor):
            supervisor.start()
            await failed
    finally:
        await supervisor.stop()
        migration.cancel()
        await asyncio.gather(migration, return_exceptions=True)
        await doorbell.stop()
        await db.close()
        if embedded is not None:
            await asyncio.to_thread(embedded.release)
