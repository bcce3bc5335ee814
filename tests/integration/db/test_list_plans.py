"""The plans of list calls on a database with some history: what is asked for is found without reading all of it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from benchmarks.large_calls import Call, Facts, facts_of, list_calls, recorded_calls
from benchmarks.large_seed import seed
from sempre.server.runtime import Runtime
from sempre.server.services import cancellation_cleanup, db_vacuum, late_runs, pause_expirations
from tests.support.database import Database, Postgres
from tests.support.plans import Plan, WatchedDatabase
from tests.support.rooms import Rooms, open_rooms
from tests.support.servers import run_sempre

SCALE, DAYS = 0.01, 20
UI_CALLS = Path(__file__).parents[3] / "benchmarks" / "ui_calls.jsonl"

# Calls that ask for something no index has, of all there is or of a whole day: what they read grows with that. None is
# what a page of a UI asks for by itself.
UNBOUNDED = {
    "runs tagged, counted": "tags of all runs there are",
    "runs without parent, counted": "most runs there are",
    "task runs named, a week": "the names of a third of all there are",
    "task runs tagged, a week": "the tags of a third of all there are",
    "events by resource prefix": "the related resources of a week",
    "events by text": "the whole text of a day's events",
    "events of a day by resource": "the names of a day's resources",
}
# Calls that name what they are about: rows of it, looked at a few times, and no others.
NAMED = (
    "logs of a run", "logs of a big run", "errors of a big run", "logs of a task run", "task runs of a run",
    "task runs by run id", "task runs by state of a run", "subflows of a run", "subflows of a run counted",
    "artifacts of a run", "runs of a parent", "is a run cancelled",
)  # fmt: skip
# What the services ask again and again, whether or not there is anything to do.
SWEEPS: dict[str, tuple[Any, ...]] = {
    "late runs": (late_runs._OVERDUE, 200, 1e9),
    "pauses that expired": (pause_expirations._EXPIRED, 200),
    "cancellations that take too long": (cancellation_cleanup._OVERDUE, 200, 60.0),
    "workers that were not told": (cancellation_cleanup._UNTOLD, 200, 3600.0),
    "subflows of cancelled runs": (cancellation_cleanup._LIVE_SUBFLOWS, 200),
    "old flow runs": (db_vacuum._OLD_FLOW_RUNS, timedelta(days=90), 200),
    "old logs": (db_vacuum._OLD_LOGS, timedelta(days=90), 5000),
    "old events": (db_vacuum._OLD_EVENTS.format(table="event_default"), timedelta(days=90), 5000),
    "old events of a type": (db_vacuum._OLD_EVENTS_OF_TYPE, timedelta(days=90), 5000, "heartbeat.1"),
}


@pytest.fixture(scope="module")
def seeded(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = postgres.create()
    home = tmp_path_factory.mktemp("seeded")
    run_sempre("server", "database", "upgrade", "-y", home=home, database=database)
    # As on the embedded server, and on any that has no spinning disk.
    database.fetch(f'ALTER DATABASE "{database.name}" SET random_page_cost = 1.1')
    asyncio.run(seed(database.url, SCALE, lambda sentence: None, days=DAYS))
    yield database
    postgres.drop(database)


class Watched:
    """A replica that tells what its calls made Postgres do."""

    def __init__(self, db: WatchedDatabase, rooms: Rooms) -> None:
        self.db = db
        self.rooms = rooms

    async def plans(self, call: Call) -> list[Plan]:
        self.db.statements.clear()
        await self.rooms.call(call.method, call.path, call.body, status=200)
        statements = [each for each in self.db.statements if each[0].lstrip().upper().startswith(("SELECT", "WITH"))]
        return [await self.db.plan(statement) for statement in statements]


@pytest.fixture
async def watched(seeded: Database) -> AsyncIterator[Watched]:
    db = WatchedDatabase(seeded.url)
    await db.open()
    async with open_rooms(seeded) as rooms:
        rooms.app.state.scope = dataclasses.replace(rooms.scope, db=db)
        rooms.app.state.runtime = Runtime(rooms.scope)
        yield Watched(db, rooms)
    await db.close()


@pytest.fixture
async def facts(seeded: Database) -> Facts:
    connection = await asyncpg.connect(seeded.url)
    try:
        return await facts_of(connection)
    finally:
        await connection.close()


@pytest.mark.parametrize("calls", ["list_calls", "recorded_calls"])
async def test_no_list_reads_a_history_table_from_end_to_end(watched: Watched, facts: Facts, calls: str) -> None:
    offences = [
        f"{call.name}: {call.path} {call.body}\n{plan}"
        for call in (list_calls(facts) if calls == "list_calls" else recorded_calls(UI_CALLS, facts))
        if call.name not in UNBOUNDED
        for plan in await watched.plans(call)
        if plan.scanned
    ]
    assert not offences, "\n\n".join(offences)


async def test_what_is_named_is_found_without_looking_at_others(
    watched: Watched, facts: Facts, seeded: Database
) -> None:
    calls = {call.name: call for call in list_calls(facts)}
    connection = await asyncpg.connect(seeded.url)
    size = await connection.fetchval("SELECT count(*) FROM task_run WHERE flow_run_id = $1::text::uuid", facts.big_run)
    await connection.close()
    offences = [
        f"{name}: {plan.visited} rows\n{plan}"
        for name in NAMED
        for plan in await watched.plans(calls[name])
        if plan.visited > 3 * size
    ]
    assert not offences, "\n\n".join(offences)


@pytest.mark.parametrize("what", SWEEPS)
async def test_services_do_not_go_through_history(watched: Watched, what: str) -> None:
    sql, *args = SWEEPS[what]
    plan = await watched.db.plan((sql, args), generic=True)
    assert not plan.scanned, plan
    assert plan.visited < 2000, plan
