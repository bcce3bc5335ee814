"""A flow waits where it is until it is resumed, and fails if nobody does."""

from __future__ import annotations

from sempre.canary.canary import Canary
from sempre.canary.stage import Played, Stage
from sempre.sdk.flows import flow
from sempre.sdk.pausing import pause_flow_run, resume_flow_run

__all__ = ["CANARY"]


@flow
def wait_for_somebody(seconds: float) -> str:
    pause_flow_run(timeout=seconds, poll_interval=0.5)
    return "resumed"


def check(stage: Stage) -> None:
    ended: list[Played] = []

    def resume() -> None:
        runs = stage.wait(
            "the run is paused",
            lambda: stage.client.read_flow_runs(
                flow_filter={"name": {"any_": [stage.name]}}, flow_run_filter={"state": {"name": {"any_": ["Paused"]}}}
            ),
        )
        resume_flow_run(runs[0].id)

    stage.side_by_side([lambda: ended.append(stage.play(wait_for_somebody, 300.0)), resume])
    stage.equal(ended[0].state.result(), "resumed", "what the resumed flow returned")

    forgotten = stage.play(wait_for_somebody, 1.0)
    stage.expect(forgotten.state.is_failed(), f"the run that nobody resumed ended {forgotten.state}")
    run = stage.run(forgotten.id)
    stage.equal(run.state_type, "FAILED", "the server's view of the run that nobody resumed")


CANARY = Canary("pauses", "a paused flow goes on when it is resumed, and fails when its time is over", check)
