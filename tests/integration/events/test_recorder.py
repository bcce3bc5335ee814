"""Task runs out of events: any order, any number of deliveries, one result."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from sempre.db.pool import Record
from sempre.schemas.events import Event
from sempre.server.events.append import append, encode
from sempre.server.ids import new_id
from sempre.server.scope import DEFAULT_WORKSPACE, Scope
from sempre.server.services.task_run_recorder import consumer
from tests.support.database import Database
from tests.support.events import Json, an_event, task_run_event
from tests.support.scopes import open_scope

STATES = ("Pending", "Running", "Completed")
START = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
async def flow_run_id(scope: Scope) -> UUID:
    id = new_id()
    await scope.db.execute(
        "INSERT INTO flow_run (id, workspace_id, name, flow_id) VALUES ($1, $2, 'run', $1)", id, DEFAULT_WORKSPACE
    )
    return id


async def send(scope: Scope, *events: Json) -> None:
    """Each in a statement of its own, so that they are numbered in this order."""
    for event in events:
        encoded = encode(Event.model_validate(event), DEFAULT_WORKSPACE, 100_000)
        assert encoded is not None
        await append(scope.db, [encoded])


async def record(scope: Scope, *batches: Sequence[Json]) -> None:
    for batch in batches:
        await send(scope, *batch)
        await consumer(scope).drain()


async def the_run(scope: Scope) -> Record:
    [run] = await scope.db.fetch("SELECT * FROM task_run")
    return run


async def history(scope: Scope) -> list[str]:
    return [row["name"] for row in await scope.db.fetch("SELECT name FROM task_run_state ORDER BY timestamp")]


def lifecycle(flow_run_id: UUID | None, run_id: UUID | None = None) -> list[Json]:
    run_id = run_id or new_id()
    return [
        task_run_event(
            state, START + timedelta(seconds=n), run_id=run_id, flow_run_id=flow_run_id, run_count=n and 1,
            expected_start_time=START.isoformat(), start_time=None if n == 0 else START.isoformat(),
            total_run_time=float(n),
        )
        for n, state in enumerate(STATES)
    ]  # fmt: skip


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("split", [(3,), (1, 2), (2, 1), (1, 1, 1)])
async def test_any_order_gives_the_same_run(
    scope: Scope, flow_run_id: UUID, order: tuple[int, ...], split: tuple[int, ...]
) -> None:
    shuffled = _shuffled(lifecycle(flow_run_id), order)
    pieces = iter(shuffled)
    await record(scope, *(list(itertools.islice(pieces, size)) for size in split))
    run = await the_run(scope)
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "Completed")
    assert run["state_timestamp"] == START + timedelta(seconds=2)
    assert (run["run_count"], run["total_run_time"], run["start_time"]) == (1, 2.0, START)
    assert (run["flow_run_id"], run["tags"], run["task_inputs"]) == (flow_run_id, ["a"], {"x": []})
    assert await history(scope) == list(STATES)


def _shuffled(events: list[Json], order: Sequence[int]) -> list[Json]:
    return [events[n] for n in order]


async def test_repeats_change_nothing(scope: Scope, flow_run_id: UUID) -> None:
    events = lifecycle(flow_run_id)
    await record(scope, events)
    before = await the_run(scope)
    # The log itself absorbs repeats by id; the recorder must too, for it may be sent back.
    await scope.db.execute("UPDATE event_consumer SET position = 0, holes = '[]'")
    await consumer(scope).drain()
    assert await the_run(scope) == before
    assert await history(scope) == list(STATES)


async def test_a_run_without_a_flow_run(scope: Scope) -> None:
    await record(scope, lifecycle(None))
    assert (await the_run(scope))["flow_run_id"] is None
    assert await history(scope) == list(STATES)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("alone", [True, False])
async def test_two_ids_of_one_natural_key_are_one_run(
    scope: Scope, flow_run_id: UUID, at_once: bool, alone: bool
) -> None:
    parent = None if alone else flow_run_id
    one, two = lifecycle(parent), lifecycle(parent)
    events = [one[0], two[1], one[2]]
    await record(scope, *([events] if at_once else [[event] for event in events]))
    run = await the_run(scope)
    assert run["state_name"] == "Completed"
    states = await scope.db.fetch("SELECT task_run_id, details FROM task_run_state")
    assert [row["task_run_id"] for row in states] == [run["id"]] * 3
    assert {row["details"]["task_run_id"] for row in states} == {str(run["id"])}
    assert run["state_details"]["flow_run_id"] == (None if alone else str(flow_run_id))


async def test_only_a_strictly_newer_event_moves_the_run(scope: Scope, flow_run_id: UUID) -> None:
    run_id = new_id()

    def at(state: str, seconds: int) -> Json:
        return task_run_event(state, START + timedelta(seconds=seconds), run_id=run_id, flow_run_id=flow_run_id)

    await record(scope, [at("Running", 5)], [at("Failed", 5)], [at("Pending", 4)])
    run = await the_run(scope)
    assert (run["state_name"], run["version"]) == ("Running", 0)
    assert sorted(await history(scope)) == ["Failed", "Pending", "Running"]
    await record(scope, [at("Completed", 6)])
    run = await the_run(scope)
    assert (run["state_name"], run["version"]) == ("Completed", 1)


async def test_absent_keys_are_left_alone_and_nulls_are_written(scope: Scope, flow_run_id: UUID) -> None:
    run_id = new_id()
    first = task_run_event(
        "Running", START, run_id=run_id, flow_run_id=flow_run_id, start_time=START.isoformat(), cache_key="k",
        task_version="1", run_count=3,
    )  # fmt: skip
    second = task_run_event(
        "Completed", START + timedelta(seconds=1), run_id=run_id, flow_run_id=flow_run_id, cache_key=None
    )
    await record(scope, [first], [second])
    run = await the_run(scope)
    assert (run["start_time"], run["task_version"], run["run_count"], run["cache_key"]) == (START, "1", 3, None)


@pytest.mark.parametrize(("given", "kept"), [({}, "Running"), ({"name": None}, "Running"), ({"name": ""}, "")])
async def test_a_state_without_a_name_has_its_types(scope: Scope, flow_run_id: UUID, given: Json, kept: str) -> None:
    event = lifecycle(flow_run_id)[1]
    await record(scope, [{**event, "payload": {**event["payload"], "validated_state": {"type": "RUNNING", **given}}}])
    assert (await the_run(scope))["state_name"] == kept
    assert await history(scope) == [kept]


@pytest.mark.parametrize("change", [
    {"payload": {}},
    {"payload": {"task_run": {"task_key": "t", "dynamic_key": "0"}, "validated_state": {"type": "X", "name": "x"}}},
    {"resource": {"prefect.resource.id": "prefect.task-run.7", "prefect.orchestration": "client"}},
    {"related": [{"prefect.resource.id": f"prefect.flow-run.{UUID(int=9)}", "prefect.resource.role": "flow-run"}]},
    {"payload": {
        "task_run": {"task_key": "t", "dynamic_key": "0", "start_time": "yesterdayish"},
        "validated_state": {"type": "RUNNING", "name": "Running"},
    }},
])  # fmt: skip
async def test_what_makes_no_sense_is_set_aside_alone(scope: Scope, flow_run_id: UUID, change: Json) -> None:
    bad = {**lifecycle(flow_run_id)[0], "id": str(new_id()), **change}
    good = lifecycle(flow_run_id)
    await record(scope, [good[0], bad, *good[1:]])
    assert (await the_run(scope))["state_name"] == "Completed"
    [letter] = await scope.db.fetch("SELECT event_id, event, error FROM event_dead_letter")
    assert str(letter["event_id"]) == letter["event"]["id"] == bad["id"]


async def test_other_events_are_none_of_its_business(scope: Scope, flow_run_id: UUID) -> None:
    [pending, *_] = lifecycle(flow_run_id)
    server_side = {**pending, "resource": {"prefect.resource.id": pending["resource"]["prefect.resource.id"]}}
    await record(scope, [an_event("prefect.flow-run.Running"), server_side])
    assert await scope.db.fetchval("SELECT count(*) FROM task_run") == 0
    assert await scope.db.fetchval("SELECT count(*) FROM event_dead_letter") == 0


async def test_a_run_that_rest_made_meanwhile_is_the_one(scope: Scope, flow_run_id: UUID, database: Database) -> None:
    """Its insert is under way, unseen by our snapshot, when we look for the natural key."""
    rest_id = new_id()
    rest = await asyncpg.connect(database.url)
    transaction = rest.transaction()
    await transaction.start()
    await rest.execute(
        """
        INSERT INTO task_run (workspace_id, id, name, flow_run_id, task_key, dynamic_key)
        VALUES ($1, $2, 'rest', $3, 'task', '0')
        """,
        DEFAULT_WORKSPACE, rest_id, flow_run_id,
    )  # fmt: skip
    await send(scope, *lifecycle(flow_run_id))
    recording = asyncio.create_task(consumer(scope).drain())
    waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
    while not await scope.db.fetchval(waiting):
        assert not recording.done()
    await transaction.commit()
    await rest.close()
    assert await recording == 3
    run = await the_run(scope)
    assert (run["id"], run["state_name"]) == (rest_id, "Completed")
    assert await history(scope) == list(STATES)


async def test_recorders_at_once_without_a_lease(scope: Scope, flow_run_id: UUID, database: Database) -> None:
    runs = 60
    events: list[Any] = []
    for n in range(runs):
        run_id = new_id()
        for m, state in enumerate(STATES):
            moment = START + timedelta(seconds=m)
            events.append(task_run_event(state, moment, run_id=run_id, flow_run_id=flow_run_id, dynamic_key=str(n)))
    events = events[::2] + events[1::2]
    async with open_scope(database) as other:
        recorders = [consumer(s, leased=False) for s in (scope, other)]
        for each in recorders:
            each.batch_size = 11
        await send(scope, *events)
        await asyncio.gather(*(each.drain() for each in recorders))
        await recorders[0].drain()
    found = await scope.db.fetch("SELECT state_name, count(*) AS n FROM task_run GROUP BY 1")
    assert [(row["state_name"], row["n"]) for row in found] == [("Completed", runs)]
    assert await scope.db.fetchval("SELECT count(*) FROM task_run_state") == 3 * runs
