"""What pods and jobs say, and what is wrong with them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from sempre.workers.kubernetes.diagnosis import diagnose
from sempre.workers.kubernetes.pod_events import pod_event
from sempre.workers.kubernetes.pods import JobPhase, exit_code, job_phase, moment, phase_of, started

CREATED, BEGUN, ENDED = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"


def pod(phase: str = "Pending", state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    more = {"containerStatuses": [{"name": "prefect-job", "image": "x:1", "state": state}]} if state else {}
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": "u-1", "creationTimestamp": CREATED, "labels": {}},
        "status": {"phase": phase, **more, **status},
    }


def unschedulable(message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(conditions=[condition])


@pytest.mark.parametrize(
    ("thing", "kind"),
    [
        (pod(), None),
        (pod("Running", {"running": {"startedAt": BEGUN}}), None),
        (pod("Failed", {"terminated": {"exitCode": 1, "reason": "Error"}}), None),
        (pod(state={"waiting": {"reason": "ContainerCreating"}}), None),
        (pod(state={"waiting": {"reason": "ErrImagePull", "message": "no such image"}}), "ImagePullError"),
        (pod(state={"waiting": {"reason": "ImagePullBackOff"}}), "ImagePullError"),
        (pod(state={"waiting": {"reason": "InvalidImageName"}}), "ImagePullError"),
        (pod("Running", {"waiting": {"reason": "CrashLoopBackOff"}}), "CrashLoopBackOff"),
        (pod("Failed", {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), "OOMKilled"),
        (pod("Failed", reason="Evicted", message="The node was low on resource: memory."), "Evicted"),
        (pod("Running", conditions=[{"type": "DisruptionTarget", "status": "True"}]), "Evicted"),
        (unschedulable("0/3 nodes are available: 3 Insufficient cpu."), "Unschedulable.InsufficientResources"),
        (unschedulable("0/1 nodes: 1 node(s) had untolerated taint {gpu: true}."), "Unschedulable.Taint"),
        (unschedulable("0/1: node(s) didn't match Pod's node affinity/selector."), "Unschedulable.NodeAffinity"),
        (unschedulable("persistentvolumeclaim \"data\" not found"), "Unschedulable"),
    ],
)  # fmt: skip
def test_diagnoses(thing: dict[str, Any], kind: str | None) -> None:
    found = diagnose(thing)
    assert (found and found.kind) == kind


@pytest.mark.parametrize(
    ("spec", "status", "phase"),
    [
        ({}, {}, JobPhase.ACTIVE),
        ({"backoffLimit": 0}, {"active": 1}, JobPhase.ACTIVE),
        ({"backoffLimit": 2}, {"failed": 2, "active": 1}, JobPhase.ACTIVE),
        ({"backoffLimit": 2}, {"failed": 3}, JobPhase.FAILED),
        ({"backoffLimit": 6}, {"failed": 1, "conditions": [{"type": "Failed", "status": "True"}]}, JobPhase.FAILED),
        ({}, {"conditions": [{"type": "Failed", "status": "False"}]}, JobPhase.ACTIVE),
        ({}, {"failed": 1, "succeeded": 1}, JobPhase.SUCCEEDED),
        ({}, {"conditions": [{"type": "Complete", "status": "True"}]}, JobPhase.SUCCEEDED),
    ],
)
def test_phases_of_jobs(spec: dict[str, Any], status: dict[str, Any], phase: JobPhase) -> None:
    assert job_phase({"spec": spec, "status": status}) is phase


def test_events_are_the_same_whoever_tells_them() -> None:
    running = pod("Running", {"running": {"startedAt": BEGUN}})
    run_id = str(uuid4())
    running["metadata"]["labels"] = {"prefect.io/flow-run-id": run_id, "prefect.io/flow-run-name": "fox"}
    one, other = pod_event(running, "running", follows="pending"), pod_event(running, "running")
    assert (one["id"], one["occurred"]) == (other["id"], other["occurred"])
    assert one["occurred"] == moment(BEGUN)
    assert one["event"] == "prefect.kubernetes.pod.running"
    assert one["follows"] == pod_event(pod(), "pending")["id"]
    assert one["related"] == [
        {
            "prefect.resource.id": f"prefect.flow-run.{run_id}",
            "prefect.resource.role": "flow-run",
            "prefect.resource.name": "fox",
        }
    ]
    # The time of a phase stays what it was, however much later the pod is looked at.
    scheduled = pod(startTime=BEGUN)
    assert pod_event(scheduled, "pending")["occurred"] == pod_event(pod(), "pending")["occurred"] == moment(CREATED)
    ended = pod("Failed", {"terminated": {"exitCode": 1, "startedAt": BEGUN, "finishedAt": ENDED}})
    assert pod_event(ended, phase_of(ended))["occurred"] == moment(ENDED)


def test_exit_codes() -> None:
    first = pod("Failed", {"terminated": {"exitCode": 3}})
    second = pod("Failed", {"terminated": {"exitCode": 7}})
    second["metadata"]["creationTimestamp"] = ENDED
    assert exit_code([second, first]) == 7
    assert exit_code([]) is None
    assert exit_code([pod("Failed", reason="Evicted")]) is None
    assert (started(first), started(pod())) == (True, False)
