"""A task that fails is run again as often as it says."""

from __future__ import annotations

from sempre.canary.canary import Canary
from sempre.canary.recorded import recorded
from sempre.canary.stage import Stage
from sempre.sdk.flows import flow
from sempre.sdk.tasks import task

__all__ = ["CANARY"]


def check(stage: Stage) -> None:
    attempts: list[int] = []

    @task(retries=2)
    def stumble() -> int:
        attempts.append(1)
        if len(attempts) < 3:
            raise RuntimeError("this attempt is meant to fail")
        return len(attempts)

    @flow
    def stumbling() -> int:
        return stumble()

    played = stage.play(stumbling)
    stage.equal(played.state.result(), 3, "the attempt that succeeded")
    (run,) = recorded(stage, played.id, 1)
    stage.equal((run.state_name, run.run_count), ("Completed", 3), "state and attempts of the task run")


CANARY = Canary("task-retries", "a failing task is run exactly as often as its retries say", check)
