"""A limit on a tag holds for tasks, wherever they run."""

from __future__ import annotations

import time
from typing import Any

from sempre.canary.canary import Canary
from sempre.canary.recorded import recorded
from sempre.canary.stage import Stage
from sempre.sdk.flows import flow
from sempre.sdk.futures import wait
from sempre.sdk.tasks import task

__all__ = ["CANARY"]

_LIMIT = 2
_TASKS = 5


def check(stage: Stage) -> None:
    tag = stage.name
    stage.client.create_concurrency_limit(tag, _LIMIT)
    stage.cleaner(f"limit of tag {tag}", lambda: stage.client.delete_concurrency_limit_by_tag(tag))

    @task(tags=[tag])
    def hold(number: int) -> tuple[float, float]:
        began = time.monotonic()
        time.sleep(0.3)
        return began, time.monotonic()

    @flow
    def hold_many() -> list[Any]:
        futures = hold.map(list(range(_TASKS)))
        wait(futures)
        return [future.result() for future in futures]

    played = stage.play(hold_many)
    spans = played.state.result()
    most = max(sum(began <= moment < ended for began, ended in spans) for moment, _ in spans)
    stage.expect(0 < most <= _LIMIT, f"{most} tasks ran at once under a limit of {_LIMIT}")
    runs = recorded(stage, played.id, _TASKS)
    stage.equal({run.state_name for run in runs}, {"Completed"}, "the states of the task runs")

    def held() -> int:
        return len(stage.client.read_concurrency_limit_by_tag(tag).active_slots)

    stage.wait("all slots of the tag are free again", held, lambda slots: slots == 0)


CANARY = Canary("tag-limits", "no more tasks with a limited tag run at once than the limit allows", check)
