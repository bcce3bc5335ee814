"""A flow gives up its process and is executed again once it is resumed."""

from __future__ import annotations

from sempre.canary.canary import Canary
from sempre.canary.hands import carry_out, create_run
from sempre.canary.stage import Stage
from sempre.sdk.pausing import resume_flow_run

__all__ = ["CANARY"]


def check(stage: Stage) -> None:
    run_id = create_run(stage, stage.deploy("stand_by"))
    carry_out(stage, run_id)
    stage.equal(stage.run(run_id).state_name, "Suspended", "the state after the first execution")
    resume_flow_run(run_id)
    stage.equal(stage.run(run_id).state_type, "SCHEDULED", "the state after it was resumed")
    carry_out(stage, run_id)
    stage.equal(stage.run(run_id).state_name, "Completed", "the state after the second execution")
    history = [str(state.name) for state in stage.client.read_flow_run_states(run_id)]
    stage.equal(history.count("Running"), 2, f"how often it was executed ({', '.join(history)})")


CANARY = Canary("suspends", "a suspended run is scheduled again when it is resumed, and completes", check)
