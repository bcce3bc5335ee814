"""Creates jobs and secrets."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

from sempre.workers.kubernetes.cluster import Cluster, Kind
from sempre.workers.kubernetes.errors import CONFLICT, ClusterAway, ClusterRefused
from sempre.workers.kubernetes.manifest import Plan
from sempre.workers.kubernetes.settings import KubernetesWorkerSettings
from sempre.workers.kubernetes.settling import Attempt, settled

__all__ = ["create_job", "keep_secret"]

log = logging.getLogger("sempre.workers.kubernetes")


async def create_job(
    cluster: Cluster, planned: Plan, attempt: Attempt, settings: KubernetesWorkerSettings
) -> dict[str, Any]:
    """The job as the cluster keeps it. Raises ClusterRefused or ClusterAway when there is none after all tries,
    and will be none any more.

    The name was drawn before, so that a try whose answer was lost is recognised and never makes a second job.
    """
    if planned.secret is not None:
        await keep_secret(cluster, planned.secret)
    try:
        job = await _create(cluster, planned, attempt, settings)
    except (ClusterAway, ClusterRefused):
        if planned.secret is not None:
            await _drop_secret(cluster, planned)
        raise
    if planned.secret is not None:
        await _own_secret(cluster, planned, job)
    return job


async def _create(
    cluster: Cluster, planned: Plan, attempt: Attempt, settings: KubernetesWorkerSettings
) -> dict[str, Any]:
    tries, unclear = 0, False
    while True:
        try:
            return await cluster.create(Kind.JOBS, planned.job)
        except (ClusterAway, ClusterRefused) as error:
            tries += 1
            unclear = unclear or error.may_be_done
            if tries >= settings.create_job_max_attempts or not error.worth_repeating:
                existing = await settled(cluster, attempt) if unclear else None
                if existing is not None:
                    return existing
                raise
            log.warning("%s; trying again.", error)
        jitter = random.uniform(0, settings.create_job_jitter_seconds)  # noqa: S311
        await asyncio.sleep(settings.create_job_pause_seconds + jitter)


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
