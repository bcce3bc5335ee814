"""What a poll gives: order, limits, pauses, windows; and what it costs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sempre.server.ids import new_id
from sempre.server.work_pools.polling import DUE_RUNS
from tests.integration.work_pools.support import Pools


async def _example(pools: Pools) -> dict[str, str]:
    """The queues hi (1), lo (3) and auto (4), with runs that are due."""
    await pools.pool()
    ids = {}
    for name, priority in (("hi", 1), ("lo", 3), ("auto", None)):
        ids[name] = (await pools.queue(name, priority=priority))["id"]
    assert await pools.priorities() == {"hi": 1, "default": 2, "lo": 3, "auto": 4}
    for queue, minutes in (("hi", -10), ("hi", -5), ("lo", -30), ("lo", -20), ("auto", -40)):
        await pools.run(ids[queue], f"{queue}{minutes}", minutes=minutes)
    return ids


async def test_priority_comes_before_time(pools: Pools) -> None:
    await _example(pools)
    assert await pools.poll(scheduled_before=pools.now.isoformat()) == ["hi-10", "hi-5", "lo-30", "lo-20", "auto-40"]
    assert await pools.poll(limit=3) == ["hi-10", "hi-5", "lo-30"]
    assert await pools.poll(work_queue_names=["lo"]) == ["lo-30", "lo-20"]


async def test_what_is_polled_becomes_ready(pools: Pools) -> None:
    ids = await _example(pools)
    await pools.deployment("d", ids["lo"])
    await pools.patch("/work_pools/p/queues/hi", {"is_paused": True})
    await pools.poll(work_queue_names=["lo", "hi"])
    await pools.readiness.flush()
    queues = await pools.post("/work_pools/p/queues/filter", {})
    assert {queue["name"]: queue["status"] for queue in queues} == {
        "hi": "PAUSED",
        "default": "NOT_READY",
        "lo": "READY",
        "auto": "NOT_READY",
    }
    assert {queue["name"] for queue in queues if queue["last_polled"]} == {"lo", "hi"}
    assert await pools.scope.db.fetchval("SELECT status FROM deployment") == "READY"


async def test_a_run_is_given_without_its_state_object(pools: Pools) -> None:
    pool = await pools.pool()
    run_id = await pools.run(pool["default_queue_id"], "due")
    (given,) = await pools.post("/work_pools/p/get_scheduled_flow_runs", {})
    assert (given["work_pool_id"], given["work_queue_id"]) == (pool["id"], pool["default_queue_id"])
    run = given["flow_run"]
    assert (run["id"], run["state"], run["state_type"]) == (str(run_id), None, "SCHEDULED")
    assert "work_pool_name" not in run


async def test_the_limit_of_a_pool(pools: Pools) -> None:
    ids = await _example(pools)
    await pools.patch("/work_pools/p", {"concurrency_limit": 2})
    assert await pools.poll() == ["hi-10", "hi-5"]
    await pools.scope.db.execute("UPDATE flow_run SET state_type = 'PENDING' WHERE name = 'hi-10'")
    assert await pools.poll() == ["hi-5"]
    # The pool's slots are held by runs of all its queues, also of those that were not asked for.
    assert await pools.poll(work_queue_names=["lo"]) == ["lo-30"]
    await pools.scope.db.execute("UPDATE flow_run SET state_type = 'RUNNING' WHERE name = 'hi-5'")
    assert await pools.poll() == []
    assert (await pools.get("/work_pools/p"))["active_slots"] == 2
    await pools.run(ids["lo"], "third", state="RUNNING")
    assert await pools.poll() == []


async def test_the_limit_of_a_queue(pools: Pools) -> None:
    await _example(pools)
    await pools.patch("/work_pools/p/queues/lo", {"concurrency_limit": 1})
    await pools.scope.db.execute("UPDATE flow_run SET state_type = 'PENDING' WHERE name LIKE 'hi%'")
    assert await pools.poll() == ["lo-30", "auto-40"]
    await pools.patch("/work_pools/p/queues/lo", {"concurrency_limit": 0})
    assert await pools.poll() == ["auto-40"]


async def test_pauses(pools: Pools) -> None:
    await _example(pools)
    await pools.patch("/work_pools/p/queues/hi", {"is_paused": True})
    assert await pools.poll(limit=1) == ["lo-30"]
    assert await pools.poll(work_queue_names=["hi"]) == []
    await pools.patch("/work_pools/p", {"is_paused": True})
    assert await pools.poll() == []


async def test_the_window_is_inclusive(pools: Pools) -> None:
    await _example(pools)
    before, after = (pools.now - timedelta(minutes=20)).isoformat(), (pools.now - timedelta(minutes=30)).isoformat()
    assert await pools.poll(scheduled_before=before, scheduled_after=after) == ["lo-30", "lo-20"]


async def test_runs_that_retry_in_their_process_are_not_given(pools: Pools) -> None:
    pool = await pools.pool()
    queue = pool["default_queue_id"]
    await pools.run(queue, "in process", empirical_policy={"retry_type": "in_process"})
    await pools.run(queue, "reschedule", empirical_policy={"retry_type": "reschedule"})
    await pools.run(queue, "none", empirical_policy={"retry_type": None}, state_name="AwaitingRetry", minutes=1)
    assert await pools.poll() == ["reschedule", "none"]


async def test_what_is_not_there(pools: Pools) -> None:
    await pools.pool()
    assert await pools.post("/work_pools/x/get_scheduled_flow_runs", {}, 404) == {"detail": 'Work pool "x" not found.'}
    asked = {"work_queue_names": ["default", "x"]}
    missing = await pools.post("/work_pools/p/get_scheduled_flow_runs", asked, 404)
    assert missing == {"detail": "Work pool queue 'p/x' not found."}
    await pools.post("/work_pools/p/get_scheduled_flow_runs", {"limit": 201}, 422)


@pytest.mark.parametrize("pool_limit", [None, 5])
async def test_the_cost_does_not_follow_the_history(pools: Pools, pool_limit: int | None) -> None:
    """Every read of runs goes through the indexes on work in flight, whatever lies behind."""
    pool = await pools.pool()
    queue = pool["default_queue_id"]
    db = pools.scope.db
    await db.execute(
        """
        INSERT INTO flow_run (id, workspace_id, name, flow_id, work_queue_id, state_type, next_scheduled_start_time)
        SELECT gen_random_uuid(), $1, 'old', $2, $3, CASE n % 50 WHEN 0 THEN 'SCHEDULED' ELSE 'COMPLETED' END, now()
        FROM generate_series(1, 5000) n
        """,
        pools.scope.workspace_id,
        new_id(),
        queue,
    )
    await db.execute("ANALYZE flow_run")
    arguments = DUE_RUNS.bind(
        counted=[queue],
        queues=[queue],
        places=[0],
        limits=[3],
        before=None,
        after=None,
        limit=100,
        pool_limit=pool_limit,
    )
    async with db.transaction() as transaction:
        await transaction.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        plan = "\n".join(row[0] for row in await transaction.fetch(f"EXPLAIN {DUE_RUNS.sql}", *arguments))
    assert "flow_run_pollable" in plan, plan
    assert "flow_run_in_flight" in plan, plan
    assert "Seq Scan on flow_run" not in plan, plan
