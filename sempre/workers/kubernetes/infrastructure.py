"""Flow runs as Kubernetes jobs."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

from sempre.settings import ClientSettings
from sempre.workers.base import Found, Infrastructure, NotStartedNow
from sempre.workers.configuration import JobConfiguration
from sempre.workers.kubernetes import settings as own_settings
from sempre.workers.kubernetes.cluster import Cluster, Kind
from sempre.workers.kubernetes.creating import create_job, keep_secret
from sempre.workers.kubernetes.errors import ClusterAway, ClusterRefused
from sempre.workers.kubernetes.job_logs import stream_logs
from sempre.workers.kubernetes.manifest import RUN_ID_LABEL, plan
from sempre.workers.kubernetes.names import label_value
from sempre.workers.kubernetes.observer import Observer
from sempre.workers.kubernetes.pods import ended_at, key_of, run_id
from sempre.workers.kubernetes.runs import RunTeller
from sempre.workers.kubernetes.secrets import made_secrets, secret_envs
from sempre.workers.kubernetes.settling import Attempt, settled
from sempre.workers.output import copied

__all__ = ["KubernetesInfrastructure"]

OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
SUFFIX = "bcdfghjklmnpqrstvwxz2456789"  # the letters that the cluster itself makes names of
PAUSE_SECONDS = 1.0
ADOPTED_AFTER_END = timedelta(days=1)

log = logging.getLogger("sempre.workers.kubernetes")


@dataclass(frozen=True)
class _Site:
    """A cluster, and who watches it."""

    cluster: Cluster
    observer: Observer


class KubernetesInfrastructure(Infrastructure):
    """A job for each run. Jobs outlive the worker; whoever observes the cluster next tells how they end."""

    type: ClassVar[str] = "kubernetes"
    command: ClassVar[tuple[str, ...]] = ("prefect", "flow-run", "execute")  # the image may be the stock client's
    stays: ClassVar[bool] = True

    def __init__(self, *, worker_name: str, work_pool_name: str, settings: ClientSettings) -> None:
        super().__init__(worker_name=worker_name, work_pool_name=work_pool_name, settings=settings)
        self._own = own_settings.resolve()
        self._sites: dict[str, _Site] = {}
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        await self._site(None)

    async def close(self) -> None:
        for site in self._sites.values():
            await site.observer.stop()
            await site.cluster.close()
        self._sites.clear()

    async def start(self, job: JobConfiguration) -> str:
        site = await self._site(job.values.get("cluster_config"))
        settings = self._own.worker
        secrets = secret_envs(settings, api_url=self.settings.api.url or "", work_pool_name=self.work_pool_name)
        planned = plan(
            job,
            suffix="".join(random.choices(SUFFIX, k=5)),  # noqa: S311
            start_id=uuid4().hex,
            image=settings.default_image,
            command=self.command,
            secret_envs=secrets,
        )
        attempt = Attempt.of(planned, elsewhere=bool(job.values.get("cluster_config")))
        try:
            for secret in made_secrets(job.env, secrets, planned.namespace):
                await keep_secret(site.cluster, secret)
            attempt.note(job.folder)
            created = await create_job(site.cluster, planned, attempt, settings)
        except ClusterAway as away:
            raise NotStartedNow(str(away)) from away
        except ClusterRefused as refused:
            if refused.passes:
                raise NotStartedNow(str(refused)) from refused
            raise
        return ":".join(key_of(created))

    async def watch(self, job: JobConfiguration, identifier: str) -> int | None:
        site, key = await self._site(job.values.get("cluster_config")), _key(identifier)
        over = asyncio.Event()
        copying = stream_logs(site.cluster, site.observer, key, over) if job.stream_output else None
        async with copied(copying):
            code = await site.observer.ended(key)
            over.set()
        return code

    async def kill(self, job: JobConfiguration, identifier: str, grace: float) -> None:
        await self._delete(await self._site(job.values.get("cluster_config")), _key(identifier), grace)

    async def recover(self, flow_run_id: UUID, folder: Path, identifier: str | None) -> str | None:
        attempt = None if identifier is not None else Attempt.noted(folder)
        if attempt is None:
            return identifier
        if attempt.elsewhere:  # only who has the configuration of the job can ask that cluster: who watches it
            return f"{attempt.namespace}:{attempt.name}"
        existing = await settled((await self._site(None)).cluster, attempt)
        return None if existing is None else ":".join(key_of(existing))

    async def find(self) -> list[Found]:
        site = await self._site(None)
        selector = (
            f"{RUN_ID_LABEL},prefect.io/worker-name={label_value(self.worker_name)},"
            f"prefect.io/work-pool-name={label_value(self.work_pool_name)}"
        )
        found: dict[UUID, Found] = {}
        for each in sorted(await self._jobs(site.cluster, selector), key=_created):  # the last one of a run counts
            run, ended = run_id(each), ended_at(each)
            if run is not None and (ended is None or ended > datetime.now(UTC) - ADOPTED_AFTER_END):
                found[run] = Found(flow_run_id=run, identifier=":".join(key_of(each)))
        return list(found.values())

    async def _jobs(self, cluster: Cluster, selector: str) -> list[dict[str, Any]]:
        """Jobs where this worker may look. Raises ClusterAway and ClusterRefused: no answer is not the same as none."""
        namespaces: tuple[str | None, ...] = self._own.observer.namespaces or (None,)
        try:
            lists = [await cluster.list(Kind.JOBS, namespace, selector) for namespace in namespaces]
        except ClusterRefused as refused:
            if refused.status != 403 or self._own.observer.namespaces:
                raise
            lists = [await cluster.list(Kind.JOBS, namespace, selector) for namespace in self._home()]
        return [each for jobs, _ in lists for each in jobs]

    async def clean_up(self, found: Found) -> bool:
        site = await self._site(None)
        try:
            await self._delete(site, _key(found.identifier), 30)
        except (ClusterAway, ClusterRefused, ValueError) as error:
            log.warning("What flow run %s left behind cannot be deleted: %s", found.flow_run_id, error)
            return False
        return True

    def explain(self, exit_code: int) -> str | None:
        return _MEANINGS.get(exit_code)

    # --- clusters --------------------------------------------------------------------------------------

    async def _site(self, chosen: Mapping[str, Any] | None) -> _Site:
        """The cluster of a run, connected and observed from its first run on."""
        name = json.dumps(chosen, sort_keys=True, default=str) if chosen else ""
        async with self._opening:
            if name not in self._sites:
                cluster, settings = await Cluster.connect(chosen), self._own.observer
                teller = RunTeller(self.settings, at_once=settings.startup_event_concurrency)
                observer = Observer(cluster, teller, settings, worker_name=self.worker_name)
                observer.start(self._home())
                self._sites[name] = _Site(cluster, observer)
        return self._sites[name]

    def _home(self) -> tuple[str, ...]:
        """The namespace this worker runs in."""
        try:
            return (OWN_NAMESPACE.read_text().strip() or "default",)
        except OSError:
            return ("default",)

    async def _delete(self, site: _Site, key: tuple[str, str], grace: float) -> None:
        """Delete a job with its pods, and wait until they are gone."""
        namespace, name = key
        deleted = there = False
        while not deleted or there:
            try:
                if not deleted:
                    await site.cluster.delete(Kind.JOBS, namespace, name, grace=grace)
                deleted = True
                there = await site.cluster.read(Kind.JOBS, namespace, name) is not None
            except ClusterAway as away:
                log.warning("%s; trying again.", away)
                there = True
            if there:
                await asyncio.sleep(PAUSE_SECONDS)


def _created(job: Mapping[str, Any]) -> str:
    return str(job["metadata"].get("creationTimestamp"))


def _key(identifier: str) -> tuple[str, str]:
    """Namespace and name of a job. Some write the cluster's id before them."""
    parts = identifier.split(":")
    if len(parts) < 2:
        raise ValueError(f"{identifier!r} does not name a job; it should be namespace:job.")
    return parts[-2], parts[-1]


_MEANINGS = {
    1: "The flow run, or what was to start it, failed; its log says more.",
    125: "The container could not be started.",
    126: "The command of the job cannot be executed.",
    127: "The command of the job is not in the image.",
    137: "The container was killed, most often because it used more memory than its limit.",
    143: "The container was asked to end, for instance because its node is drained.",
}
