"""Whether a job was created, where no answer came: decided, and decided for good.

A request that was sent may still be carried out after its job was not found: it waits in a proxy, or for a slow store.
So who gives a job up takes its name, with a job that has nothing to do. Of two jobs of one name the cluster makes one,
and so the two exclude each other, as a process and who gives it up do by a file
(:mod:`sempre.sdk.serving.claim_folder`). What is about to be created is noted beforehand, so that the next worker can
do the same for one that died.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sempre.workers.kubernetes.cluster import Cluster, Kind
from sempre.workers.kubernetes.errors import CONFLICT, ClusterAway, ClusterRefused
from sempre.workers.kubernetes.manifest import COMMON_LABELS, START, Plan

__all__ = ["Attempt", "settled"]

PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
LANDING_SECONDS = 90.0  # clusters drop a request after 60
KEPT_SECONDS = 3600  # an empty job
_NOTE = "job.json"

log = logging.getLogger("sempre.workers.kubernetes")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A job that is to be created: where, and the mark it bears. `unique`: nothing else is ever called so, unless the
    template's author wants one certain name. `elsewhere`: not in the worker's own cluster."""

    namespace: str
    name: str
    start_id: str
    unique: bool
    elsewhere: bool

    @classmethod
    def of(cls, planned: Plan, *, elsewhere: bool) -> Attempt:
        metadata = planned.job["metadata"]
        return cls(
            namespace=planned.namespace, name=planned.name, start_id=metadata["annotations"][START],
            unique="generateName" in metadata, elsewhere=elsewhere,
        )  # fmt: skip

    @classmethod
    def noted(cls, folder: Path) -> Attempt | None:
        """What was noted in the folder of a claim; None: nothing was about to be created."""
        try:
            return cls(**json.loads((folder / _NOTE).read_text()))
        except FileNotFoundError:
            return None

    def note(self, folder: Path) -> None:
        if folder.is_dir():
            draft = folder / f".{_NOTE}"
            draft.write_text(json.dumps(asdict(self)))
            draft.replace(folder / _NOTE)

    def is_made(self, job: Mapping[str, Any]) -> bool:
        """Whether the job is the one that this attempt made."""
        return (job["metadata"].get("annotations") or {}).get(START) == self.start_id


async def settled(cluster: Cluster, attempt: Attempt) -> dict[str, Any] | None:
    """The job of an attempt; None if there is none and never will be. An answer is waited for, however long it takes: a
    run whose job may come to be must not be given to somebody else."""
    until = time.monotonic() + LANDING_SECONDS
    takes = attempt.unique
    for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
        try:
            took = await _take(cluster, attempt) if takes else None
            if took:
                return None
            holder = await _holder(cluster, attempt)
            if holder is not None:
                return holder if attempt.is_made(holder) else None
            takes = took is not None
            if time.monotonic() >= until:
                return None
        except (ClusterAway, ClusterRefused) as error:
            log.warning("Whether job %s was created is not known: %s; asking again.", attempt.name, error)
        await asyncio.sleep(pause)
    raise AssertionError("the pauses have no end")


async def _take(cluster: Cluster, attempt: Attempt) -> bool | None:
    """Whether the name is taken by us now; None: the cluster takes no such job, so time has to tell."""
    try:
        await cluster.create(Kind.JOBS, _empty(attempt))
    except ClusterRefused as refused:
        if refused.worth_repeating:
            raise
        return False if refused.status == CONFLICT else None
    return True


async def _holder(cluster: Cluster, attempt: Attempt) -> dict[str, Any] | None:
    """The job of the name; None if there is none, or none that may be looked at."""
    try:
        return await cluster.read(Kind.JOBS, attempt.namespace, attempt.name)
    except ClusterRefused as refused:
        if refused.worth_repeating:
            raise
        return None


def _empty(attempt: Attempt) -> dict[str, Any]:
    """A job without pods, complete at once, that nobody observes and that the cluster removes."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"namespace": attempt.namespace, "name": attempt.name, "labels": dict(COMMON_LABELS)},
        "spec": {
            "parallelism": 0,
            "completions": 0,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "none", "image": "none"}]}},
        },
    }
