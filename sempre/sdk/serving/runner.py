"""The runner: executes runs of served deployments, each in a process of its own, in the directory it was started in."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID, uuid4

from sempre.client.client import get_client
from sempre.client.errors import ClientError
from sempre.client.streams import EventStream
from sempre.core.dispatching import Ending
from sempre.schemas.flow_runs import FlowRun
from sempre.sdk.deploying.faces import either
from sempre.sdk.serving import proposals
from sempre.sdk.serving.adoption import adopt_all
from sempre.sdk.serving.claim_folder import Claim
from sempre.sdk.serving.dispatcher import Dispatcher
from sempre.sdk.serving.health import answering_health
from sempre.sdk.serving.keeper import RunKeeper
from sempre.sdk.serving.player_folder import PlayerFolder
from sempre.sdk.serving.process_host import ProcessHost
from sempre.sdk.serving.stopping import heeding_signals
from sempre.settings import ClientSettings, get_current_settings

if TYPE_CHECKING:
    from typing import Unpack

    from sempre.schemas.concurrency import ConcurrencyLimitConfig
    from sempre.sdk.deploying.options import CommonOptions
    from sempre.sdk.deploying.runner_deployment import RunnerDeployment
    from sempre.sdk.deploying.storages import CodeStorage
    from sempre.sdk.flows import Flow

__all__ = ["Runner"]

_BY_SETTINGS: Any = -1
_IMPATIENT_SECONDS = 5.0
_KILLED_SECONDS = 15.0
_LISTEN_AGAIN_SECONDS = 30.0
_NEWS = ("prefect.flow-run.Scheduled", "prefect.flow-run.Resuming")

log = logging.getLogger("sempre.runner")


class Runner:
    """Executes runs of the deployments that were added, until it is stopped.

    `limit` is how many at once (None: without a limit; default: the setting), `query_seconds` how often it looks for
    work that nobody told it of, `prefetch_seconds` how long before it is due a run is started, `heartbeat_seconds` how
    often runs give a sign of life. `pause_on_shutdown` pauses the deployments when it ends. `webserver` answers health
    checks (`GET /health`) at the settings' host and port. A runner that died is found again by its `name`: what it
    started goes on, and the next one of the name looks after it.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        limit: int | None = _BY_SETTINGS,
        pause_on_shutdown: bool = True,
        query_seconds: float | None = None,
        prefetch_seconds: float | None = None,
        heartbeat_seconds: float | None = None,
        webserver: bool | None = None,
        settings: ClientSettings | None = None,
    ) -> None:
        self._settings = _with(settings or get_current_settings(), prefetch_seconds, heartbeat_seconds)
        own = self._settings.runner
        self.name = name or Path(sys.argv[0]).stem or "runner"
        self.pause_on_shutdown = pause_on_shutdown
        self._limit = own.process_limit if limit == _BY_SETTINGS else limit
        self._interval = own.poll_frequency if query_seconds is None else query_seconds
        self._webserver = own.server_enable if webserver is None else webserver
        self._deployments: set[UUID] = set()
        self._storages: list[CodeStorage] = []
        self._pulls: list[asyncio.Task[None]] = []
        self._client = get_client(settings=self._settings)
        self._impatient = get_client(settings=self._settings, patience=_IMPATIENT_SECONDS)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False

    # --- what it serves --------------------------------------------------------------------------------

    def add_flow(
        self,
        flow: Flow[..., Any],
        name: str | None = None,
        *,
        concurrency_limit: int | ConcurrencyLimitConfig | None = None,
        **options: Unpack[CommonOptions],
    ) -> UUID:
        """Make a deployment of the flow known and execute its runs; returns its id. `name`: that of the deployment,
        by default the runner's; the rest is as for `Flow.to_deployment`.

        Inside of a coroutine the call returns what has to be awaited. Raises ConfigurationError, ParameterTypeError and
        the client's errors.
        """
        from sempre.sdk.deploying.runner_deployment import RunnerDeployment

        called = name or self.name
        return self._add(RunnerDeployment.from_flow(flow, called, concurrency_limit=concurrency_limit, **options))

    def add_deployment(self, deployment: RunnerDeployment | UUID) -> UUID:
        """Make this deployment known, unless it is the id of one that is, and execute its runs; returns its id. Before
        or after the start, from any thread.

        Inside of a coroutine the call returns what has to be awaited, unless it is given an id. Raises
        ConfigurationError and the client's errors.
        """
        if isinstance(deployment, UUID):
            self.add_known(deployment)
            return deployment
        return self._add(deployment)

    @either
    def _add(self, deployment: RunnerDeployment) -> UUID:
        from sempre.sdk.deploying.serving import settle

        settle(deployment)
        id = deployment.apply()
        self.add_known(id, deployment.storage)
        return id

    def add_known(self, deployment_id: UUID, storage: CodeStorage | None = None) -> None:
        """Execute runs of a deployment that the server knows. Its code is in `storage`, if it is not here."""
        self._deployments.add(deployment_id)
        if storage is not None and storage not in self._storages:
            self._storages.append(storage)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._added.set)

    # --- serving ---------------------------------------------------------------------------------------

    def start(self, run_once: bool = False, webserver: bool | None = None) -> Any:
        """Serve until `stop` is called or SIGTERM or SIGINT comes: the first lets runs finish, the second kills them.
        With `run_once` one look, and the runs that it found.

        In plain code it returns when that is over. Inside of a coroutine the call returns what has to be awaited.
        Signals are heeded only in the main thread. Raises HealthPortError.
        """
        if webserver is not None:
            self._webserver = webserver
        serving = self._play(run_once)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            with contextlib.suppress(KeyboardInterrupt):
                asyncio.run(serving)
            return _Over()
        return serving

    async def _play(self, run_once: bool) -> None:
        from sempre.sdk.loggers import setup

        setup()
        self._loop = asyncio.get_running_loop()
        self._added, self._killed = asyncio.Event(), asyncio.Event()
        self._dispatcher = Dispatcher(self._due, limit=self._limit, interval=self._interval)
        folder = PlayerFolder(PlayerFolder.root_of(self._settings.home, "runners", self.name), str(uuid4()))
        host = ProcessHost(self._client, self._settings, self.name)
        self._keeper = RunKeeper(self._client, host, folder, claimant_id=None, freed=self._dispatcher.freed)
        folder.open()
        await host.open()
        others = [self._loop.create_task(work) for work in (self._listen(), self._look_for_cancelled())]
        try:
            async with self._health():
                with heeding_signals(self._stop, self._killed.set):
                    if self._stopped:
                        self._stop()
                    await adopt_all(host, folder, self._keeper, lambda _: self._client, {})
                    await self._dispatcher.run(self._keeper, once=run_once)
                    await self._pause(run_once)
                    await self._finish()
        finally:
            for task in (*others, *self._pulls):
                task.cancel()
            await asyncio.gather(*others, *self._pulls, return_exceptions=True)
            self._pulls.clear()
            await host.close()
            folder.close()
            self._loop = None

    def stop(self) -> None:
        """Take no more runs; `start` returns when those that run have ended. From any thread."""
        self._stopped = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        log.info("Runner %r stops: it takes no more runs and waits for those that run", self.name)
        self._stopped = True
        self._keeper.drain()
        self._dispatcher.stop()

    async def execute_flow_run(self, flow_run_id: UUID | str) -> int | None:
        """Execute one run now in a process, whoever claimed it, and wait for its end: its exit code, None if nobody
        knows. A run whose process fails without a word is Crashed. Raises ProcessError."""
        run = await self._client.read_flow_run(flow_run_id)
        folder = PlayerFolder(PlayerFolder.root_of(self._settings.home, "runners", self.name), str(uuid4()))
        folder.open()
        host = ProcessHost(self._client, self._settings, self.name)
        notes = folder.new(Claim.of(run.id))
        try:
            process = await host.started(run, notes)
            code = await process.wait()
            await proposals.settle(self._client, run.id, None, Ending(code))
        finally:
            await host.close()
            notes.remove()
            folder.close()
        return code

    # --- while it serves -------------------------------------------------------------------------------

    async def _due(self, most: int | None) -> Sequence[FlowRun]:
        if not self._deployments:
            return []
        before = datetime.now(UTC) + timedelta(seconds=self._settings.runner.prefetch_seconds)
        return await self._impatient.get_scheduled_flow_runs_for_deployments(self._deployments, before, most)

    async def _listen(self) -> None:
        """Look for work as soon as there is news of some. Without the events there are the looks every so often."""
        while True:
            self._added.clear()
            self._pull_code()
            listening = asyncio.ensure_future(self._hear())
            try:
                await self._added.wait()
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
            self._dispatcher.wake()

    def _pull_code(self) -> None:
        """Keep code up to date that was not yet."""
        from sempre.sdk.deploying.serving import keep_up_to_date

        for storage in self._storages[len(self._pulls) :]:
            self._pulls.append(asyncio.ensure_future(keep_up_to_date(storage)))

    async def _hear(self) -> None:
        related = [f"prefect.deployment.{id}" for id in sorted(self._deployments)]
        while related:
            try:
                wanted = {"event": {"name": list(_NEWS)}, "related": {"id": related}}
                async with EventStream(wanted, settings=self._settings) as stream:
                    async for _ in stream:
                        self._dispatcher.wake()
            except ClientError as error:
                log.info("There is no news of work, only looks for it: %s", error)
            await asyncio.sleep(_LISTEN_AGAIN_SECONDS)

    async def _look_for_cancelled(self) -> None:
        while True:
            await asyncio.sleep(self._settings.worker.cancellation_poll_seconds)
            await self._keeper.look_for_cancelled()

    @contextlib.asynccontextmanager
    async def _health(self) -> AsyncIterator[None]:
        if not self._webserver:
            yield
            return
        own = self._settings.runner
        async with answering_health(own.server_host, own.server_port, lambda: not self._dispatcher.is_stale) as port:
            log.info("Health checks are answered at port %d, /health", port)
            yield

    # --- ending ----------------------------------------------------------------------------------------

    async def _pause(self, run_once: bool) -> None:
        """Nobody is there to execute what schedules would plan."""
        if run_once or not self.pause_on_shutdown:
            return
        for id in sorted(self._deployments):
            try:
                await self._impatient.pause_deployment(id)
            except ClientError as error:
                log.warning("Deployment %s was not paused: %s", id, error)

    async def _finish(self) -> None:
        idle = asyncio.ensure_future(self._keeper.idle())
        killed = asyncio.ensure_future(self._killed.wait())
        await asyncio.wait({idle, killed}, return_when=asyncio.FIRST_COMPLETED)
        if not idle.done():
            self._keeper.kill_all()
            await asyncio.wait({idle}, timeout=_KILLED_SECONDS)
        killed.cancel()
        await self._keeper.leave_all()
        idle.cancel()
        await asyncio.gather(idle, killed, return_exceptions=True)


def _with(settings: ClientSettings, prefetch_seconds: float | None, heartbeat_seconds: float | None) -> ClientSettings:
    runner, flows = settings.runner, settings.flows
    if prefetch_seconds is not None:
        runner = dataclasses.replace(runner, prefetch_seconds=prefetch_seconds)
    if heartbeat_seconds is not None:
        flows = dataclasses.replace(flows, heartbeat_frequency=heartbeat_seconds)
    return dataclasses.replace(settings, runner=runner, flows=flows)


class _Over(Coroutine[Any, Any, None]):
    """Of something that was waited for already, so that both `runner.start()` and `asyncio.run(runner.start())` serve.
    A coroutine that nobody awaits would complain."""

    def send(self, value: Any) -> NoReturn:
        raise StopIteration

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> NoReturn:
        raise typ if val is None else val

    def close(self) -> None:
        """There is nothing to end."""

    def __await__(self) -> Any:
        return iter(())
