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
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from sempre.db.errors import DatabaseUnavailable
from sempre.server.admin.reachable import is_reachable
from sempre.server.coordination.alone import EveryReplica
from sempre.server.coordination.postgres import PostgresTurns
from sempre.server.coordination.replicas import Replica
from sempre.server.coordination.turns import Coordination
from sempre.server.ids import new_id
from sempre.server.metrics.page import Page
from sempre.server.resources import open_resources
from sempre.server.schema import DATABASE_AWAY, Schema
from sempre.server.scope import Scope
from sempre.server.services.health import answering
from sempre.server.services.periodic import Periodic
from sempre.server.services.pulse import Pulse
from sempre.server.services.registry import enabled_services
from sempre.server.services.rounds import in_words
from sempre.server.services.service import Service
from sempre.server.settings import Settings

__all__ = ["ServiceFailed", "Supervisor", "run_services"]

log = logging.getLogger("sempre.services")

_AWAY_SECONDS = 1.0  # between two looks at a database that is away
_SHORTEST_SECONDS = 0.02  # between two starts of a continuous service that has nothing to do
# What a stop may take beyond its patience, when nothing answers: these, and what rounds and actions allow themselves
# (3 s), are together less than LAST_SECONDS of the process.
_TAKEN_SECONDS = 1.0  # for turns to arrive that are being taken when the services are to stop
_CUT_SECONDS = 2.0  # for what was cancelled to end
_LEAVE_SECONDS = 1.0  # to say that this process is gone; whoever looks finds out anyhow
_MOST_DEATHS = 6
_RESTART_SECONDS = 1.0  # times the deaths so far, before a loop is run again
_HEALTHY_SECONDS = 300.0  # a loop that lived this long starts counting anew

Loop = Callable[[], Awaitable[None]]


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
        self._scope = scope
        self._services = enabled_services(scope.settings) if services is None else list(services)
        self._on_failure = on_failure or _end_process
        self._stopping = False  # asked to, or stopped
        self._pulse = Pulse()
        self._replica = Replica(scope.db, self._pulse.ages)
        periodic = [service for service in self._services if not service.continuous]
        self._periodic = Periodic(scope, periodic, _turns(scope), self._pulse)
        self._taking: asyncio.Task[None] | None = None
        self._looking: list[asyncio.Task[None]] = []
        self._renewing: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start every service. Returns at once; nothing needs to be reachable yet."""
        for service in self._services:
            self._pulse.waiting(service.name)
            if service.continuous:
                self._looking.append(self._kept(service.name, partial(self._again_and_again, service)))
        self._taking = self._kept("turns", self._periodic.run)
        self._looking.append(self._taking)
        self._looking.append(self._kept("presence", self._replica.run))
        if self._periodic.docket:
            self._looking.append(self._kept("docket", self._periodic.docket.run))
        self._renewing.append(self._kept("leases", self._periodic.rounds.keep))

    async def stop(self) -> None:
        """Begin nothing more; let rounds in flight end, for as long as the drain setting allows; cut the rest and give
        its turns back. All of it takes at most that and ``LAST_SECONDS`` of the process, whatever does not answer."""
        began = time.monotonic()
        self._stopping = True
        self._periodic.end()
        if self._taking is not None:
            await asyncio.wait({self._taking}, timeout=_TAKEN_SECONDS)
        await _ended(self._looking)  # nothing is lost: what it did is committed with its cursor, or not at all
        left = max(0.0, began + self._scope.settings.services.drain_seconds - time.monotonic())
        drained = self._periodic.rounds.drain(left)
        leaving = [service.stop(self._scope, left) for service in self._services if service.stop]
        await asyncio.gather(drained, *leaving, return_exceptions=True)
        await asyncio.gather(_ended(self._renewing), self._leave())

    async def _leave(self) -> None:
        with contextlib.suppress(DatabaseUnavailable, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._replica.leave()

    def ages(self) -> dict[str, float]:
        """Seconds since each service completed a round here, or another replica was found to see to it."""
        return self._pulse.ages()

    def late(self) -> dict[str, float]:
        """Seconds without a sign of the services that hang or are dead."""
        return self._pulse.late()

    def _kept(self, name: str, loop: Loop) -> asyncio.Task[None]:
        return asyncio.create_task(self._keep(name, loop), name=f"service-{name}")

    async def _keep(self, name: str, loop: Loop) -> None:
        """Run a loop, and run it again when it dies."""
        deaths = 0
        while True:
            began = time.monotonic()
            try:
                await loop()
                if self._stopping:
                    return
                raise ServiceFailed("the loop ended by itself")
            except Exception as error:
                deaths = 1 if time.monotonic() - began > _HEALTHY_SECONDS else deaths + 1
                log.exception("%s died (%d of %d)", name, deaths, _MOST_DEATHS)
                if deaths >= _MOST_DEATHS:
                    self._on_failure(ServiceFailed(f"the service {name} keeps dying: {in_words(error)}"))
                    return
                await asyncio.sleep(_RESTART_SECONDS * deaths)

    async def _again_and_again(self, service: Service) -> None:
        while True:
            began = time.monotonic()
            self._pulse.begun(service.name, service.longest_round)
            try:
                await service.run(self._scope)
                self._pulse.completed(service.name)
            except DatabaseUnavailable as away:
                log.warning("%s waits for the database: %s", service.name, away)
                await asyncio.sleep(_AWAY_SECONDS)
            await asyncio.sleep(max(0.0, _SHORTEST_SECONDS - (time.monotonic() - began)))


def _turns(scope: Scope) -> Coordination:
    if not scope.settings.services.coordination_enabled:
        return EveryReplica()
    return PostgresTurns(scope.db, f"{socket.gethostname()}:{os.getpid()}:{new_id()}")


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel them and see them end; who does not, on a connection that hangs, is left to the end of the process."""
    for task in tasks:
        task.cancel()
    if tasks:
        _, left = await asyncio.wait(tasks, timeout=_CUT_SECONDS)
        for task in left:
            log.warning("%s does not end", task.get_name())


def _end_process(failure: ServiceFailed) -> None:
    log.critical("ending this process: %s", failure)
    os.kill(os.getpid(), signal.SIGTERM)


async def run_services(settings: Settings) -> None:
    """A process of services alone: runs until cancelled (which SIGTERM and SIGINT do), then hands back what it holds.

    Raises ServiceFailed when one of them keeps dying, OSError when the port of its health is taken.
    """
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(failure: ServiceFailed) -> None:
        if not failed.done():
            failed.set_exception(failure)

    async with open_resources(settings) as scope:
        supervisor, schema = Supervisor(scope, on_failure=fail), Schema()
        stopping = False

        async def problem() -> str | None:
            if stopping:
                return "The services are stopping"
            return schema.problem or (None if await is_reachable(scope.db) else DATABASE_AWAY)

        async with answering(settings, supervisor, problem, Page(scope, supervisor).text):
            try:
                await schema.prepare(scope.db, settings)
                supervisor.start()
                await failed
            finally:
                stopping = True
                await supervisor.stop()
