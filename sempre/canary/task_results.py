"""A task whose result is kept is not run a second time."""

from __future__ import annotations

from sempre.canary.canary import Canary
from sempre.canary.recorded import recorded
from sempre.canary.stage import Stage
from sempre.sdk.caching import INPUTS
from sempre.sdk.flows import flow
from sempre.sdk.tasks import task

__all__ = ["CANARY"]


def check(stage: Stage) -> None:
    storage = str(stage.folder())
    calls: list[int] = []

    @task(cache_policy=INPUTS, persist_result=True, result_storage=storage)
    def square(number: int) -> int:
        calls.append(number)
        return number * number

    @flow
    def twice() -> tuple[int, int]:
        return square(7), square(7)

    played = stage.play(twice)
    stage.equal(played.state.result(), (49, 49), "what the two calls returned")
    stage.equal(calls, [7], "the calls that were really made")
    names = sorted(run.state_name or "" for run in recorded(stage, played.id, 2))
    stage.equal(names, ["Cached", "Completed"], "the states of the task runs")


CANARY = Canary("task-results", "a task whose result is kept is not run a second time", check)
