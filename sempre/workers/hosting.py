"""What a worker does for a run that it took: its job is resolved, started, watched, and told of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from sempre.client.client import Client
from sempre.client.errors import ClientError, ObjectNotFound
from sempre.client.shipping import Shipper
from sempre.core.dispatching import Ending, Verdict, crash_message
from sempre.schemas.deployments import DeploymentResponse
from sempre.schemas.flow_runs import FlowRun
from sempre.schemas.flows import Flow
from sempre.schemas.work_pools import WorkPoolResponse
from sempre.sdk.ids import now
from sempre.sdk.serving.claim_folder import Claim, ClaimFolder
from sempre.sdk.serving.keeper import Gone, NothingStarted, Taken, Unstartable
from sempre.sdk.serving.player_events import STANDALONE, cancelled_event
from sempre.settings import ClientSettings
from sempre.workers.base import Infrastructure, InfrastructureError, NotStartedNow
from sempre.workers.configuration import JobConfiguration, JobContext, UnresolvedJob, resolve_job
from sempre.workers.events import WorkerEvents

__all__ = ["WorkerHost"]

_WATCH_AGAIN_SECONDS = 5.0
_LOGGER = "sempre.flow_runs.worker"
log = logging.getLogger("sempre.worker")
T = TypeVar("T")


class WorkerHost:
    """The keeper's host for a type of infrastructure."""

    def __init__(
        self,
        infrastructure: Infrastructure,
        client: Client,
        events: WorkerEvents,
        shipper: Shipper,
        *,
        pool: Callable[[], WorkPoolResponse],
        settings: ClientSettings,
        worker_name: str,
        worker_id: str,
    ) -> None:
        self._infrastructure = infrastructure
        self._client = client
        self._events = events
        self._shipper = shipper
        self._pool = pool
        self._settings = settings
        self._worker_name = worker_name
        self._worker_id = worker_id
        self._jobs: WeakKeyDictionary[Taken, JobConfiguration] = WeakKeyDictionary()
        self._submitted: WeakKeyDictionary[Taken, str] = WeakKeyDictionary()

    async def prepare(self, taken: Taken) -> None:
        try:
            self._jobs[taken] = await self._job(taken.run, taken.folder)
        except UnresolvedJob as error:
            raise Unstartable(str(error)) from error

    async def begin(self, taken: Taken) -> None:
        job = self._jobs[taken]
        pool = self._pool()
        self._submitted[taken] = self._events.tell("submitted-flow-run", [dict(part) for part in job.related])
        labels = {
            "prefect.worker.name": self._worker_name,
            "prefect.worker.type": self._infrastructure.type,
            "prefect.work-pool.name": pool.name,
            "prefect.work-pool.id": str(pool.id),
        }
        try:
            identifier = await self._infrastructure.start(job)
        except NotStartedNow as error:
            raise NothingStarted(str(error)) from error
        except (InfrastructureError, UnresolvedJob) as error:
            self._say(taken.run, logging.ERROR, f"The infrastructure could not be started: {error}")
            raise Unstartable(str(error)) from error
        except Exception as error:
            log.exception("Starting the infrastructure of flow run %s failed", taken.run.name)
            raise Unstartable(f"{type(error).__name__}: {error}") from error
        self._note(taken, identifier)
        # Nobody waits for these: they arrive in order, also across an outage.
        self._shipper.call("PATCH", f"/flow_runs/{taken.id}", {"infrastructure_pid": identifier})
        self._shipper.call("PATCH", f"/flow_runs/{taken.id}/labels", labels)

    async def watch(self, taken: Taken) -> Ending:
        identifier = taken.claim.identifier
        assert identifier is not None
        while True:
            try:
                code = await self._infrastructure.watch(self._jobs[taken], identifier)
            except Exception:
                log.exception("The infrastructure of flow run %s cannot be watched; trying again", taken.run.name)
                await asyncio.sleep(_WATCH_AGAIN_SECONDS)
            else:
                return Ending(code, None if not code else self._infrastructure.explain(code))

    async def kill(self, taken: Taken, grace: float) -> None:
        assert taken.claim.identifier is not None
        await self._infrastructure.kill(self._jobs[taken], taken.claim.identifier, grace)

    def ended(self, taken: Taken, ending: Ending, verdict: Verdict) -> None:
        if verdict is Verdict.CRASHED:
            self._say(taken.run, logging.ERROR, crash_message(ending))
        related = [dict(part) for part in self._jobs[taken].related]
        if verdict is Verdict.CANCELLED:
            of_run = [part for part in related if part["prefect.resource.role"] != "work-pool"]
            self._shipper.event(cancelled_event(STANDALONE, of_run))
        for part in related:
            if part["prefect.resource.role"] == "flow-run":
                part["prefect.infrastructure.identifier"] = str(taken.claim.identifier)
                part["prefect.infrastructure.status-code"] = str(ending.exit_code)
        self._events.tell("executed-flow-run", related, follows=self._submitted.get(taken))

    async def recover(self, claim: Claim, notes: ClaimFolder) -> str | None:
        return await self._infrastructure.recover(UUID(claim.flow_run_id), notes.path, claim.identifier)

    async def adopted(self, run: FlowRun, claim: Claim, notes: ClaimFolder, identifier: str) -> Taken:
        taken = Taken(run, claim, notes, begun=True)
        try:
            self._jobs[taken] = await self._job(run, notes)
        except (UnresolvedJob, Gone, ClientError):  # it was started by another job, and can be watched by what is left
            self._jobs[taken] = JobConfiguration(flow_run_id=run.id, flow_run_name=run.name, folder=notes.path)
        self._note(taken, identifier)
        if not run.infrastructure_pid:
            self._shipper.call("PATCH", f"/flow_runs/{run.id}", {"infrastructure_pid": identifier})
        return taken

    def _note(self, taken: Taken, identifier: str) -> None:
        """What was started is noted before anything else is done about it."""
        taken.claim = taken.claim.started(identifier)
        taken.folder.note(taken.claim)

    async def _job(self, run: FlowRun, folder: ClaimFolder) -> JobConfiguration:
        deployment, flow = await asyncio.gather(self._deployment(run), self._flow(run))
        context = JobContext(
            run=run, pool=self._pool(), flow=flow, deployment=deployment,
            worker_name=self._worker_name, worker_id=self._worker_id,
        )  # fmt: skip
        return await resolve_job(self._client, context, self._settings, folder.path)

    async def _deployment(self, run: FlowRun) -> DeploymentResponse | None:
        if run.deployment_id is None:
            return None
        try:
            return await self._client.read_deployment(run.deployment_id)
        except ObjectNotFound:
            raise Gone("The deployment of this flow run was deleted.") from None

    async def _flow(self, run: FlowRun) -> Flow | None:
        try:
            return await self._client.read_flow(run.flow_id)
        except ObjectNotFound:
            return None

    def _say(self, run: FlowRun, level: int, message: str) -> None:
        """A line among the logs of the run."""
        log.log(level, "Flow run %r - %s", run.name, message)
        self._shipper.log(
            {
                "name": _LOGGER,
                "level": level,
                "message": message,
                "timestamp": now().isoformat(),
                "flow_run_id": str(run.id),
                "task_run_id": None,
            }
        )
