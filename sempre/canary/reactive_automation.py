"""Events make an automation fire, and its action is carried out."""

from __future__ import annotations

from sempre.canary.automations import create_automation, emit, fires, matching
from sempre.canary.canary import Canary
from sempre.canary.stage import TAG, Stage

__all__ = ["CANARY"]

_THRESHOLD = 3


def check(stage: Stage) -> None:
    deployment = stage.deploy("nap")
    id = create_automation(
        stage,
        matching(stage, "ping", threshold=_THRESHOLD),
        {"type": "run-deployment", "source": "selected", "deployment_id": str(deployment), "parameters": {}},
    )

    def tell() -> None:
        for _ in range(_THRESHOLD):
            emit(stage, "ping")

    fires(stage, id, tell)
    stage.wait(
        "the automation's action made a run",
        lambda: stage.client.count_flow_runs(deployment_filter={"id": {"any_": [str(deployment)]}}),
    )


CANARY = Canary("automation-reactive", f"{_THRESHOLD} {TAG} events make an automation fire and start a run", check)
