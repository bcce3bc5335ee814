"""A flow whose tasks are executed on a cluster, whichever it is, and what has to be seen of it."""

from __future__ import annotations

import logging

from sempre.sdk.flows import flow
from sempre.sdk.loggers import get_run_logger
from sempre.sdk.runners.base import TaskRunner
from sempre.sdk.tasks import task
from tests.unit.sdk.fakes import FakeWorld

__all__ = ["check", "double"]


@task
def double(x: int) -> int:
    logging.getLogger("sempre").setLevel(logging.INFO)
    get_run_logger().info("doubling %d", x)
    return 2 * x


@task
def bad(x: int) -> int:
    raise ValueError(f"no {x}")


def check(world: FakeWorld, runner: TaskRunner) -> None:
    """Play it with this runner: values, failures, states, and that nothing is told twice."""

    @flow(task_runner=runner)
    def spread() -> list[int]:
        values = double.map(double.map([1, 2, 3])).result()
        failed = bad.submit(double.submit(4))
        failed.wait()
        assert str(failed.state.result(raise_on_failure=False)) == "no 8"
        return values

    assert spread() == [4, 8, 12]
    assert sorted(world.states("double")) == sorted(["Pending", "Running", "Completed"] * 7)
    assert world.states("bad") == ["Pending", "Running", "Failed"]
    ids = [event["id"] for event in world.events]
    assert len(ids) == len(set(ids)), "what is told live and with the result is passed on once"
