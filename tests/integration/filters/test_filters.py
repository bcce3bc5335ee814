"""Every filter of every list call gives the rows that the protocol says, and no row of another workspace."""

from __future__ import annotations

import itertools
import pkgutil
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sempre.schemas import filters as filter_modules
from sempre.schemas.filters import (
    artifacts,
    automations,
    blocks,
    deployments,
    flow_runs,
    flows,
    logs,
    task_runs,
    variables,
    work_pools,
)  # fmt: skip
from tests.integration.filters.conftest import Asking
from tests.integration.filters.oracle import Json, expected
from tests.integration.filters.questions import LISTINGS, TABLES, Listing, cases, filters
from tests.integration.filters.seed import EMPTY, OTHER, rows_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

BY_PATH = {listing.path: listing for listing in LISTINGS}
RUN_FAMILY = [BY_PATH[f"/{name}"] for name in ("flows", "flow_runs", "task_runs", "deployments", "artifacts")]
each_listing = pytest.mark.parametrize("listing", LISTINGS, ids=lambda listing: listing.path)


def table_of(listing: Listing, key: str) -> str:
    return listing.table if key == listing.key else TABLES[key]


def wanted(asking: Asking, listing: Listing, body: Json) -> set[str]:
    rows = expected(asking.world, listing.table, listing.key, body)
    return {row["id"] for row in rows if listing.among(row)}


async def check(asking: Asking, listing: Listing, body: Json, *, counted: bool = True) -> int:
    """The list, and its count, are what the oracle says; how many there are."""
    found = await asking.ids(listing, body)
    ought = wanted(asking, listing, body)
    assert len(found) == len(set(found)), f"{listing.path} {body}: repeats"
    assert set(found) == ought, f"{listing.path} {body}: {len(found)} instead of {len(ought)}"
    if listing.counts and counted:
        assert await asking.count(listing, body) == len(ought), f"{listing.path} {body}: the count"
    return len(ought)


@each_listing
async def test_every_operator_of_every_member(asking: Asking, listing: Listing) -> None:
    """All that one filter can say alone, for the resource's own filter and for those it is joined with."""
    sizes = []
    for key, model in listing.filters.items():
        for filter in cases(asking.world, table_of(listing, key), model):
            sizes.append(await check(asking, listing, {key: filter}, counted=False))  # noqa: PERF401
    if sizes:  # otherwise nothing would have been told apart
        assert len(set(sizes)) > 2, sizes


@each_listing
async def test_a_key_demands_that_something_is_there(asking: Asking, listing: Listing) -> None:
    """Any combination of empty filters; null and unknown keys say nothing."""
    keys = list(listing.filters)
    for number in range(len(keys) + 1):
        for chosen in itertools.combinations(keys, number):
            await check(asking, listing, {key: {} for key in chosen})
    everything = await check(asking, listing, {})
    nothing: dict[str, Any] = dict.fromkeys(keys)
    assert await check(asking, listing, {**nothing, "limit": None, "offset": None}) == everything
    assert len(await asking.ids(listing, {"no_such_key": {"id": 1}})) == everything


async def test_another_workspace(asking: Asking) -> None:
    """It has the same kinds of rows, some with the same ids; nobody sees or joins what is not theirs."""
    theirs = await rows_of(asking.rooms.scope, OTHER)
    for listing in LISTINGS:
        with asking.as_workspace(OTHER):
            other = Asking(asking.rooms, theirs)
            await check(other, listing, {})
            for key in listing.filters:
                await check(other, listing, {key: {}})
        with asking.as_workspace(EMPTY):
            if "pool-0" not in listing.path:
                assert await asking.ids(listing, {}) == []


async def test_rows_of_another_workspace_are_never_joined(asking: Asking) -> None:
    """Task runs may have one id in two workspaces: what hangs on the one says nothing about the other."""
    db = asking.rooms.scope.db
    task = asking.world["task_run"][0]["id"]
    runs = [row["id"] for row in asking.world["flow_run"]]
    moved = await db.fetch(
        "UPDATE flow_run SET parent_task_run_id = $1 WHERE workspace_id = $2 RETURNING id", task, OTHER
    )
    assert moved
    await db.execute("UPDATE task_run SET flow_run_id = $1, task_key = 'u' WHERE workspace_id = $2", runs[1], OTHER)
    await db.execute(
        "UPDATE artifact SET flow_run_id = $1, task_run_id = $2 WHERE workspace_id = $3", runs[1], task, OTHER
    )
    bodies: list[tuple[str, Json]] = [
        ("/task_runs", {"task_runs": {"subflow_runs": {"exists_": True}}}),
        ("/flow_runs", {"task_runs": {"name": {"like_": "_"}}}),
        ("/flow_runs", {"flow_runs": {"parent_flow_run_id": {"any_": runs}}}),
        ("/flows", {"task_runs": {}}),
        ("/artifacts", {"task_runs": {}}),
    ]
    for path, body in bodies:
        await check(asking, BY_PATH[path], body)
    theirs = await rows_of(asking.rooms.scope, OTHER)
    with asking.as_workspace(OTHER):
        for path, body in [*bodies, ("/artifacts", {"flow_runs": {}}), ("/task_runs", {"flow_runs": {}})]:
            await check(Asking(asking.rooms, theirs), BY_PATH[path], body)


async def test_no_filter_is_left_out() -> None:
    """Every filter model there is belongs to a list call above; events have their own proof."""
    modules = (artifacts, automations, blocks, deployments, flow_runs, flows, logs, task_runs, variables, work_pools)
    names = {module.__name__.rsplit(".", 1)[1] for module in modules} | {"common", "events"}
    assert {module.name for module in pkgutil.iter_modules(filter_modules.__path__)} == names
    top = {
        value
        for module in modules
        for name, value in vars(module).items()
        if name in module.__all__ and name.endswith("Filter") and "OrFlowName" not in name
    }
    assert {model for listing in LISTINGS for model in listing.filters.values()} == top


@pytest.mark.parametrize("listing", RUN_FAMILY, ids=lambda listing: listing.path)
async def test_any_combination(asking: Asking, listing: Listing) -> None:
    """Random filters on several resources at once."""
    bodies: list[Json] = []
    strategies = {
        key: st.one_of(st.none(), filters(asking.world, table_of(listing, key), model))
        for key, model in listing.filters.items()
    }

    @settings(max_examples=150, database=None, derandomize=True, suppress_health_check=list(HealthCheck), deadline=None)
    @given(st.fixed_dictionaries({}, optional=strategies))
    def collect(body: Json) -> None:
        bodies.append(body)

    collect()  # the rows are asked in the loop of the test, which hypothesis does not enter
    sizes = [await check(asking, listing, body) for body in bodies]
    assert len(set(sizes)) > 3, sizes
