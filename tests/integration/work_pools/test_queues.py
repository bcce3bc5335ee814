"""Queues of pools: priorities, pauses, deletion; and queues of clients that know no pools."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from sempre.server.deployments.readiness import Readiness
from sempre.server.errors import NotFound
from sempre.server.ids import new_id
from sempre.server.work_pools.creation import ensure_agent_queue, ensure_queue
from tests.integration.work_pools.support import Pools


async def test_priorities_move_only_as_far_as_they_must(pools: Pools) -> None:
    await pools.pool()
    for name, priority in (("hi", 1), ("q1", 3), ("q4", 4), ("q9", 9)):
        await pools.queue(name, priority=priority)
    assert await pools.priorities() == {"hi": 1, "default": 2, "q1": 3, "q4": 4, "q9": 9}
    await pools.patch("/work_pools/p/queues/q9", {"priority": 2})
    assert await pools.priorities() == {"hi": 1, "q9": 2, "default": 3, "q1": 4, "q4": 5}
    await pools.delete("/work_pools/p/queues/q9")
    assert await pools.priorities() == {"hi": 1, "default": 3, "q1": 4, "q4": 5}
    assert (await pools.queue("free"))["priority"] == 2


async def test_reordering_polling_and_deleting_at_once_do_not_deadlock(pools: Pools) -> None:
    await pools.pool()
    ids = [UUID((await pools.queue(f"q{number}"))["id"]) for number in range(6)]
    for number, id in enumerate(ids):
        await pools.deployment(f"d{number}", str(id))
    readiness = [Readiness(pools.scope) for _ in range(6)]
    for replica in readiness:
        replica.mark_queues(ids)

    async def reordered(number: int) -> int:
        patched = await pools.api.patch(f"/work_pools/p/queues/q{number}", json={"priority": 1})
        return patched.status_code

    async def deleted(number: int) -> int:
        return (await pools.api.delete(f"/work_pools/p/queues/q{number}")).status_code

    statuses = await asyncio.gather(
        *(reordered(number) for number in (5, 4, 3)),
        *(deleted(number) for number in (0, 1)),
        *(replica.flush() for replica in readiness),
        *(reordered(number) for number in (3, 5, 4)),
    )
    assert [status for status in statuses if status is not None] == [204] * 8
    assert await pools.scope.db.fetchval("SELECT count(*) FROM deployment WHERE work_queue_id IS NULL") == 2
    priorities = (await pools.priorities()).values()
    assert len(set(priorities)) == len(priorities)
    await pools.delete("/work_pools/p")


async def test_a_new_queue(pools: Pools) -> None:
    pool = await pools.pool()
    queue = await pools.queue("extra", description=None, is_paused=False, concurrency_limit=None, filter=None)
    assert {**queue, "id": None, "created": None, "updated": None} == {
        "id": None,
        "created": None,
        "updated": None,
        "name": "extra",
        "description": "",
        "is_paused": False,
        "concurrency_limit": None,
        "priority": 2,
        "work_pool_id": pool["id"],
        "filter": None,
        "last_polled": None,
        "work_pool_name": "p",
        "status": "NOT_READY",
        "active_slots": None,
    }
    assert (await pools.post("/work_pools/p/queues", {"name": "extra"}, 409))["detail"] == (
        "A work queue with this name already exists in work pool {work_pool_name!r}."
    )
    assert await pools.get("/work_pools/p/queues/x", 404) == {"detail": "Work pool queue 'p/x' not found."}
    assert await pools.patch("/work_pools/x/queues/x", {}, 404) == {"detail": 'Work pool "x" not found.'}
    listed = await pools.post("/work_pools/p/queues/filter", {"work_queues": None, "limit": None, "offset": None})
    assert [row["name"] for row in listed] == ["default", "extra"]
    asked = {"work_queues": {"name": {"startswith_": ["EX"]}}}
    assert [row["name"] for row in await pools.post("/work_pools/p/queues/filter", asked)] == ["extra"]


async def test_pausing_and_resuming(pools: Pools) -> None:
    await pools.pool()
    queue = await pools.queue("q", is_paused=True)
    assert (queue["is_paused"], queue["status"]) == (True, "NOT_READY")
    path = "/work_pools/p/queues/q"
    await pools.patch(path, {"is_paused": True})
    assert (await pools.get(path))["status"] == "PAUSED"
    await pools.patch(path, {"is_paused": False})
    assert (await pools.get(path))["status"] == "NOT_READY"
    await pools.patch(path, {"is_paused": False})
    await pools.patch(path, {"is_paused": True})
    await pools.patch(path, {"is_paused": False, "last_polled": (pools.now - timedelta(seconds=5)).isoformat()})
    assert (await pools.get(path))["status"] == "READY"
    names = [name for name in await pools.event_names() if name.startswith("work-queue.")]
    assert names[2:] == ["work-queue.paused", "work-queue.not-ready", "work-queue.paused", "work-queue.ready"]


async def test_renaming_and_its_clash(pools: Pools) -> None:
    await pools.pool()
    await pools.queue("q")
    await pools.patch("/work_pools/p/queues/q", {"name": "r"})
    assert (await pools.events())[-1]["payload"]["updated_fields"] == ["name"]
    await pools.patch("/work_pools/p/queues/r", {"name": "default"}, 409)
    for field in ("name", "description", "priority"):
        await pools.patch("/work_pools/p/queues/r", {field: None}, 409)


async def test_deleting(pools: Pools) -> None:
    await pools.pool()
    queue = await pools.queue("q")
    run_id = await pools.run(queue["id"], "left")
    await pools.delete("/work_pools/p/queues/default", 409)
    await pools.delete("/work_pools/p/queues/q")
    await pools.delete("/work_pools/p/queues/q", 404)
    assert await pools.scope.db.fetchval("SELECT work_queue_id FROM flow_run WHERE id = $1", run_id) is None
    assert (await pools.event_names())[-1] == "work-queue.deleted"


async def test_a_queue_named_by_many_at_once_is_made_once(pools: Pools) -> None:
    await pools.pool()

    async def ensured(name: str) -> tuple[UUID, str]:
        async with pools.scope.db.transaction() as transaction:
            return await ensure_queue(transaction, pools.scope.workspace_id, "p", name)

    found = await asyncio.gather(*(ensured(name) for name in "aabbccdd"))
    assert len(set(found)) == 4
    assert sorted((await pools.priorities()).values()) == [1, 2, 3, 4, 5]
    with pytest.raises(NotFound, match='Work pool "x" not found'):
        async with pools.scope.db.transaction() as transaction:
            await ensure_queue(transaction, pools.scope.workspace_id, "x", "a")


async def test_agents_queues_are_made_with_their_pool(pools: Pools) -> None:
    async def ensured(name: str) -> tuple[UUID, str]:
        async with pools.scope.db.transaction() as transaction:
            return await ensure_agent_queue(transaction, pools.scope.workspace_id, name)

    found = await asyncio.gather(*(ensured(name) for name in ("a", "a", "default")))
    assert len(set(found)) == 2
    assert await pools.priorities("default-agent-pool") == {"a": 1, "default": 2}
    pool = await pools.get("/work_pools/default-agent-pool")
    assert (pool["type"], pool["status"]) == ("prefect-agent", None)
    assert not [name for name in await pools.event_names() if "ready" in name]


async def test_queues_without_pools(pools: Pools) -> None:
    default = await pools.post("/work_queues/", {"name": "default"}, 201)
    assert default["work_pool_name"] == "default-agent-pool"
    again = await pools.post("/work_queues/", {"name": "default"}, 409)
    assert again == {"detail": "A work queue with this name already exists."}
    queue = await pools.post("/work_queues/", {"name": "q", "concurrency_limit": 3}, 201)
    path = f"/work_queues/{queue['id']}"
    assert await pools.get(path) == queue == await pools.get("/work_queues/name/q")
    await pools.patch(path, {"concurrency_limit": 2, "priority": 1})
    assert await pools.priorities("default-agent-pool") == {"default": 1, "q": 1}
    assert [row["name"] for row in await pools.post("/work_queues/filter", {})] == ["default", "q"]
    await pools.delete(f"/work_queues/{default['id']}", 409)
    await pools.delete(path)
    unknown = new_id()
    assert await pools.get(path, 404) == {"detail": "work queue not found"}
    assert await pools.get("/work_queues/name/q", 404) == {"detail": "work queue not found"}
    assert await pools.patch(f"/work_queues/{unknown}", {}, 404) == {"detail": f"Work Queue {unknown} not found"}
    assert await pools.post(f"/work_queues/{unknown}/get_runs", {}, 404) == {
        "exception_message": f"Work queue with id {unknown} not found."
    }
    assert await pools.get("/work_queues/not-an-id", 404) == {"detail": "Not Found"}


async def test_runs_of_a_queue_by_name(pools: Pools) -> None:
    pool = await pools.pool()
    queue = await pools.queue("q", concurrency_limit=3)
    path = f"/work_queues/{queue['id']}"
    await pools.run(queue["id"], "later", minutes=-1)
    await pools.run(queue["id"], "earlier", minutes=-2, state_name="Late")
    await pools.run(pool["default_queue_id"], "elsewhere")
    orphan = await pools.run(queue["id"], "orphan", minutes=-3, work_queue_name="q")
    await pools.scope.db.execute("UPDATE flow_run SET work_queue_id = NULL WHERE id = $1", orphan)
    runs = await pools.post(f"{path}/get_runs", {})
    assert [run["name"] for run in runs] == ["orphan", "earlier", "later"]
    assert runs[0]["state"]["type"] == "SCHEDULED"

    await pools.run(queue["id"], "held", state="CANCELLING")
    assert len(await pools.post(f"{path}/get_runs", {})) == 2
    assert (await pools.get(path))["active_slots"] == 1
    assert (await pools.get("/work_pools/p/queues/q"))["active_slots"] == 0
    status = await pools.post(f"{path}/concurrency_status", {})
    assert ([run["name"] for run in status["flow_runs"]], status["active_slots"], status["count"]) == (["held"], 1, 1)
    health = await pools.get(f"{path}/status")
    assert (health["healthy"], health["late_runs_count"]) == (False, 1)
    assert health["health_check_policy"] == {"maximum_late_runs": 0, "maximum_seconds_since_last_polled": 60}

    await pools.patch(path, {"is_paused": True})
    assert await pools.post(f"{path}/get_runs", {}) == []


async def test_a_look_from_a_user_interface_is_no_poll(pools: Pools) -> None:
    queue = await pools.post("/work_queues/", {"name": "q"}, 201)
    path = f"/work_queues/{queue['id']}"
    shown = await pools.api.post(f"{path}/get_runs", json={}, headers={"x-prefect-ui": "true"})
    assert shown.json() == []
    await pools.readiness.flush()
    assert (await pools.get(path))["last_polled"] is None
    await pools.post(f"{path}/get_runs", {})
    await pools.readiness.flush()
    assert (await pools.get(path))["status"] == "READY"
    assert (await pools.get(f"{path}/status"))["healthy"] is True


async def test_queues_that_pick_by_tags_and_deployments(pools: Pools) -> None:
    deployment, other = new_id(), new_id()
    queue = await pools.post(
        "/work_queues/", {"name": "q", "filter": {"tags": ["a", "b"], "deployment_ids": [str(deployment)]}}, 201
    )
    somewhere = new_id()
    await pools.run(somewhere, "both", deployment_id=deployment, tags=["a", "b", "c"])
    await pools.run(somewhere, "one tag", deployment_id=deployment, tags=["a"])
    await pools.run(somewhere, "other deployment", deployment_id=other, tags=["a", "b"])
    await pools.run(somewhere, "no deployment", tags=["a", "b"])
    path = f"/work_queues/{queue['id']}"
    assert [run["name"] for run in await pools.post(f"{path}/get_runs", {})] == ["both"]
    await pools.patch(path, {"filter": {"tags": ["a", "b"]}})
    assert [run["name"] for run in await pools.post(f"{path}/get_runs", {})] == ["both", "other deployment"]
