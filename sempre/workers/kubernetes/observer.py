"""Watches the pods and jobs of flow runs, whoever started them, and tells what happens to them.

It remembers nothing that the cluster does not: a worker that starts again lists what is there and goes on. Any number
of workers may observe the same cluster; events have ids of the pods' own, and of several proposals one is heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sempre.workers.kubernetes.cluster import Cluster, Kind
from sempre.workers.kubernetes.diagnosis import diagnose
from sempre.workers.kubernetes.errors import ClusterAway, ClusterRefused
from sempre.workers.kubernetes.following import Change, follow
from sempre.workers.kubernetes.manifest import RUN_ID_LABEL
from sempre.workers.kubernetes.names import label_value
from sempre.workers.kubernetes.pod_events import pod_event
from sempre.workers.kubernetes.pods import JobPhase, exit_code, job_phase, key_of, phase_of, run_id, started
from sempre.workers.kubernetes.runs import DELETED, NO_PODS, RunTeller
from sempre.workers.kubernetes.settings import ObserverSettings

__all__ = ["Observer"]

JOB_NAME_LABEL = "job-name"
LOOK_SECONDS = 60.0  # a job nothing is heard of is looked at itself
Key = tuple[str, str]

log = logging.getLogger("sempre.workers.kubernetes")


@dataclass
class _Job:
    thing: dict[str, Any]
    gone: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ending: asyncio.Task[bool] | None = None


@dataclass
class _Pod:
    thing: dict[str, Any]
    phase: str | None = None
    told: set[str] = field(default_factory=set)


class Observer:
    """Of one cluster, in one loop."""

    def __init__(self, cluster: Cluster, teller: RunTeller, settings: ObserverSettings, *, worker_name: str) -> None:
        self._cluster = cluster
        self._teller = teller
        self._settings = settings
        self._ours = label_value(worker_name)
        self._selector = ",".join(filter(None, (RUN_ID_LABEL, settings.additional_label_filters)))
        self._jobs: dict[Key, _Job] = {}
        self._of_runs: dict[UUID, set[Key]] = {}  # the jobs of each run
        self._pods: dict[Key, dict[str, _Pod]] = {}  # of each job, by their ids
        self._watched: set[str | None] = set()
        self._wanted: set[str] = set()  # where jobs are waited for
        self._everywhere = not settings.namespaces
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- from outside ----------------------------------------------------------------------------------

    def start(self, fallback_namespaces: Iterable[str] = ("default",)) -> None:
        """Watch the namespaces of the settings; without any all, or where that is forbidden the `fallback` ones."""
        self._fallback = tuple(fallback_namespaces)
        for namespace in self._settings.namespaces or (None,):
            self._watch(namespace)

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ended(self, key: Key) -> int | None:
        """Wait until a job has ended and that is told; the exit code of its run, None if nobody knows."""
        self._wanted.add(key[0])
        if not self._everywhere:
            self._watch(key[0])
        while True:
            job = self._jobs.get(key)
            if job is not None:
                ending = self._ending(job)
                if ending is not None:
                    return 0 if await asyncio.shield(ending) else await self._exit_code(job)
                job.changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(job.changed.wait(), LOOK_SECONDS)
                    continue
            if await self._look(key) is False and job is None:
                return None  # it went before anybody saw it

    async def pods_of(self, key: Key) -> list[dict[str, Any]]:
        """The pods of a job, the oldest first."""
        namespace, name = key
        try:
            pods, _ = await self._cluster.list(Kind.PODS, namespace, f"{JOB_NAME_LABEL}={name}")
        except (ClusterAway, ClusterRefused):
            return self.known_pods(key)
        return _by_age(pods)

    def known_pods(self, key: Key) -> list[dict[str, Any]]:
        """The same, as they were last seen, without asking."""
        return _by_age([pod.thing for pod in self._pods.get(key, {}).values()])

    # --- what changes ----------------------------------------------------------------------------------

    def _watch(self, namespace: str | None) -> None:
        if namespace not in self._watched:
            self._watched.add(namespace)
            self._spawn(self._follow(Kind.JOBS, namespace))
            self._spawn(self._follow(Kind.PODS, namespace))

    async def _follow(self, kind: tuple[str, str], namespace: str | None) -> None:
        take = self._job_changed if kind is Kind.JOBS else self._pod_changed
        try:
            async for change in follow(self._cluster, kind, namespace, self._selector):
                try:
                    take(change)
                except Exception:
                    log.exception("What happened to %s was not understood.", key_of(change.thing))
        except ClusterRefused as refused:
            if namespace is not None:
                log.error("%s in %s cannot be observed. %s", kind[1].capitalize(), namespace, refused)
            if namespace is not None or not self._everywhere:
                return
            self._everywhere = False
            log.warning(
                "All namespaces together cannot be observed, only %s and those this worker creates jobs in. Name "
                "others in SEMPRE_KUBERNETES_OBSERVER_NAMESPACES, or give the worker a cluster role. (%s)",
                ", ".join(self._fallback),
                refused,
            )
            for each in {*self._fallback, *self._wanted}:
                self._watch(each)

    def _job_changed(self, change: Change) -> None:
        key = key_of(change.thing)
        job = self._jobs.setdefault(key, _Job(change.thing))
        if job.thing["metadata"].get("uid") != change.thing["metadata"].get("uid"):  # another one of the same name
            job.changed.set()
            job = self._jobs[key] = _Job(change.thing)
        job.thing, job.gone = change.thing, change.gone
        run = run_id(change.thing)
        if run is not None:
            self._of_runs.setdefault(run, set()).add(key)
        ending = self._ending(job)
        if change.gone:
            assert ending is not None
            ending.add_done_callback(lambda _: self._forget(key, job))
        job.changed.set()

    def _forget(self, key: Key, job: _Job) -> None:
        if self._jobs.get(key) is not job:
            return
        del self._jobs[key]
        run = run_id(job.thing)
        if run is not None and key in (keys := self._of_runs.get(run, set())):
            keys.discard(key)
            if not keys:
                del self._of_runs[run]

    def _pod_changed(self, change: Change) -> None:
        uid, labels = change.thing["metadata"]["uid"], change.thing["metadata"].get("labels") or {}
        key = key_of(change.thing)[0], labels.get(JOB_NAME_LABEL, "")
        pods = self._pods.setdefault(key, {})
        pod = pods.setdefault(uid, _Pod(change.thing))
        pod.thing = change.thing
        if change.gone:
            del pods[uid]
            if not pods:
                del self._pods[key]
        run, phase = run_id(pod.thing), phase_of(pod.thing)
        if run is None or not self._settings.enabled:
            return
        diagnosis = diagnose(pod.thing)
        if phase != pod.phase:
            if self._settings.replicate_pod_events:
                self._teller.event(pod_event(pod.thing, phase, follows=pod.phase, diagnosis=diagnosis))
            pod.phase = phase
            if phase == "pending":
                self._spawn(self._teller.waits(run))
        if diagnosis is not None and diagnosis.kind not in pod.told:
            pod.told.add(diagnosis.kind)
            ours = labels.get("prefect.io/worker-name") == self._ours
            self._spawn(self._teller.diagnosed(run, diagnosis, ours=ours))

    # --- how jobs end ----------------------------------------------------------------------------------

    async def _look(self, key: Key) -> bool | None:
        """Ask for a job itself, which watching may have missed. Whether it is there, None if that is not known."""
        try:
            thing = await self._cluster.read(Kind.JOBS, *key)
        except (ClusterAway, ClusterRefused) as error:
            log.debug("%s", error)
            await asyncio.sleep(1)
            return None
        job = self._jobs.get(key)
        if thing is not None:
            self._job_changed(Change(thing))
        elif job is not None:
            self._job_changed(Change(job.thing, gone=True))
        return thing is not None

    def _ending(self, job: _Job) -> asyncio.Task[bool] | None:
        """Begun once, when a job has ended or is gone."""
        if job.ending is None and (job.gone or job_phase(job.thing) is not JobPhase.ACTIVE):
            job.ending = self._spawn(self._end(job))
        return job.ending

    async def _end(self, job: _Job) -> bool:
        """Tell of it, if it is no success. Whether the run lives on in another job."""
        run, phase = run_id(job.thing), job_phase(job.thing)
        if run is None or phase is JobPhase.SUCCEEDED or not self._settings.enabled:
            return False
        message = NO_PODS if phase is JobPhase.FAILED else DELETED
        return await self._teller.crashed(run, message, lambda: self._lives_on(run, job), lambda: self._last_lines(job))

    async def _exit_code(self, job: _Job) -> int | None:
        if job_phase(job.thing) is JobPhase.SUCCEEDED:
            return 0
        pods = await self.pods_of(key_of(job.thing))
        return 0 if any(phase_of(pod) == "succeeded" for pod in pods) else exit_code(pods)

    async def _lives_on(self, run: UUID, ended: _Job) -> bool:
        """Whether it succeeded after all, or another job has the run now or gets it soon."""
        if any(phase_of(pod) == "succeeded" for pod in await self.pods_of(key_of(ended.thing))):
            return True
        deadline = asyncio.get_running_loop().time() + self._settings.other_job_wait_seconds
        while True:
            jobs = [self._jobs[key] for key in self._of_runs.get(run, ()) if key in self._jobs]
            others = [job for job in jobs if job is not ended and not job.gone]
            if any(job_phase(job.thing) is not JobPhase.FAILED for job in others):
                return True
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            await asyncio.sleep(min(1.0, left))

    async def _last_lines(self, job: _Job) -> list[str]:
        settings = self._settings
        for pod in reversed(await self.pods_of(key_of(job.thing))):
            if settings.forward_crashed_run_logs and started(pod):
                namespace, name = key_of(pod)
                tail = settings.forward_crashed_run_logs_tail_lines
                try:
                    return [line async for line in self._cluster.log(namespace, name, tail=tail)]
                except (ClusterAway, ClusterRefused) as error:
                    log.debug("%s", error)
        return []

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("A part of observing the cluster ended.", exc_info=task.exception())


def _by_age(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
