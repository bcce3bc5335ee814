"""Tasks on Ray, in worker processes of a cluster that is started here (make ray)."""

from __future__ import annotations

from typing import Any

import pytest

from sempre.sdk.runners.ray_cluster import RayTaskRunner
from tests.unit.sdk.fakes import FakeWorld
from tests.unit.sdk.spread import check

pytestmark = pytest.mark.ray


def runner(**options: Any) -> RayTaskRunner:
    return RayTaskRunner(
        init_kwargs={"num_cpus": 2, "include_dashboard": False, "object_store_memory": 100_000_000, **options}
    )


def test_tasks_on_a_cluster_of_the_run(world: FakeWorld) -> None:
    check(world, runner())


def test_what_a_task_tells_comes_home_with_its_result(world: FakeWorld) -> None:
    check(world, runner())
    messages = [line["message"] for line in world.lines]
    assert sorted(message for message in messages if message.startswith("doubling")) == sorted(
        f"doubling {x}" for x in (1, 2, 2, 3, 4, 4, 6)
    )
