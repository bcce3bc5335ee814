"""The scheduler on a real database: what it plans, and that nothing comes between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from sempre.db.pool import Executor, Record
from sempre.server.deployments import limits, queries, schedules, scheduling
from sempre.server.deployments.pausing import set_paused
from sempre.server.deployments.schedule_plan import NewSchedule, SchedulePatch
from sempre.server.deployments.scheduling import needing_runs, schedule_runs
from sempre.server.flow_runs.deletion import delete_scheduled
from sempre.server.ids import new_id
from sempre.server.scope import Scope
from sempre.server.services import scheduler
from sempre.server.work_pools.creation import ensure_agent_queue
from tests.support.database import Database
from tests.support.scopes import open_scope, until

MINUTELY = {"cron": "* * * * *", "timezone": "UTC", "day_or": True}
HOURLY = {"interval": 3600.0, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"}
ZERO = UUID(int=0)


@pytest.fixture
async def scope(database: Database) -> AsyncIterator[Scope]:
    async with open_scope(database) as opened:
        await opened.db.execute("TRUNCATE flow, flow_run, flow_run_state CASCADE")
        yield opened


async def deployment(scope: Scope, *values: dict[str, Any], name: str = "d", old: bool = False, **columns: Any) -> UUID:
    """A deployment with these schedules; ``old``: changed long ago, so that only the main loop looks at it."""
    flow_id = await scope.db.fetchval(
        """
        INSERT INTO flow (id, workspace_id, name) VALUES ($1, $2, 'f')
        ON CONFLICT (workspace_id, name) DO UPDATE SET name = 'f' RETURNING id
        """,
        new_id(),
        scope.workspace_id,
    )
    id = await queries.insert(scope.db, scope.workspace_id, {"flow_id": flow_id, "name": name, **columns})
    assert id is not None
    await schedules.insert(scope.db, scope.workspace_id, id, [NewSchedule(schedule=value) for value in values])
    if old:
        for table in ("deployment", "deployment_schedule"):
            await scope.db.execute(f"UPDATE {table} SET updated = updated - interval '1 day'")
    return id


async def runs_of(db: Executor, id: UUID) -> list[Record]:
    return await db.fetch("SELECT * FROM flow_run WHERE deployment_id = $1 ORDER BY next_scheduled_start_time, id", id)


async def consistent(scope: Scope) -> bool:
    """Every run has exactly its one state, and there is no state without a run."""
    return bool(
        await scope.db.fetchval(
            """
            SELECT (SELECT count(*) FROM flow_run) = (SELECT count(*) FROM flow_run_state)
                AND NOT EXISTS (SELECT FROM flow_run r WHERE NOT EXISTS (
                    SELECT FROM flow_run_state s WHERE s.flow_run_id = r.id AND s.id = r.state_id))
            """
        )
    )


async def test_each_schedule_is_planned_ahead(scope: Scope) -> None:
    id = await deployment(scope, HOURLY, MINUTELY, old=True)
    paused = await deployment(scope, HOURLY, name="paused", paused=True)
    await scheduler.run(scope)
    runs = await runs_of(scope.db, id)
    by_kind = [run["created_by"]["display_value"] for run in runs]
    assert by_kind.count("IntervalSchedule") == 3
    assert by_kind.count("CronSchedule") in (60, 61)
    assert all(run["next_scheduled_start_time"] >= datetime.now(UTC) - timedelta(seconds=5) for run in runs)
    assert await runs_of(scope.db, paused) == []
    assert await consistent(scope)
    before = [run["id"] for run in runs]
    await scheduler.run(scope)
    assert {run["id"] for run in await runs_of(scope.db, id)} >= set(before)


async def test_pools_hear_of_new_runs(scope: Scope) -> None:
    async with scope.db.transaction() as transaction:
        queue_id, _ = await ensure_agent_queue(transaction, scope.workspace_id, "q")
    pool_id = await scope.db.fetchval("SELECT work_pool_id FROM work_queue WHERE id = $1", queue_id)
    await deployment(scope, HOURLY, work_queue_id=queue_id, work_queue_name="q")
    with scope.doorbell.listening(f"work:{pool_id}") as rung:
        await scheduler.run(scope)
        assert rung.is_set()
        rung.clear()
        await scheduler.run_recent(scope)
        assert not rung.is_set()


async def test_what_has_enough_runs_is_not_looked_at(scope: Scope) -> None:
    await deployment(scope, HOURLY, old=True)
    bounds = scheduler.bounds_of(scope.settings.services.scheduler)
    assert len(await needing_runs(scope.db, ZERO, 10, bounds)) == 1
    await scheduler.run(scope)
    assert await needing_runs(scope.db, ZERO, 10, bounds) == []
    await scope.db.execute("UPDATE flow_run SET state_type = 'PENDING', state_name = 'Pending'")
    assert len(await needing_runs(scope.db, ZERO, 10, bounds)) == 1


async def test_pages_reach_every_deployment(scope: Scope, database: Database) -> None:
    env = {"SEMPRE_SERVER_SERVICES_SCHEDULER_DEPLOYMENT_BATCH_SIZE": "2",
           "SEMPRE_SERVER_SERVICES_SCHEDULER_INSERT_BATCH_SIZE": "4"}  # fmt: skip
    ids = [await deployment(scope, HOURLY, HOURLY, name=str(n), old=n % 2 == 0) for n in range(5)]
    async with open_scope(database, env) as small:
        await scheduler.run(small)
    assert [len(await runs_of(scope.db, id)) for id in ids] == [6] * 5


async def test_a_schedule_that_fails_stops_no_other(scope: Scope, caplog: pytest.LogCaptureFixture) -> None:
    bad = await deployment(scope, {"cron": "not a cron"}, name="bad", old=True)
    good = await deployment(scope, HOURLY, name="good", old=True)
    await scheduler.run(scope)
    assert await runs_of(scope.db, bad) == []
    assert len(await runs_of(scope.db, good)) == 3
    assert str(bad) in caplog.text


async def test_the_recent_loop_looks_at_changes_only(scope: Scope) -> None:
    old = await deployment(scope, HOURLY, name="old", old=True)
    changed = await deployment(scope, HOURLY, name="changed", old=True)
    extended = await deployment(scope, name="extended", old=True)
    fresh = await deployment(scope, HOURLY, name="fresh")
    await scope.db.execute("UPDATE deployment SET updated = now() WHERE id = $1", changed)
    await schedules.insert(scope.db, scope.workspace_id, extended, [NewSchedule(schedule=HOURLY)])
    await scheduler.run_recent(scope)
    assert [len(await runs_of(scope.db, id)) for id in (old, changed, extended, fresh)] == [0, 3, 3, 3]


async def test_a_date_that_passes_between_change_and_planning_is_not_lost(scope: Scope) -> None:
    secondly = {"interval": 1.0, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"}
    id = await deployment(scope, secondly)
    changed = await scope.db.fetchval(
        "UPDATE deployment SET updated = now() - interval '3 seconds' WHERE id = $1 RETURNING updated", id
    )
    await scope.db.execute("UPDATE deployment_schedule SET updated = $1", changed)
    await scheduler.run_recent(scope)
    first = (await runs_of(scope.db, id))[0]["next_scheduled_start_time"]
    assert changed <= first < changed + timedelta(seconds=1)


async def test_many_replicas_plan_each_date_once(scope: Scope, database: Database) -> None:
    ids = [await deployment(scope, MINUTELY, name=str(n)) for n in range(6)]
    async with open_scope(database) as second, open_scope(database) as third:
        replicas = (scope, second, third)
        await asyncio.gather(
            *(scheduler.run(replica) for replica in replicas), *(scheduler.run_recent(replica) for replica in replicas)
        )
    for id in ids:
        dates = [run["next_scheduled_start_time"] for run in await runs_of(scope.db, id)]
        assert len(dates) == len(set(dates)) >= 60
    assert await consistent(scope)


@pytest.mark.parametrize("change", ["pause", "delete", "replace", "schedule"])
async def test_what_was_read_before_a_change_is_not_planned(scope: Scope, change: str) -> None:
    id = await deployment(scope, HOURLY)
    bounds = scheduler.bounds_of(scope.settings.services.scheduler)
    read = await needing_runs(scope.db, ZERO, 10, bounds)
    schedule_id = read[0]["schedule_id"]
    if change == "pause":
        await set_paused(scope, id, True)
    elif change == "delete":
        await queries.delete(scope.db, scope.workspace_id, [id])
    elif change == "replace":
        await schedules.delete(scope.db, scope.workspace_id, id, schedule_id)
        await schedules.insert(scope.db, scope.workspace_id, id, [NewSchedule(schedule=MINUTELY)])
    else:
        await schedules.patch(scope.db, id, [SchedulePatch(id=schedule_id, parameters={"x": 1})])
    assert await schedule_runs(scope, read, bounds) == 0
    assert await runs_of(scope.db, id) == []


async def test_planning_waits_for_a_pause_in_progress(scope: Scope, database: Database) -> None:
    id = await deployment(scope, HOURLY)
    bounds = scheduler.bounds_of(scope.settings.services.scheduler)
    read = await needing_runs(scope.db, ZERO, 10, bounds)
    async with open_scope(database) as other:
        async with other.db.transaction() as transaction:
            await queries.set_paused(transaction, scope.workspace_id, id, True)
            planning = asyncio.create_task(schedule_runs(scope, read, bounds))
            await _blocked(scope)
            await delete_scheduled(transaction, scope.workspace_id, [id], future_only=False)
        assert await planning == 0
    assert await runs_of(scope.db, id) == []


async def test_a_pause_waits_for_planning_in_progress_and_removes_its_runs(scope: Scope, database: Database) -> None:
    id = await deployment(scope, HOURLY)
    bounds = scheduler.bounds_of(scope.settings.services.scheduler)
    read = await needing_runs(scope.db, ZERO, 10, bounds)
    planned = scheduling._missing(read, bounds, None, timedelta(0))
    held = await asyncpg.connect(database.url)
    try:
        # Another replica has inserted the last of these dates and not committed yet: planning must wait for it.
        await held.execute("BEGIN")
        await held.execute(
            "INSERT INTO flow_run (id, workspace_id, name, flow_id, idempotency_key) SELECT $1, $2, 'x', flow_id, $3 "
            "FROM deployment WHERE id = $4",
            new_id(), scope.workspace_id, planned[-1].key, id,
        )  # fmt: skip
        planning = asyncio.create_task(schedule_runs(scope, read, bounds))
        await _blocked(scope)
        pausing = asyncio.create_task(set_paused(scope, id, True))
        await _blocked(scope, 2)
        await held.execute("ROLLBACK")
        assert await planning == 3
        await pausing
    finally:
        await held.close()
    assert await runs_of(scope.db, id) == []
    assert await consistent(scope)


async def _blocked(scope: Scope, count: int = 1) -> None:
    async def waiting() -> bool:
        found = await scope.db.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(found >= count)

    await until(waiting, f"{count} statements wait for a lock")


async def test_pausing_and_planning_at_random_leave_nothing_behind(scope: Scope, database: Database) -> None:
    id = await deployment(scope, MINUTELY)
    async with open_scope(database) as other:
        for _ in range(6):
            await set_paused(other, id, False)
            await asyncio.gather(scheduler.run(scope), scheduler.run_recent(other), set_paused(other, id, True))
            assert await runs_of(scope.db, id) == []
    assert await consistent(scope)


async def test_five_hundred_deployments_in_a_moment(scope: Scope) -> None:
    for n in range(500):
        await deployment(scope, MINUTELY, name=str(n))
    began = time.perf_counter()
    await scheduler.run(scope)
    first = time.perf_counter() - began
    await scope.db.execute(
        """
        WITH gone AS (
            DELETE FROM flow_run WHERE id IN (
                SELECT DISTINCT ON (deployment_id) id FROM flow_run
                ORDER BY deployment_id, next_scheduled_start_time DESC
            ) RETURNING id
        )
        DELETE FROM flow_run_state USING gone WHERE flow_run_id = gone.id
        """
    )
    began = time.perf_counter()
    await scheduler.run(scope)
    later = time.perf_counter() - began
    print(f"500 deployments: first pass {first:.2f} s, one more date each {later:.2f} s")
    count = await scope.db.fetchval("SELECT count(*) FROM flow_run")
    assert count >= 500 * 60
    assert later < first, "what is new costs, not what is there"


async def test_limits_of_their_own_go_with_their_slots(scope: Scope) -> None:
    id = await deployment(scope)
    async with scope.db.transaction() as transaction:
        await limits.set_own(transaction, scope.workspace_id, id, 2)
    limit_id = await scope.db.fetchval("SELECT concurrency_limit_id FROM deployment WHERE id = $1", id)
    await scope.db.execute(
        "INSERT INTO concurrency_slot (limit_id, slot, workspace_id) VALUES ($1, 1, $2)", limit_id, scope.workspace_id
    )
    await limits.delete_own(scope.db, scope.workspace_id, [id], keep=limit_id)
    assert await scope.db.fetchval("SELECT count(*) FROM concurrency_slot WHERE limit_id = $1", limit_id) == 1
    await limits.delete_own(scope.db, scope.workspace_id, [id])
    assert await scope.db.fetchval("SELECT count(*) FROM concurrency_slot WHERE limit_id = $1", limit_id) == 0
