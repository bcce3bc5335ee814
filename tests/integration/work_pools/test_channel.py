"""The worker channel: greeting, heartbeats, snapshots, and how it ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from sempre.server.scope import Scope
from sempre.server.worker_channel.endpoint import worker_channel
from tests.integration.work_pools.channel_client import CAPABILITIES, VERSION, Worker, serving, worker
from tests.integration.work_pools.support import Pools
from tests.support.database import Database
from tests.support.scopes import open_scope, until

TEMPLATE = {"job_configuration": {"command": "{{ command }}"}, "variables": {"properties": {"command": {}}}}


@pytest.fixture
async def address(app: FastAPI) -> AsyncIterator[str]:
    app.router.add_websocket_route("/api/work_pools/{work_pool_name}/workers/connect", worker_channel)
    async with serving(app) as url:
        yield url


async def test_the_greeting(pools: Pools, address: str) -> None:
    pool = await pools.pool()
    queue = await pools.queue("q")
    async with worker(address) as connected:
        ready = await connected.greeted(worker_metadata={"integrations": []})
        assert ready == {
            "consumer_id": connected.consumer_id,
            "worker_id": connected.consumer_id,
            "selected_channel_version": VERSION,
            "effective_heartbeat_interval_seconds": 30,
            "accepted_capabilities": CAPABILITIES,
            "rejected_capabilities": [],
            "effective_max_cleanup_concurrency": 0,
            "resolved_work_queues": [
                {"id": pool["default_queue_id"], "name": "default"},
                {"id": queue["id"], "name": "q"},
            ],
            "initial_snapshot": {"snapshot_sequence": 1, "reason": "initial", "work_pool": {**pool, "status": "READY"}},
        }
    (listed,) = await pools.post("/work_pools/p/workers/filter", {})
    assert (listed["name"], listed["status"], listed["heartbeat_interval_seconds"]) == ("w", "ONLINE", 30)


async def test_what_is_granted(pools: Pools, address: str) -> None:
    await pools.pool()
    queue = await pools.queue("q")
    async with worker(address) as connected:
        ready = await connected.greeted(
            requested_capabilities=[*CAPABILITIES, "cleanup_delivery.v1", "teleport.v1"],
            handled_cleanup_kinds=["cancelling_timeout_teardown.v1"],
            max_cleanup_concurrency=None,
            work_queue_names=["q"],
        )
        assert ready["accepted_capabilities"] == [*CAPABILITIES, "cleanup_delivery.v1"]
        assert ready["rejected_capabilities"] == ["teleport.v1"]
        assert ready["effective_max_cleanup_concurrency"] == 1
        assert ready["resolved_work_queues"] == [{"id": queue["id"], "name": "q"}]


@pytest.mark.parametrize(
    ("changes", "ending"),
    [
        ({"supported_channel_versions": ["v0"]}, (1008, "unsupported_version")),
        ({"requested_capabilities": ["worker_heartbeat.v1"]}, (1002, "protocol_error")),
        ({"work_queue_names": ["x"]}, (1008, "authorization_failed")),
        ({"heartbeat_interval_seconds": 0}, (1002, "protocol_error")),
        ({"surprise": 1}, (1002, "protocol_error")),
    ],
)
async def test_hellos_that_are_refused(
    pools: Pools, address: str, changes: dict[str, Any], ending: tuple[int, str]
) -> None:
    await pools.pool()
    async with worker(address) as connected:
        await connected.hello(**changes)
        assert await connected.closed() == ending


async def test_frames_that_are_refused(pools: Pools, address: str) -> None:
    await pools.pool()

    async def heartbeat_of_another(connected: Worker) -> None:
        await connected.heartbeat(worker_name="another")

    async def unknown(connected: Worker) -> None:
        await connected.send("worker.sing.v1", {})

    async def extra(connected: Worker) -> None:
        await connected.send("worker.heartbeat.v1", {}, surprise=1)

    async def no_json(connected: Worker) -> None:
        await connected.connection.send("{")

    for misbehave in (heartbeat_of_another, unknown, extra, no_json):
        async with worker(address) as connected:
            await connected.greeted()
            await misbehave(connected)
            assert await connected.closed() == (1002, "protocol_error"), misbehave.__name__


async def test_who_may_connect(pools: Pools, address: str) -> None:
    await pools.pool()
    url = f"{address}/work_pools/p/workers/connect"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, proxy=None)
    assert refused.value.response.status_code == 403
    async with connect(url, subprotocols=[Subprotocol("prefect")], proxy=None) as connection:
        await connection.send(json.dumps({"type": "hello"}))
        assert await Worker(connection).closed() == (1008, "authentication_failed")


async def test_a_missing_pool_is_made_if_asked(pools: Pools, address: str) -> None:
    async with worker(address) as connected:
        await connected.hello()
        assert await connected.closed() == (1008, "authorization_failed")
    async with worker(address, pool="prefect-x") as connected:
        await connected.hello(create_pool_if_not_found=True)
        assert await connected.closed() == (1008, "authorization_failed")
    async with worker(address) as connected:
        ready = await connected.greeted(create_pool_if_not_found=True, default_base_job_template=TEMPLATE)
        made = ready["initial_snapshot"]["work_pool"]
        assert (made["type"], made["base_job_template"], made["status"]) == ("process", TEMPLATE, "READY")


async def test_an_empty_template_is_filled(pools: Pools, address: str) -> None:
    await pools.pool()
    async with worker(address) as connected:
        ready = await connected.greeted(default_base_job_template=TEMPLATE)
        assert ready["initial_snapshot"]["work_pool"]["base_job_template"] == TEMPLATE
    async with worker(address) as connected:
        other = {**TEMPLATE, "job_configuration": {}}
        ready = await connected.greeted(default_base_job_template=other)
        assert ready["initial_snapshot"]["work_pool"]["base_job_template"] == TEMPLATE


async def test_changes_are_shown_on_every_replica(pools: Pools, scope: Scope, address: str, database: Database) -> None:
    """The change is made through one replica, the worker hangs on another."""
    await pools.pool()
    async with open_scope(database) as other:
        other.doorbell.start()
        scope.doorbell.start()
        try:
            async with worker(address) as connected:
                await connected.greeted()
                await _heard(other, scope)
                await pools.patch("/work_pools/p", {"concurrency_limit": 3})
                first = await connected.receive("work_pool.snapshot.v1")
                assert (first["snapshot_sequence"], first["reason"]) == (2, "work_pool_updated")
                assert (first["work_pool"]["concurrency_limit"], first["work_pool"]["active_slots"]) == (3, 0)
                # Now somebody else rings: the change is only told by the database.
                await scope.db.execute("UPDATE work_pool SET is_paused = true, updated = clock_timestamp()")
                other.doorbell.ring(f"work_pool:{first['work_pool']['id']}")
                second = await connected.receive("work_pool.snapshot.v1")
                assert (second["snapshot_sequence"], second["work_pool"]["is_paused"]) == (3, True)
        finally:
            await scope.doorbell.stop()
            await other.doorbell.stop()


async def _heard(ringer: Scope, listener: Scope) -> None:
    with listener.doorbell.listening("test") as heard:

        def rung() -> bool:
            ringer.doorbell.ring("test")
            return heard.is_set()

        await until(rung, "the doorbell is heard across replicas")


async def test_a_heartbeat_finds_what_the_bell_did_not_tell(pools: Pools, scope: Scope, address: str) -> None:
    await pools.pool()
    async with worker(address) as connected:
        await connected.greeted()
        await connected.heartbeat()
        await scope.db.execute("UPDATE work_pool SET description = 'new', updated = clock_timestamp()")
        await connected.heartbeat(heartbeat_interval_seconds=20)
        shown = await connected.receive("work_pool.snapshot.v1")
        assert (shown["reason"], shown["work_pool"]["description"]) == ("heartbeat_reconciliation", "new")
        (listed,) = await pools.post("/work_pools/p/workers/filter", {})
        assert listed["heartbeat_interval_seconds"] == 20


async def test_the_end_of_a_pool_ends_its_channels(pools: Pools, address: str) -> None:
    await pools.pool()
    async with worker(address) as connected:
        await connected.greeted()
        await pools.delete("/work_pools/p")
        assert await connected.closed() == (1008, "authorization_failed")


async def test_a_pool_made_anew_is_worth_coming_back_for(pools: Pools, scope: Scope, address: str) -> None:
    await pools.pool()
    async with worker(address) as connected:
        await connected.greeted()
        await scope.db.execute("DELETE FROM work_pool")
        await pools.pool()
        await connected.heartbeat()
        assert await connected.closed() == (1011, "transient_server_error")


async def test_a_pool_too_large_for_a_frame_is_left_to_http(pools: Pools, address: str) -> None:
    large = {"job_configuration": {"a": "x" * (1 << 20)}, "variables": {"properties": {"b": {}}}}
    await pools.pool(base_job_template=large)
    async with worker(address) as connected:
        await connected.hello()
        assert await connected.closed() == (1002, "protocol_error")


async def test_work_is_announced_to_those_who_ask(pools: Pools, scope: Scope, address: str) -> None:
    pool = await pools.pool()
    async with worker(address) as asked, worker(address, name="stock") as stock:
        ready = await asked.greeted(requested_capabilities=[*CAPABILITIES, "sempre.work_available.v1"])
        assert ready["accepted_capabilities"][-1] == "sempre.work_available.v1"
        await stock.greeted()
        scope.doorbell.ring(f"work:{pool['id']}")
        assert await asked.receive("work.available.v1") == {"work_pool_id": pool["id"]}
        # The next frame for the other one is about the pool, not about work.
        await pools.patch("/work_pools/p", {"concurrency_limit": 1})
        await stock.receive("work_pool.snapshot.v1")


async def test_a_stopping_server_says_so(app: FastAPI, pools: Pools) -> None:
    await pools.pool()
    app.router.add_websocket_route("/api/work_pools/{work_pool_name}/workers/connect", worker_channel)
    async with serving(app) as address:
        connection = worker(address)
        connected = await connection.__aenter__()
        await connected.greeted()
    code, _ = await connected.closed()
    await connection.__aexit__(None, None, None)
    assert code == 1012
