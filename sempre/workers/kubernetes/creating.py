"""Creates jobs and secrets, and finds out what became of an answer that did not come."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from typing import Any

from sempre.workers.kubernetes.cluster import Cluster, Kind
from sempre.workers.kubernetes.errors import ClusterAway, ClusterRefused
from sempre.workers.kubernetes.manifest import Plan
from sempre.workers.kubernetes.pods import run_id
from sempre.workers.kubernetes.settings import KubernetesWorkerSettings

__all__ = ["create_job", "keep_secret"]

CONFLICT = 409
FIND_OUT_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

log = logging.getLogger("sempre.workers.kubernetes")


async def create_job(cluster: Cluster, planned: Plan, settings: KubernetesWorkerSettings) -> dict[str, Any]:
    """The job as the cluster keeps it. Raises ClusterRefused or ClusterAway when there is none after all tries.

    The name was drawn before, so that a try whose answer was lost is recognised and never makes a second job.
    """
    if planned.secret is not None:
        await keep_secret(cluster, planned.secret)
    try:
        job = await _create(cluster, planned, settings)
    except (ClusterAway, ClusterRefused):
        if planned.secret is not None:
            await _drop_secret(cluster, planned)
        raise
    if planned.secret is not None:
        await _own_secret(cluster, planned, job)
    return job


async def _create(cluster: Cluster, planned: Plan, settings: KubernetesWorkerSettings) -> dict[str, Any]:
    attempt = 1
    while True:
        try:
            return await cluster.create(Kind.JOBS, planned.job)
        except (ClusterAway, ClusterRefused) as error:
            conflict = isinstance(error, ClusterRefused) and error.status == CONFLICT
            last = attempt >= settings.create_job_max_attempts
            unclear = isinstance(error, ClusterAway) or error.worth_repeating
            if conflict or (unclear and last):
                existing = await _find_out(cluster, planned)
                if existing is not None:
                    return existing
            if last or not unclear:
                raise
            log.warning("%s; trying again.", error)
        jitter = random.uniform(0, settings.create_job_jitter_seconds)  # noqa: S311
        await asyncio.sleep(settings.create_job_pause_seconds + jitter)
        attempt += 1


async def _find_out(cluster: Cluster, planned: Plan) -> dict[str, Any] | None:
    """The job of the planned name, if it is there and of the same run. An answer is waited for, however long it takes:
    a run whose job may be there must not be given to somebody else."""
    for pause in itertools.chain(FIND_OUT_PAUSES, itertools.repeat(FIND_OUT_PAUSES[-1])):
        try:
            existing = await cluster.read(Kind.JOBS, planned.namespace, planned.name)
        except (ClusterAway, ClusterRefused) as error:
            if isinstance(error, ClusterRefused) and not error.worth_repeating:
                return None
            log.warning("Whether job %s was created is not known: %s; asking again.", planned.name, error)
            await asyncio.sleep(pause)
        else:
            return existing if existing is not None and run_id(existing) == run_id(planned.job) else None
    raise AssertionError("the pauses have no end")


async def keep_secret(cluster: Cluster, secret: dict[str, Any]) -> None:
    """Create a secret, or give the one that is there the same values."""
    namespace, name = secret["metadata"]["namespace"], secret["metadata"]["name"]
    try:
        await cluster.create(Kind.SECRETS, secret)
    except ClusterRefused as refused:
        if refused.status != CONFLICT:
            raise
        await cluster.patch(Kind.SECRETS, namespace, name, {"data": secret["data"]})


async def _own_secret(cluster: Cluster, planned: Plan, job: dict[str, Any]) -> None:
    """The secret goes when its job goes."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": planned.name, "uid": job["metadata"]["uid"]}
    try:
        await cluster.patch(Kind.SECRETS, planned.namespace, planned.name, {"metadata": {"ownerReferences": [owner]}})
    except (ClusterAway, ClusterRefused) as error:
        log.warning("The secret %s will stay when its job goes: %s", planned.name, error)


async def _drop_secret(cluster: Cluster, planned: Plan) -> None:
    try:
        await cluster.delete(Kind.SECRETS, planned.namespace, planned.name)
    except (ClusterAway, ClusterRefused) as error:
        log.warning("The secret %s could not be deleted: %s", planned.name, error)
