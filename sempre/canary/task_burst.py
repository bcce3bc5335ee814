"""Many tasks at once."""

from __future__ import annotations

from sempre.canary.canary import Canary
from sempre.canary.recorded import count_recorded
from sempre.canary.stage import Stage
from sempre.sdk.flows import flow
from sempre.sdk.futures import wait
from sempre.sdk.tasks import task

__all__ = ["CANARY"]

_TASKS = 250


@task
def one(number: int) -> int:
    return number


@flow
def burst(count: int) -> int:
    futures = one.map(list(range(count)))
    wait(futures)
    return sum(future.result() for future in futures)


def check(stage: Stage) -> None:
    played = stage.play(burst, _TASKS)
    stage.equal(played.state.result(), sum(range(_TASKS)), "the sum of what the tasks returned")
    count_recorded(stage, played.id, _TASKS)


CANARY = Canary("task-burst", f"{_TASKS} mapped tasks complete and none is lost on the way", check)
