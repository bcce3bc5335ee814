"""The worker: takes runs from a work pool, has infrastructure started for them, and looks after both."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import random
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sempre.client import backstage, shipping
from sempre.client.client import get_client
from sempre.client.errors import ApiUnreachable, ClientError, ObjectNotFound
from sempre.client.worker_channel import Cleanup, Hello, WorkerChannel
from sempre.schemas.flow_runs import FlowRun
from sempre.schemas.work_pools import WorkPoolResponse
from sempre.sdk.serving.adoption import adopt_all
from sempre.sdk.serving.dispatcher import Dispatcher
from sempre.sdk.serving.health import answering_health
from sempre.sdk.serving.keeper import RunKeeper
from sempre.sdk.serving.player_folder import PlayerFolder
from sempre.sdk.serving.stopping import heeding_signals
from sempre.settings import ClientSettings, get_current_settings
from sempre.workers.base import Found, Infrastructure
from sempre.workers.events import WorkerEvents
from sempre.workers.hosting import WorkerHost
from sempre.workers.identity import default_name, folder_root, identified
from sempre.workers.pools import default_template, open_pool

__all__ = ["Worker"]

_IMPATIENT_SECONDS = 5.0  # a look for work is made anew rather than repeated: what it asks for changes with time
_FIRST_BEAT_SECONDS = 1.0
_KILLED_SECONDS = 15.0
_FIND_AGAIN_SECONDS = 5.0
_CLEANUPS = ("cancelling_timeout_teardown.v1", "pending_claim_teardown.v1")
_CLEANUP_GRACE_SECONDS = 5.0

log = logging.getLogger("sempre.worker")


class Worker:
    """A worker of one type for one pool.

    `name` is the same after a restart, so that what was started before is found again; by default one of this machine.
    `work_queues`: only these queues. `limit`: at most so many runs at once. `base_job_template`: for a pool that is
    created or has none. Everything else is as the settings say.
    """

    def __init__(
        self,
        infrastructure: type[Infrastructure],
        work_pool_name: str,
        *,
        name: str | None = None,
        work_queues: Sequence[str] = (),
        limit: int | None = None,
        prefetch_seconds: float | None = None,
        create_pool_if_not_found: bool = True,
        base_job_template: Mapping[str, Any] | None = None,
        settings: ClientSettings | None = None,
    ) -> None:
        given = settings or get_current_settings()
        self.type = infrastructure.type
        self.work_pool_name = work_pool_name
        self.name = name or default_name(given, self.type, work_pool_name)
        self.id = uuid4()
        self._infrastructure_type = infrastructure
        self._queues = list(work_queues)
        self._limit = limit
        self._prefetch = timedelta(
            seconds=given.worker.prefetch_seconds if prefetch_seconds is None else prefetch_seconds
        )
        self._creates = create_pool_if_not_found
        self._template = base_job_template
        self._given = given
        self._settings = identified(given, self.name, self.id)
        self._client = get_client(settings=self._settings)
        self._impatient = get_client(settings=self._settings, patience=_IMPATIENT_SECONDS)
        self._folder = PlayerFolder(folder_root(given, work_pool_name, self.name), str(self.id))
        self._stopping = False

    async def run(self, *, run_once: bool = False, with_healthcheck: bool = False, last: bool = False) -> None:
        """Serve the pool until a signal comes: the first lets runs finish, the second kills them. With `run_once` one
        look, and the runs that it found. `last`: the process ends with it, and signals that come later are ignored.

        Raises PoolError, InfrastructureError, HealthPortError, and the client's errors while it has not begun.
        """
        self._loop = asyncio.get_running_loop()
        self._killed = asyncio.Event()
        with contextlib.ExitStack() as stack:
            self._pool = await self._opened_pool()
            self._resolve_api()
            infrastructure = self._infrastructure_type(
                worker_name=self.name, work_pool_name=self.work_pool_name, settings=self._own
            )
            await infrastructure.open()
            self._folder.open()
            stack.callback(self._folder.close)
            try:
                await self._play(infrastructure, run_once, with_healthcheck, last)
            finally:
                await infrastructure.close()

    def stop(self) -> None:
        """Take nothing more, hand back what has not begun; `run` returns when what runs has ended. In its loop."""
        if not self._stopping:
            log.info("Worker %r stops: it takes no more runs and waits for those that run", self.name)
        self._stopping = True
        self._keeper.drain()
        self._dispatcher.stop()

    def kill(self) -> None:
        """Do not wait for what runs any longer. In its loop."""
        self._killed.set()

    @property
    def is_well(self) -> bool:
        """Whether it does what it should: looks for work."""
        return not self._dispatcher.is_stale

    # --- beginning -------------------------------------------------------------------------------------

    async def _opened_pool(self) -> WorkPoolResponse:
        while True:
            try:
                template = self._template or self._infrastructure_type.default_base_job_template()
                if template is None:
                    template = await default_template(self._client, self.type)
                self._template = template
                return await open_pool(self._client, self.work_pool_name, self.type, template, create=self._creates)
            except ApiUnreachable as error:
                log.warning("The worker waits for the API: %s", error)

    def _resolve_api(self) -> None:
        """Where no API was named a local server was found; what is started must know its address."""
        api = self._client.settings.api
        self._own = dataclasses.replace(self._given, api=api)
        self._settings = dataclasses.replace(self._settings, api=api)

    @contextlib.asynccontextmanager
    async def _health(self, wanted: bool) -> AsyncIterator[None]:
        if not wanted:
            yield
            return
        settings = self._given.worker
        async with answering_health(settings.webserver_host, settings.webserver_port, lambda: self.is_well) as port:
            log.info("Health checks are answered at port %d, /health", port)
            yield

    async def _play(self, infrastructure: Infrastructure, run_once: bool, with_healthcheck: bool, last: bool) -> None:
        self._infrastructure = infrastructure
        self._events = WorkerEvents(self._settings, name=self.name, type=self.type)
        self._host = WorkerHost(
            infrastructure, self._client, self._events, shipping.current(self._settings),
            pool=lambda: self._pool, settings=self._own, worker_name=self.name, worker_id=str(self.id),
        )  # fmt: skip
        self._dispatcher = Dispatcher(self._due, limit=self._limit, interval=self._given.worker.query_seconds)
        self._keeper = RunKeeper(
            self._client, self._host, self._folder, claimant_id=str(self.id), freed=self._dispatcher.freed,
            cancels_unbegun=self._given.worker.enable_cancellation,
        )  # fmt: skip
        self._channel = self._made_channel()
        started = self._events.tell("started", self._events.of_pool(self._pool))
        channeling = backstage.spawn(self._channel.run())
        others = [self._loop.create_task(work) for work in (self._beat(), self._look_for_cancelled())]
        try:
            async with self._health(with_healthcheck):
                with heeding_signals(self.stop, self.kill, last=last):
                    await self._serve(run_once)
        finally:
            channeling.cancel()
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            self._events.tell("stopped", self._events.of_pool(self._pool), follows=started)

    async def _serve(self, run_once: bool) -> None:
        there = await self._found()
        clients = lambda id: get_client(settings=identified(self._own, self.name, id or self.id))  # noqa: E731
        await adopt_all(self._host, self._folder, self._keeper, clients, there)
        log.info("Worker %r serves work pool %r", self.name, self.work_pool_name)
        await self._dispatcher.run(self._keeper, once=run_once)
        await self._finish()

    async def _found(self) -> dict[UUID, str]:
        """What the infrastructure knows of. It must have answered before anything is handed back."""
        while True:
            try:
                return {found.flow_run_id: found.identifier for found in await self._infrastructure.find()}
            except Exception:
                log.exception("What this worker started before cannot be looked up; trying again")
                await asyncio.sleep(_FIND_AGAIN_SECONDS)

    async def _finish(self) -> None:
        idle = self._loop.create_task(self._keeper.idle())
        killed = self._loop.create_task(self._killed.wait())
        patience = self._given.worker.drain_seconds if self._stopping else None
        await asyncio.wait({idle, killed}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if killed.done() and not idle.done() and not self._infrastructure.stays:
            log.warning("Worker %r kills %d runs", self.name, len(self._keeper.taken))
            self._keeper.kill_all()
            await asyncio.wait({idle}, timeout=_KILLED_SECONDS)
        if not idle.done():
            log.warning(
                "Worker %r leaves %d runs to themselves; the next worker of this name looks after them",
                self.name, len(self._keeper.taken),
            )  # fmt: skip
        killed.cancel()
        await self._keeper.leave_all()
        idle.cancel()
        await asyncio.gather(idle, killed, return_exceptions=True)

    # --- work ------------------------------------------------------------------------------------------

    async def _due(self, most: int | None) -> list[FlowRun]:
        before = datetime.now(UTC) + self._prefetch
        try:
            found = await self._impatient.get_scheduled_flow_runs_for_work_pool(
                self.work_pool_name, self._queues or None, before, most
            )
        except ObjectNotFound as error:
            log.warning("There is nothing to serve: %s", error)
            if self._creates:
                self._pool = await self._opened_pool()
            return []
        return [each.flow_run for each in found]

    async def _look_for_cancelled(self) -> None:
        while True:
            await asyncio.sleep(self._given.worker.cancellation_poll_seconds)
            await self._keeper.look_for_cancelled()

    # --- what the server hears of us and tells us ------------------------------------------------------

    def _made_channel(self) -> WorkerChannel:
        hello = Hello(
            work_pool_name=self.work_pool_name,
            worker_name=self.name,
            worker_type=self.type,
            heartbeat_seconds=self._given.worker.heartbeat_seconds,
            work_queue_names=self._queues,
            create_pool_if_not_found=self._creates,
            default_base_job_template=self._template or {},
            cleanup_kinds=_CLEANUPS,
            cleanup_concurrency=10,
        )
        return WorkerChannel(
            hello, self._show_pool, self._dispatcher.wake, self._clean_backstage, self._settings, self.id
        )

    def _show_pool(self, pool: WorkPoolResponse) -> None:
        self._pool = pool

    async def _clean_backstage(self, cleanup: Cleanup) -> bool:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._clean(cleanup), self._loop))

    async def _clean(self, cleanup: Cleanup) -> bool:
        run_id = UUID(str(cleanup.target["flow_run_id"]))
        taken = self._keeper.taken.get(run_id)
        if taken is None:
            found = Found(flow_run_id=run_id, identifier=str(cleanup.target.get("infrastructure_pid") or ""))
            return await self._infrastructure.clean_up(found)
        if taken.begun:
            await self._host.kill(taken, _CLEANUP_GRACE_SECONDS)
        return True

    async def _beat(self) -> None:
        """Heartbeats over HTTP, while none go over the channel."""
        seconds = self._given.worker.heartbeat_seconds
        await asyncio.sleep(min(_FIRST_BEAT_SECONDS, seconds))
        while True:
            if not self._channel.healthy:
                await _leniently(
                    self._impatient.send_worker_heartbeat(self.work_pool_name, self.name, seconds), "heartbeat"
                )
            await asyncio.sleep(seconds * random.uniform(0.75, 1.0))  # noqa: S311


async def _leniently(call: Coroutine[Any, Any, object], what: str) -> None:
    try:
        await call
    except ClientError as error:
        log.debug("A %s did not arrive: %s", what, error)
