"""A deployment with a limit runs no more than so many at once; the others wait, or are cancelled."""

from __future__ import annotations

from uuid import UUID

from sempre.canary.canary import Canary
from sempre.canary.hands import carry_out, claim, create_run
from sempre.canary.overlaps import most_at_once
from sempre.canary.stage import Stage
from sempre.sdk.execute import execute

__all__ = ["CANARY"]

_LIMIT = 2
_RUNS = 4
_SECONDS = 1.0  # that each run holds its slot


def check(stage: Stage) -> None:
    _enqueue(stage)
    _cancel_new(stage)


def _deploy(stage: Stage, strategy: str) -> UUID:
    return stage.deploy("hold", concurrency_limit=_LIMIT, concurrency_options={"collision_strategy": strategy})


def _claimed(stage: Stage, runs: list[UUID]) -> list[UUID]:
    """The runs that the server lets begin, of all that are claimed one after the other."""
    accepted = [run for run in runs if claim(stage, run).status == "ACCEPT"]
    stage.equal(len(accepted), _LIMIT, "how many runs the limit let begin at once")
    return accepted


def _enqueue(stage: Stage) -> None:
    deployment = _deploy(stage, "ENQUEUE")
    runs = [create_run(stage, deployment, seconds=_SECONDS) for _ in range(_RUNS)]
    first = _claimed(stage, runs)
    waiting = [run for run in runs if run not in first]
    states = {stage.run(run).state_name for run in waiting}
    stage.equal(states, {"AwaitingConcurrencySlot"}, "the states of runs beyond the limit")
    stage.side_by_side(
        [*(lambda run=run: execute(run) for run in first), *(lambda run=run: carry_out(stage, run) for run in waiting)]
    )
    ended = [stage.run(run) for run in runs]
    stage.equal([run.state_name for run in ended], ["Completed"] * _RUNS, "how the runs ended that had to wait")
    stage.expect(most_at_once(ended) <= _LIMIT, f"{most_at_once(ended)} runs were under way at once")
    _nothing_held(stage, deployment)


def _cancel_new(stage: Stage) -> None:
    deployment = _deploy(stage, "CANCEL_NEW")
    runs = [create_run(stage, deployment, seconds=_SECONDS) for _ in range(_RUNS)]
    first = _claimed(stage, runs)
    stage.side_by_side([lambda run=run: execute(run) for run in first])  # type: ignore[misc]
    names = sorted(stage.run(run).state_name or "" for run in runs)
    stage.equal(names, ["Cancelled"] * 2 + ["Completed"] * 2, "how the runs ended where new ones are cancelled")
    _nothing_held(stage, deployment)


def _nothing_held(stage: Stage, deployment: UUID) -> None:
    def held() -> int:
        limit = stage.client.read_deployment(deployment).global_concurrency_limit
        return 0 if limit is None else limit.active_slots

    stage.wait("all slots of the deployment are free again", held, lambda slots: slots == 0)


CANARY = Canary(
    "deployment-concurrency",
    "runs beyond a deployment's limit wait or are cancelled, and its slots come back",
    check,
    90.0,  # a run beyond the limit is told to wait for half a minute
)
