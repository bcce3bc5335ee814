"""Mapped tasks complete, and the server comes to know each of them."""

from __future__ import annotations

from sempre.canary.canary import Canary
from sempre.canary.recorded import recorded
from sempre.canary.stage import Stage
from sempre.sdk.annotations import unmapped
from sempre.sdk.flows import flow
from sempre.sdk.tasks import task

__all__ = ["CANARY"]

_MAPPED = 10


@task
def scale(number: int, factor: int) -> int:
    return number * factor


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@flow
def scale_and_add(count: int) -> int:
    scaled = scale.map(list(range(count)), unmapped(2))
    return total.submit(scaled).result()


def check(stage: Stage) -> None:
    played = stage.play(scale_and_add, _MAPPED)
    stage.equal(played.state.result(), 2 * sum(range(_MAPPED)), "the sum of what the tasks returned")
    runs = recorded(stage, played.id, _MAPPED + 1)
    stage.equal({run.state_name for run in runs}, {"Completed"}, "the states of the task runs")
    stage.equal(sum(run.name.startswith("total") for run in runs), 1, "how often the last task ran")


CANARY = Canary("tasks", "mapped tasks complete and the server knows each of them, once", check)
