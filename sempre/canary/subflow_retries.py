"""A subflow is run again by its own retries, within one attempt of the flow around it."""

from __future__ import annotations

from sempre.canary.canary import Canary
from sempre.canary.stage import TAG, Stage
from sempre.sdk.flows import flow

__all__ = ["CANARY"]


def check(stage: Stage) -> None:
    attempts: list[int] = []

    @flow(retries=2)
    def child() -> int:
        attempts.append(1)
        if len(attempts) < 3:
            raise RuntimeError("this attempt is meant to fail")
        return len(attempts)

    inner = stage.own(child, name=f"{stage.name}-child")

    @flow
    def parent() -> int:
        return int(inner())

    played = stage.play(parent)
    stage.equal(played.state.result(), 3, "the attempt of the subflow that succeeded")
    stage.equal(stage.run(played.id).run_count, 1, "attempts of the flow")
    children = stage.client.read_flow_runs(flow_filter={"name": {"any_": [f"{stage.name}-child"]}})
    stage.equal([(each.state_name, each.run_count) for each in children], [("Completed", 3)], "the subflow's runs")
    stage.expect(children[0].parent_task_run_id, "the subflow's run has no place in the run around it")
    stage.expect(TAG in children[0].tags, f"the subflow's run has not got the tags around it: {children[0].tags}")


CANARY = Canary("subflow-retries", "a failing subflow is run exactly three times within one run of its flow", check)
