"""The algebra of filters: operators, joins, tags, wildcards, windows of time."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from tests.integration.api.operations import JsonObject
from tests.integration.api.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

MOMENTS = {"a": "2026-01-01T00:00:00Z", "b": "2026-01-02T00:00:00Z", "c": "2026-01-03T00:00:00Z"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def family(world: World) -> World:
    """Flows a (tags x, y), b (x), c (none), a run of each; a deployment and a task run of a only."""
    rooms = world.rooms
    for name, tags in (("a", ["x", "y"]), ("b", ["x"]), ("c", [])):
        flow = await rooms.post("/flows/", {"name": f"filt_{name}", "tags": tags}, 201)
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": MOMENTS[name]}}
        run = {"flow_id": flow["id"], "name": f"Filt%{name}", "tags": tags, "state": state}
        made = await rooms.post("/flow_runs/", run, 201)
        if name == "a":
            await rooms.post("/deployments/", {"name": "filt", "flow_id": flow["id"]}, 201)
            task = {"flow_run_id": made["id"], "task_key": "t", "dynamic_key": "0"}
            await rooms.post("/task_runs/", task, 201)
    return world


async def flows(world: World, filter: Any, **others: Any) -> str:
    """The letters of the flows that match."""
    named = {"name": {"like_": "filt_"}}
    mine = {row["id"] for row in await world.rooms.post("/flows/filter", {"flows": named})}
    found = await world.rooms.post("/flows/filter", {"flows": filter, **others})
    count = await world.rooms.post("/flows/count", {"flows": filter, **others})
    assert count == len(found)
    return "".join(row["name"][-1] for row in found if row["id"] in mine)


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (None, "abc"), ({}, "abc"),
        ({"name": None}, "abc"), ({"name": {}}, "abc"), ({"name": {"any_": None}}, "abc"),
        ({"name": {"any_": ["filt_a", "filt_c", "nope"]}}, "ac"),
        ({"name": {"any_": []}}, ""), ({"id": {"any_": []}}, ""), ({"id": {"not_any_": []}}, "abc"),
        ({"tags": {"all_": []}}, "abc"), ({"tags": {"all_": ["x"]}}, "ab"), ({"tags": {"all_": ["x", "y"]}}, "a"),
        ({"tags": {"is_null_": True}}, "c"), ({"tags": {"is_null_": False}}, "ab"),
        ({"tags": {"operator": "or_", "all_": ["y"], "is_null_": True}}, "ac"),
        ({"tags": {"operator": "and_", "all_": ["y"], "is_null_": True}}, ""),
        ({"name": {"like_": "FILT_B"}}, "b"), ({"name": {"like_": "f_lt%a"}}, "a"), ({"name": {"like_": ""}}, "abc"),
        ({"name": {"like_": "_ilt_"}}, "abc"), ({"name": {"like_": "\\"}}, ""),
        ({"deployment": {"is_null_": True}}, "bc"), ({"deployment": {"is_null_": False}}, "a"),
        ({"operator": "or_", "name": {"any_": ["filt_c"]}, "tags": {"all_": ["y"]}}, "ac"),
        ({"operator": "and_", "name": {"any_": ["filt_c"]}, "tags": {"all_": ["y"]}}, ""),
        ({"operator": "or_", "name": {}, "tags": {"all_": ["y"]}}, "abc"),
        ({"operator": "or_", "name": {"any_": []}, "tags": {"all_": ["y"]}}, "a"),
        ({"operator": "or_"}, "abc"), ({"operator": "or_", "deployment": {}, "name": {"any_": []}}, "abc"),
        # The operator joins the members; what one member says holds together all the same.
        ({"operator": "or_", "name": {"any_": ["filt_a", "filt_b"], "like_": "_b"}, "id": {"any_": []}}, "b"),
    ],
)  # fmt: skip
async def test_operators(family: World, filter: Any, expected: str) -> None:
    assert await flows(family, filter) == expected


@pytest.mark.parametrize(
    ("joins", "expected"),
    [
        ({"deployments": {}}, "a"), ({"deployments": None}, "abc"), ({"flow_runs": {}}, "abc"),
        ({"task_runs": {}}, "a"), ({"work_pools": {}}, ""), ({"work_pool": {}}, "abc"),
        ({"deployments": {"name": {"any_": ["filt"]}}, "flow_runs": {"name": {"any_": ["Filt%a"]}}}, "a"),
        ({"deployments": {}, "flow_runs": {"name": {"any_": ["Filt%b"]}}}, ""),
    ],
)  # fmt: skip
async def test_joins_demand_that_something_is_there(family: World, joins: JsonObject, expected: str) -> None:
    assert await flows(family, {"name": {"like_": "filt_"}}, **joins) == expected


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"expected_start_time": {"before_": MOMENTS["b"]}}, "ab"),
        ({"expected_start_time": {"after_": MOMENTS["b"]}}, "bc"),
        ({"expected_start_time": {"before_": MOMENTS["b"], "after_": "2026-01-02T01:00:00+01:00"}}, "b"),
        ({"start_time": {"after_": MOMENTS["b"]}}, "bc"),
        ({"start_time": {"is_null_": True}}, "abc"), ({"end_time": {"before_": "2100-01-01"}}, ""),
        ({"tags": {"any_": ["y", "z"]}}, "a"), ({"tags": {"any_": []}}, ""), ({"tags": {"all_": []}}, "abc"),
        ({"state": {"type": {"any_": ["SCHEDULED"], "not_any_": ["SCHEDULED"]}}}, ""),
        ({"state": {"operator": "or_", "type": {"any_": ["FAILED"]}, "name": {"any_": ["Scheduled"]}}}, "abc"),
        ({"deployment_id": {"is_null_": True}}, "abc"), ({"deployment_id": {"any_": []}}, ""),
        ({"work_queue_name": {"operator": "or_", "any_": ["q"], "is_null_": True}}, "abc"),
        ({"idempotency_key": {"not_any_": ["k"]}}, ""), ({"idempotency_key": {"not_any_": []}}, "abc"),
    ],
)  # fmt: skip
async def test_flow_runs(family: World, filter: JsonObject, expected: str) -> None:
    body = {"flow_runs": filter, "flows": {"name": {"like_": "filt_"}}, "sort": "NAME_ASC"}
    found = await family.rooms.post("/flow_runs/filter", body)
    assert "".join(row["name"][-1] for row in found) == expected


async def test_prefixes_are_literal_and_of_any_case(family: World) -> None:
    pool = family.seeds["pool"]
    for name in ("Pre%x", "pre_y", "preZz"):
        await family.rooms.post(f"/work_pools/{pool}/queues", {"name": name.replace("%", "-")}, 201)

    async def names(prefixes: list[str]) -> list[str]:
        body = {"work_queues": {"name": {"startswith_": prefixes}}}
        return sorted(row["name"] for row in await family.rooms.post(f"/work_pools/{pool}/queues/filter", body))

    assert await names(["PRE"]) == ["Pre-x", "preZz", "pre_y"]
    assert await names(["pre_", "nope"]) == ["pre_y"]
    assert await names(["pre%"]) == []
    assert set(await names(["PRE"])) < set(await names([]))
    assert await names(["pre\\"]) == []


async def test_task_runs_without_a_flow_run(family: World) -> None:
    async def count(filter: Any) -> int:
        return int(await family.rooms.post("/task_runs/count", {"task_runs": filter}))

    before = {case: await count(value) for case, value in CASES.items()}
    await family.rooms.post("/task_runs/", {"task_key": "alone", "dynamic_key": "0"}, 201)
    grown = {case: await count(value) - before[case] for case, value in CASES.items()}
    assert grown == {"none": 1, "empty": 0, "null": 1, "without": 1, "with": 0}


CASES: dict[str, Any] = {
    "none": None, "empty": {"flow_run_id": {}}, "null": {"flow_run_id": {"is_null_": None}},
    "without": {"flow_run_id": {"is_null_": True}}, "with": {"flow_run_id": {"is_null_": False}},
}  # fmt: skip
