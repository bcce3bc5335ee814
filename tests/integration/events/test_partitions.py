"""Day partitions: made ahead, filled from the default partition, dropped past retention; and what the vacuum does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from sempre.db import partitions
from sempre.db.partitions import EVENTS, LOGS
from sempre.schemas.events import Event
from sempre.server.events.append import append, encode
from sempre.server.ids import new_id
from sempre.server.scope import DEFAULT_WORKSPACE, Scope
from sempre.server.services import db_vacuum, partition_keeper
from tests.support.database import Database
from tests.support.events import an_event
from tests.support.scopes import open_scope

TODAY = datetime.now(UTC).date()


async def add(scope: Scope, name: str, age: timedelta = timedelta(0)) -> str:
    event = an_event(name, occurred=(datetime.now(UTC) - age).isoformat())
    encoded = encode(Event.model_validate(event), DEFAULT_WORKSPACE, 10_000)
    assert encoded is not None
    await append(scope.db, [encoded])
    return str(event["id"])


async def names(scope: Scope, table: str = "event") -> set[str]:
    return {row["event"] for row in await scope.db.fetch(f"SELECT event FROM {table}")}


async def test_the_keeper_makes_the_coming_days_and_moves_what_is_there(scope: Scope) -> None:
    await add(scope, "today")
    await add(scope, "long ago", timedelta(days=3))
    seq = await scope.db.fetchval("SELECT seq FROM event WHERE event = 'today'")
    await partition_keeper.run(scope)
    for table in (EVENTS, LOGS):
        days = list(await partitions.existing_days(scope.db, table))
        assert days == [TODAY + timedelta(days=n) for n in range(-1, 8)]
    assert await names(scope) == {"today", "long ago"}
    assert await names(scope, "event_default") == {"long ago"}
    assert await scope.db.fetchval(f"SELECT seq FROM {EVENTS.partition(TODAY)}") == seq
    await add(scope, "tomorrow", -timedelta(days=1))
    assert await names(scope, EVENTS.partition(TODAY + timedelta(days=1))) == {"tomorrow"}


async def test_any_number_of_keepers_at_once(scope: Scope, database: Database) -> None:
    async with open_scope(database) as other:
        writing = [add(scope, f"e{n}") for n in range(30)]
        await asyncio.gather(*(partition_keeper.run(s) for s in (scope, other, scope, other)), *writing)
    assert len(await partitions.existing_days(scope.db, EVENTS)) == 9
    assert len(await names(scope)) == 30
    assert await names(scope, "event_default") == set()


async def test_whole_days_past_retention_are_dropped(scope: Scope) -> None:
    first = TODAY - timedelta(days=10)
    await partitions.create_days(scope.db, EVENTS, first, TODAY)
    await add(scope, "old", timedelta(days=9))
    await add(scope, "new", timedelta(days=6))
    await partition_keeper.run(scope)
    assert min(await partitions.existing_days(scope.db, EVENTS)) == TODAY - timedelta(days=7)
    assert await names(scope) == {"new"}


async def test_the_same_event_collides_with_itself_wherever_it_lies(scope: Scope) -> None:
    event = encode(Event.model_validate(an_event()), DEFAULT_WORKSPACE, 10_000)
    assert event is not None
    await append(scope.db, [event])
    await partition_keeper.run(scope)
    await append(scope.db, [event])
    assert await scope.db.fetchval("SELECT count(*) FROM event") == 1


async def test_the_vacuum_removes_single_rows(database: Database) -> None:
    overrides = '{"heartbeat": 3600}'
    async with open_scope(database, {"SEMPRE_SERVER_SERVICES_DB_VACUUM_EVENT_RETENTION_OVERRIDES": overrides}) as scope:
        await add(scope, "old", timedelta(days=8))
        await add(scope, "kept", timedelta(days=2))
        await add(scope, "heartbeat", timedelta(hours=2))
        await db_vacuum.run(scope)
        assert await names(scope) == {"kept"}
        await add(scope, "heartbeat", timedelta(minutes=50))
        await db_vacuum.run(scope)
        assert await names(scope) == {"kept", "heartbeat"}


async def test_a_short_retention_is_meant_to_the_hour(database: Database) -> None:
    async with open_scope(database, {"SEMPRE_SERVER_EVENTS_RETENTION_SECONDS": "3600"}) as scope:
        await partition_keeper.run(scope)
        await add(scope, "old", timedelta(hours=2))
        await add(scope, "new")
        await db_vacuum.run(scope)
        assert await names(scope) == {"new"}


async def flow_run(scope: Scope, *, state: str = "COMPLETED", age: int = 100, parent: Any = None) -> Any:
    id = new_id()
    await scope.db.execute(
        """
        INSERT INTO flow_run (id, workspace_id, name, flow_id, state_type, end_time, parent_task_run_id)
        VALUES ($1, $2, 'run', $1, $3, now() - make_interval(days => $4), $5)
        """,
        id, DEFAULT_WORKSPACE, state, age, parent,
    )  # fmt: skip
    return id


async def test_finished_runs_and_what_is_left_of_runs(database: Database) -> None:
    async with open_scope(database, {"SEMPRE_SERVER_SERVICES_DB_VACUUM_ENABLED": "true"}) as scope:
        old, kept = await flow_run(scope), [await flow_run(scope, age=10), await flow_run(scope, state="RUNNING")]
        task = new_id()
        await scope.db.execute(
            """
            INSERT INTO task_run (workspace_id, id, name, flow_run_id, task_key, dynamic_key)
            VALUES ($1, $2, 't', $3, 't', '0')
            """,
            DEFAULT_WORKSPACE, task, old,
        )  # fmt: skip
        await flow_run(scope, parent=task)  # goes too, once its parent is gone
        for run in (old, kept[0], new_id()):
            await scope.db.execute(
                "INSERT INTO log (id, workspace_id, timestamp, name, level, message, flow_run_id)"
                " VALUES ($1, $2, now(), 'n', 20, 'm', $3)",
                new_id(), DEFAULT_WORKSPACE, run,
            )  # fmt: skip
            await scope.db.execute(
                "INSERT INTO artifact (id, workspace_id, key, flow_run_id) VALUES ($1, $2, 'k', $3)",
                new_id(), DEFAULT_WORKSPACE, run,
            )  # fmt: skip
        await scope.db.execute(
            "INSERT INTO artifact_collection (id, workspace_id, key, latest_id)"
            " VALUES ($1, $2, 'k', $1), ($3, $2, 'x', $3)",
            new_id(), DEFAULT_WORKSPACE, new_id(),
        )  # fmt: skip
        await db_vacuum.run(scope)
        assert {row["id"] for row in await scope.db.fetch("SELECT id FROM flow_run")} == set(kept)
        assert await scope.db.fetchval("SELECT count(*) FROM task_run") == 0
        await db_vacuum.run_orphans(scope)
        for table in ("log", "artifact"):
            assert [row["flow_run_id"] for row in await scope.db.fetch(f"SELECT flow_run_id FROM {table}")] == [kept[0]]
        [collection] = await scope.db.fetch("SELECT key, latest_id, flow_run_id FROM artifact_collection")
        assert (collection["key"], collection["flow_run_id"]) == ("k", kept[0])
