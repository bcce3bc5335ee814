"""Events that tell of pods. Pure: the same pod in the same phase gives the same event, id and time included, so that
workers that watch at the same time, and one that starts again, tell of it once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from sempre.workers.kubernetes.diagnosis import Diagnosis
from sempre.workers.kubernetes.pods import phase_time

__all__ = ["event_id", "pod_event"]

_NAMESPACE = UUID("6e2c8f0b-3a57-5d0c-9a5e-0d8a1c1f7b42")
_RELATED = (
    # kind, label of the id, label of the name
    ("flow-run", "prefect.io/flow-run-id", "prefect.io/flow-run-name"),
    ("flow", "prefect.io/flow-id", "prefect.io/flow-name"),
    ("deployment", "prefect.io/deployment-id", "prefect.io/deployment-name"),
    ("work-pool", "prefect.io/work-pool-id", "prefect.io/work-pool-name"),
)


def event_id(pod_uid: str, phase: str) -> UUID:
    return uuid5(_NAMESPACE, f"{pod_uid}:{phase}")


def pod_event(
    pod: Mapping[str, Any], phase: str, *, follows: str | None = None, diagnosis: Diagnosis | None = None
) -> dict[str, Any]:
    """The event that a pod entered a phase; `follows` is the phase it was in before."""
    metadata = pod["metadata"]
    labels = metadata.get("labels") or {}
    uid = metadata["uid"]
    resource = {
        "prefect.resource.id": f"prefect.kubernetes.pod.{uid}",
        "prefect.resource.name": metadata["name"],
        "kubernetes.namespace": metadata.get("namespace", "default"),
    }
    if diagnosis is not None:
        resource |= {"kubernetes.reason": diagnosis.kind, "kubernetes.message": str(diagnosis)[:1000]}
    event: dict[str, Any] = {
        "id": event_id(uid, phase),
        "occurred": phase_time(pod, phase),
        "event": f"prefect.kubernetes.pod.{phase}",
        "resource": resource,
        "related": _related(labels),
    }
    if follows is not None:
        event["follows"] = event_id(uid, follows)
    return event


def _related(labels: Mapping[str, str]) -> list[dict[str, str]]:
    related = [
        {
            "prefect.resource.id": f"prefect.{kind}.{labels[id_label]}",
            "prefect.resource.role": kind,
            "prefect.resource.name": labels.get(name_label, ""),
        }
        for kind, id_label, name_label in _RELATED
        if labels.get(id_label)
    ]
    worker = labels.get("prefect.io/worker-name")
    if worker:
        related.append(
            {
                "prefect.resource.id": f"prefect.worker.kubernetes.{worker.lower()}",
                "prefect.resource.role": "worker",
                "prefect.resource.name": worker,
                "prefect.worker-type": "kubernetes",
            }
        )
    return related
