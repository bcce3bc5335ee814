"""Workers live by heartbeats: listing, readiness of their pool, and the foreman who misses them."""

from __future__ import annotations

import asyncio

import pytest

from sempre.server.services import foreman
from tests.integration.work_pools.support import Pools


async def test_the_first_heartbeat_makes_the_worker_and_readies_the_pool(pools: Pools) -> None:
    await pools.pool()
    beat = {"name": "w", "heartbeat_interval_seconds": 10}
    heartbeat = "/work_pools/p/workers/heartbeat"
    await asyncio.gather(*(pools.post(heartbeat, beat, 204) for _ in range(4)))
    await pools.post(heartbeat, {"name": "w"}, 204)
    (worker,) = await pools.post("/work_pools/p/workers/filter", {})
    assert (worker["name"], worker["status"], worker["heartbeat_interval_seconds"]) == ("w", "ONLINE", 10)
    assert (await pools.get("/work_pools/p"))["status"] == "READY"
    assert (await pools.event_names()).count("work-pool.ready") == 1
    missing = await pools.post("/work_pools/x/workers/heartbeat", beat, 404)
    assert missing == {"detail": 'Work pool "x" not found.'}


async def test_a_silent_worker_is_shown_offline_but_filtered_as_stored(pools: Pools) -> None:
    await pools.pool()
    await pools.post("/work_pools/p/workers/heartbeat", {"name": "w", "heartbeat_interval_seconds": 1}, 204)
    await pools.post("/work_pools/p/workers/heartbeat", {"name": "alive"}, 204)
    await pools.scope.db.execute(
        "UPDATE worker SET last_heartbeat_time = now() - interval '4 seconds' WHERE name = 'w'"
    )
    online = {"workers": {"status": {"any_": ["ONLINE"]}}}
    listed = await pools.post("/work_pools/p/workers/filter", online)
    assert [(worker["name"], worker["status"]) for worker in listed] == [("alive", "ONLINE"), ("w", "OFFLINE")]


async def test_forgetting_a_worker(pools: Pools) -> None:
    await pools.pool()
    await pools.post("/work_pools/p/workers/heartbeat", {"name": "w"}, 204)
    await pools.delete("/work_pools/p/workers/w")
    assert await pools.delete("/work_pools/p/workers/w", 404) == {"detail": "Worker not found."}
    assert await pools.delete("/work_pools/x/workers/w", 404) == {"detail": 'Work pool "x" not found.'}


async def _fell_silent(pools: Pools) -> None:
    """Everything of pool ``p`` was seen, and last seen two minutes ago."""
    await pools.post("/work_pools/p/workers/heartbeat", {"name": "w", "heartbeat_interval_seconds": 1}, 204)
    await pools.poll()
    await pools.readiness.flush()
    for table in ("worker", "work_queue", "deployment"):
        column = "last_heartbeat_time" if table == "worker" else "last_polled"
        await pools.scope.db.execute(f"UPDATE {table} SET {column} = now() - interval '2 minutes'")


async def test_the_foreman_marks_what_fell_silent(pools: Pools) -> None:
    pool = await pools.pool()
    deployment_id = await pools.deployment("d", pool["default_queue_id"])
    await _fell_silent(pools)
    before = len(await pools.event_names())
    updated = await pools.scope.db.fetchval("SELECT updated FROM deployment")

    # Several foremen at once say everything once.
    await asyncio.gather(*(foreman.run(pools.scope) for _ in range(4)))
    said = await pools.event_names()
    assert sorted(said[before:]) == ["deployment.not-ready", "work-pool.not-ready", "work-queue.not-ready"]
    assert (await pools.get("/work_pools/p"))["status"] == "NOT_READY"
    assert (await pools.get("/work_pools/p/queues/default"))["status"] == "NOT_READY"
    row = await pools.scope.db.fetchrow("SELECT status, updated FROM deployment WHERE id = $1", deployment_id)
    assert row is not None
    assert (row["status"], row["updated"]) == ("NOT_READY", updated)
    silent = [event for event in await pools.events() if event["event"] == "prefect.work-pool.not-ready"][-1]
    ready = next(event for event in await pools.events() if event["event"] == "prefect.work-pool.ready")
    assert silent["follows"] == ready["id"]

    await pools.post("/work_pools/p/workers/heartbeat", {"name": "w"}, 204)
    assert (await pools.event_names())[-1] == "work-pool.ready"
    assert (await pools.events())[-1]["follows"] == silent["id"]


@pytest.mark.parametrize(("since", "seen"), [("2 seconds", "0"), ("1 day", "119 seconds")])
async def test_the_foreman_judges_nobody_by_silence_that_nobody_listened_to(
    pools: Pools, since: str, seen: str
) -> None:
    """The API was away until a moment ago, or is away still: nobody could be heard."""
    pool = await pools.pool()
    await pools.deployment("d", pool["default_queue_id"])
    await _fell_silent(pools)
    await pools.scope.db.execute("DELETE FROM presence")
    await pools.scope.db.execute(
        "INSERT INTO presence VALUES ('events', now() - $1::text::interval, now() - $2::text::interval)", since, seen
    )
    before = await pools.event_names()
    await foreman.run(pools.scope)
    assert await pools.event_names() == before
    await pools.scope.db.execute("UPDATE presence SET since = now() - interval '1 day', seen = now()")
    await foreman.run(pools.scope)
    assert len(await pools.event_names()) == len(before) + 3


async def test_the_foreman_leaves_what_was_seen(pools: Pools) -> None:
    pool = await pools.pool()
    await pools.deployment("never polled", pool["default_queue_id"])
    await pools.deployment("polled", pool["default_queue_id"])
    await _fell_silent(pools)
    await pools.post("/work_pools/p/workers/heartbeat", {"name": "w"}, 204)
    await pools.poll()
    await pools.readiness.flush()
    # Its own poll is old, its queue's is not.
    await pools.scope.db.execute(
        "UPDATE deployment SET last_polled = now() - interval '2 minutes' WHERE name = 'polled'"
    )
    await pools.scope.db.execute("UPDATE deployment SET last_polled = NULL WHERE name = 'never polled'")
    before = await pools.event_names()
    await foreman.run(pools.scope)
    assert await pools.event_names() == before


async def test_the_foreman_leaves_paused_pools(pools: Pools) -> None:
    await pools.pool()
    await _fell_silent(pools)
    await pools.patch("/work_pools/p", {"is_paused": True})
    await pools.patch("/work_pools/p/queues/default", {"is_paused": True})
    before = await pools.event_names()
    await foreman.run(pools.scope)
    assert await pools.event_names() == before
    await pools.patch("/work_pools/p", {"is_paused": False})
    assert (await pools.get("/work_pools/p"))["status"] == "NOT_READY"
