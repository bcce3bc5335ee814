"""What pods and jobs say about themselves, read from the objects as the cluster shows them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from sempre.workers.kubernetes.diagnosis import is_evicted
from sempre.workers.kubernetes.manifest import CLUSTER_BACKOFF_LIMIT, RUN_CONTAINER, RUN_ID_LABEL

__all__ = [
    "JobPhase",
    "ended_at",
    "exit_code",
    "job_phase",
    "key_of",
    "moment",
    "phase_of",
    "phase_time",
    "run_id",
    "started",
]

Object = Mapping[str, Any]


class JobPhase(Enum):
    ACTIVE = "active"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


def key_of(thing: Object) -> tuple[str, str]:
    """Namespace and name."""
    metadata = thing["metadata"]
    return metadata.get("namespace", "default"), metadata["name"]


def run_id(thing: Object) -> UUID | None:
    """The flow run that the object belongs to."""
    try:
        return UUID((thing["metadata"].get("labels") or {})[RUN_ID_LABEL])
    except (KeyError, ValueError):
        return None


def job_phase(job: Object) -> JobPhase:
    """Failed only when the cluster does not try again."""
    spec, status = job.get("spec") or {}, job.get("status") or {}
    conditions = {
        condition.get("type") for condition in status.get("conditions") or () if condition.get("status") == "True"
    }
    if conditions & {"Complete", "SuccessCriteriaMet"} or status.get("succeeded"):
        return JobPhase.SUCCEEDED
    if "Failed" in conditions:
        return JobPhase.FAILED
    failed, active = status.get("failed") or 0, status.get("active") or 0
    if failed > spec.get("backoffLimit", CLUSTER_BACKOFF_LIMIT) and not active:
        return JobPhase.FAILED
    return JobPhase.ACTIVE


def ended_at(job: Object) -> datetime | None:
    """When the job ended, None if it has not or does not say."""
    status = job.get("status") or {}
    ends = [status.get("completionTime")]
    ends += [
        condition.get("lastTransitionTime")
        for condition in status.get("conditions") or ()
        if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True"
    ]
    return next((moment(end) for end in ends if end), None)


def phase_of(pod: Object) -> str:
    """`pending`, `running`, `succeeded`, `failed`, `unknown`, or `evicted`."""
    if is_evicted(pod):
        return "evicted"
    return str((pod.get("status") or {}).get("phase") or "pending").lower()


def phase_time(pod: Object, phase: str) -> datetime:
    """When the phase began, by what the pod itself says: the same whoever reads it, and however often."""
    status = pod.get("status") or {}
    states = [container.get("state") or {} for container in status.get("containerStatuses") or ()]
    created: str = pod["metadata"]["creationTimestamp"]
    candidates: list[str | None] = []
    if phase == "pending":
        return moment(created)
    if phase == "running":
        begun = [(state.get("running") or state.get("terminated") or {}).get("startedAt") for state in states]
        return moment(min((each for each in begun if each), default=created))
    if phase == "evicted":
        candidates = [
            condition.get("lastTransitionTime")
            for condition in status.get("conditions") or ()
            if condition.get("type") == "DisruptionTarget"
        ]
    elif phase in ("succeeded", "failed"):
        candidates = [(state.get("terminated") or {}).get("finishedAt") for state in states]
    known = [each for each in candidates if each]
    return moment(max(known) if known else status.get("startTime") or created)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def started(pod: Object) -> bool:
    """Whether a container of it has run."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        states = (container.get("state") or {}, container.get("lastState") or {})
        if any(state.get("running") or state.get("terminated") for state in states):
            return True
    return False


def exit_code(pods: Iterable[Object]) -> int | None:
    """How the container of the run ended in the pod that was made last; None if nobody knows."""
    newest = max(pods, key=lambda pod: pod["metadata"].get("creationTimestamp") or "", default=None)
    statuses = list(((newest or {}).get("status") or {}).get("containerStatuses") or ())
    statuses.sort(key=lambda status: status.get("name") != RUN_CONTAINER)
    for status in statuses[:1]:
        ended = (status.get("state") or {}).get("terminated") or {}
        if "exitCode" in ended:
            return int(ended["exitCode"])
    return None
