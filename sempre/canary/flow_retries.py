"""A flow that fails is run again; tasks whose results are kept are not."""

from __future__ import annotations

from sempre.canary.canary import Canary
from sempre.canary.stage import Stage
from sempre.sdk.flows import flow
from sempre.sdk.tasks import task

__all__ = ["CANARY"]


def check(stage: Stage) -> None:
    attempts: list[int] = []
    computed: list[int] = []
    storage = str(stage.folder())

    @task(persist_result=True, result_storage=storage)
    def compute() -> int:
        computed.append(1)
        return 5

    @flow(retries=2)
    def stumbling() -> int:
        value = compute()
        attempts.append(value)
        if len(attempts) < 3:
            raise RuntimeError("this attempt is meant to fail")
        return value

    played = stage.play(stumbling)
    stage.equal(played.state.result(), 5, "what the last attempt returned")
    stage.equal((len(attempts), len(computed)), (3, 1), "attempts of the flow, and runs of its task")
    run = stage.run(played.id)
    stage.equal((run.state_name, run.run_count), ("Completed", 3), "state and attempts of the flow run")


CANARY = Canary("flow-retries", "a failing flow is run exactly three times, its finished task once", check)
