"""Tasks on Ray, in worker processes of a cluster that is started here (make ray)."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from sempre.sdk.flows import flow
from sempre.sdk.loggers import get_run_logger
from sempre.sdk.runners.ray_cluster import RayTaskRunner
from sempre.sdk.tasks import task
from tests.unit.sdk.fakes import FakeWorld

pytestmark = pytest.mark.ray


@task
def double(x: int) -> int:
    logging.getLogger("sempre").setLevel(logging.INFO)
    get_run_logger().info("doubling %d", x)
    return 2 * x


@task
def bad(x: int) -> int:
    raise ValueError(f"no {x}")


def runner(**options: Any) -> RayTaskRunner:
    return RayTaskRunner(
        init_kwargs={"num_cpus": 2, "include_dashboard": False, "object_store_memory": 100_000_000, **options}
    )


@flow(task_runner=runner())
def distributed() -> list[int]:
    values = double.map(double.map([1, 2, 3])).result()
    failed = bad.submit(double.submit(4))
    failed.wait()
    assert str(failed.state.result(raise_on_failure=False)) == "no 8"
    return values


def test_tasks_on_a_cluster_of_the_run(world: FakeWorld) -> None:
    assert distributed() == [4, 8, 12]
    assert sorted(world.states("double")) == sorted(["Pending", "Running", "Completed"] * 7)
    assert world.states("bad") == ["Pending", "Running", "Failed"]
    ids = [event["id"] for event in world.events]
    assert len(ids) == len(set(ids)), "each thing is passed on once"


def test_what_a_task_tells_comes_home_with_its_result(world: FakeWorld) -> None:
    distributed()
    messages = [line["message"] for line in world.lines]
    assert sorted(message for message in messages if message.startswith("doubling")) == sorted(
        f"doubling {x}" for x in (1, 2, 2, 3, 4, 4, 6)
    )
