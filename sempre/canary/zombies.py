"""A run whose process was killed is found by the heartbeats that stay away."""

from __future__ import annotations

from typing import Any

from sempre.canary.automations import create_automation
from sempre.canary.canary import Canary
from sempre.canary.hands import claim, create_run, start_process
from sempre.canary.stage import Stage

__all__ = ["CANARY"]

_HEARTBEAT = "prefect.flow-run.heartbeat"
_ENDED = [f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Crashed", "Cancelled")]
_SILENCE = 10  # seconds, the shortest that the protocol allows


def check(stage: Stage) -> None:
    run_id = create_run(stage, stage.deploy("hang"))
    resource = f"prefect.flow-run.{run_id}"
    create_automation(stage, _silence_of(resource), _crash())
    stage.equal(str(claim(stage, run_id).status), "ACCEPT", "the answer to a claim of the run")
    process = start_process(stage, run_id, SEMPRE_FLOWS_HEARTBEAT_FREQUENCY="2", PREFECT_FLOWS_HEARTBEAT_FREQUENCY="30")
    heartbeats = {"event": {"name": [_HEARTBEAT]}, "resource": {"id": [resource]}}
    stage.wait("the run's heartbeats arrive", lambda: stage.client.read_events(heartbeats, limit=1).total)
    stage.equal(stage.run(run_id).state_name, "Running", "the state of the run before its process is killed")
    process.kill()
    stage.wait("the killed run is Crashed", lambda: stage.run(run_id).state_type, lambda state: state == "CRASHED")


def _silence_of(resource: str) -> dict[str, Any]:
    return {
        "type": "event",
        "posture": "Proactive",
        "match": {"prefect.resource.id": resource},
        "for_each": ["prefect.resource.id"],
        "after": [_HEARTBEAT],
        "expect": [_HEARTBEAT, *_ENDED],
        "threshold": 1,
        "within": _SILENCE,
    }


def _crash() -> dict[str, Any]:
    return {"type": "change-flow-run-state", "state": "CRASHED", "message": "Its heartbeats stayed away."}


CANARY = Canary("zombies", "a run whose process was killed is Crashed by an automation on its heartbeats", check)
