"""Clean-ups: delivered at least once, to one worker at a time, until they are done or given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI

from sempre.server.ids import new_id
from sempre.server.scope import Scope
from sempre.server.services import cleanup_reconciler
from sempre.server.worker_channel import cleanup
from sempre.server.worker_channel.endpoint import worker_channel
from tests.integration.work_pools.channel_client import CAPABILITIES, Worker, serving, worker
from tests.integration.work_pools.support import Pools
from tests.support.scopes import until

CLEANS: dict[str, Any] = {
    "requested_capabilities": [*CAPABILITIES, "cleanup_delivery.v1"],
    "handled_cleanup_kinds": [cleanup.TIMED_OUT],
    "max_cleanup_concurrency": 1,
}


@pytest.fixture
async def address(app: FastAPI) -> AsyncIterator[str]:
    app.router.add_websocket_route("/api/work_pools/{work_pool_name}/workers/connect", worker_channel)
    async with serving(app) as url:
        yield url


async def _cancelled(pools: Pools, queue_id: str, name: str = "cancelled") -> tuple[UUID, UUID]:
    """A cancelled run whose infrastructure is still there, and the state that ended it."""
    state_id = new_id()
    return await pools.run(queue_id, name, state="CANCELLED", state_id=state_id, infrastructure_pid="4711"), state_id


async def _enqueue(scope: Scope, run_id: UUID, state_id: UUID) -> None:
    async with scope.db.transaction() as transaction:
        pool_id = await cleanup.enqueue(transaction, scope.workspace_id, run_id, state_id=state_id)
    assert pool_id is not None
    scope.doorbell.ring(cleanup.topic(pool_id))


async def _statuses(scope: Scope) -> list[tuple[str, int, str | None]]:
    rows = await scope.db.fetch("SELECT status, delivery_count, reason FROM worker_cleanup ORDER BY created, id")
    return [(row["status"], row["delivery_count"], row["reason"]) for row in rows]


async def _answer(connected: Worker, operation: str, message: dict[str, Any], **changes: Any) -> dict[str, Any]:
    asked = {"message_id": message["message_id"], "reservation_token": message["reservation_token"], **changes}
    frame_id = await connected.send(f"cleanup.{operation}.v1", asked)
    result = await connected.receive("cleanup.operation_result.v1")
    assert (result["request_frame_id"], result["operation"]) == (frame_id, operation)
    assert result["message_id"] == message["message_id"]
    return result


async def test_a_message_is_delivered_once_it_is_there_and_acknowledged(
    pools: Pools, scope: Scope, address: str
) -> None:
    pool = await pools.pool()
    run_id, state_id = await _cancelled(pools, pool["default_queue_id"])
    async with worker(address) as connected:
        await connected.greeted(**CLEANS)
        await asyncio.gather(*(_enqueue(scope, run_id, state_id) for _ in range(3)))
        message = await connected.receive("cleanup.message.v1")
        assert message["kind"] == "cancelling_timeout_teardown.v1"
        assert message["target"] == {"flow_run_id": str(run_id), "infrastructure_pid": "4711"}
        assert (message["work_queue_id"], message["delivery_count"]) == (pool["default_queue_id"], 1)
        result = await _answer(connected, "renew", message)
        assert result["status"] == "accepted"
        assert result["lease_expires_at"] > message["lease_expires_at"]
        result = await _answer(connected, "ack", message)
        assert (result["status"], result["reason"], result["lease_expires_at"]) == ("accepted", None, None)
        result = await _answer(connected, "ack", message)
        assert (result["status"], result["reason"]) == ("not_current", "not_current")
    assert await _statuses(scope) == [("done", 1, None)]


async def test_operations_that_are_refused(pools: Pools, scope: Scope, address: str) -> None:
    pool = await pools.pool()
    await _enqueue(scope, *await _cancelled(pools, pool["default_queue_id"]))
    async with worker(address) as connected:
        await connected.greeted(**CLEANS)
        message = await connected.receive("cleanup.message.v1")
        wrong = await _answer(connected, "renew", message, reservation_token=str(new_id()))
        assert (wrong["status"], wrong["lease_expires_at"]) == ("invalid_token", None)
        unknown = {**message, "message_id": str(new_id())}
        assert (await _answer(connected, "renew", unknown))["status"] == "not_found"
        await scope.db.execute("UPDATE worker_cleanup SET reserved_until = now() - interval '1 second'")
        assert (await _answer(connected, "renew", message))["status"] == "expired"


async def test_a_worker_gets_no_more_at_once_than_it_takes(pools: Pools, scope: Scope, address: str) -> None:
    pool = await pools.pool()
    for number in range(3):
        await _enqueue(scope, *await _cancelled(pools, pool["default_queue_id"], f"r{number}"))
    async with worker(address) as connected:
        await connected.greeted(**CLEANS)
        for number in range(3):
            message = await connected.receive("cleanup.message.v1")
            reserved = [status for status, _, _ in await _statuses(scope) if status == "reserved"]
            assert len(reserved) == 1
            # The answer comes before the next message.
            await _answer(connected, "ack", message)
            assert number < 3
    assert [status for status, _, _ in await _statuses(scope)] == ["done"] * 3


async def test_what_is_given_back_goes_to_another_until_it_is_given_up(
    pools: Pools, scope: Scope, address: str
) -> None:
    pool = await pools.pool()
    await _enqueue(scope, *await _cancelled(pools, pool["default_queue_id"]))
    async with worker(address) as connected:
        await connected.greeted(**CLEANS)
        for delivery in (1, 2, 3):
            message = await connected.receive("cleanup.message.v1")
            assert message["delivery_count"] == delivery
            released = await _answer(connected, "release", message, reason="the host is away")
            assert released["status"] == "accepted"
        assert await _statuses(scope) == [("dead", 3, "max_delivery_attempts_reached")]
        assert (await _answer(connected, "ack", message))["status"] == "dead_lettered"


async def test_a_worker_that_vanishes_leaves_its_message_to_others(pools: Pools, scope: Scope, address: str) -> None:
    pool = await pools.pool()
    await _enqueue(scope, *await _cancelled(pools, pool["default_queue_id"]))
    async with worker(address) as first:
        await first.greeted(**CLEANS)
        await first.receive("cleanup.message.v1")
    await scope.db.execute("UPDATE worker_cleanup SET reserved_until = now() - interval '1 second'")
    await asyncio.gather(*(cleanup_reconciler.run(scope) for _ in range(3)))
    assert await _statuses(scope) == [("ready", 1, None)]
    async with worker(address, name="second") as second:
        await second.greeted(**CLEANS)
        assert (await second.receive("cleanup.message.v1"))["delivery_count"] == 2


async def test_the_reconciler_gives_up_and_forgets(pools: Pools, scope: Scope) -> None:
    pool = await pools.pool()
    for name in ("expired", "done"):
        await _enqueue(scope, *await _cancelled(pools, pool["default_queue_id"], name))
    await scope.db.execute(
        """
        UPDATE worker_cleanup SET delivery_count = 3,
            status = CASE target->>'flow_run_id' WHEN (SELECT id::text FROM flow_run WHERE name = 'done') THEN 'done'
                ELSE 'reserved' END,
            created = CASE target->>'flow_run_id' WHEN (SELECT id::text FROM flow_run WHERE name = 'done')
                THEN now() - interval '8 days' ELSE created END,
            reserved_until = now() - interval '1 second'
        """
    )
    await cleanup_reconciler.run(scope)
    assert await _statuses(scope) == [("dead", 3, "max_delivery_attempts_reached")]


async def test_workers_of_the_runs_queue_come_first(pools: Pools, scope: Scope) -> None:
    pool = await pools.pool()
    other = await pools.queue("other")
    await _enqueue(scope, *await _cancelled(pools, other["id"]))

    async def claimed(queue_id: str) -> int:
        found = await cleanup.claim(
            scope.db,
            UUID(pool["id"]),
            queue_ids=[UUID(queue_id)],
            kinds=[cleanup.TIMED_OUT],
            limit=5,
            lease=30,
            attempts=3,
        )
        return len(found)

    assert await claimed(pool["default_queue_id"]) == 0
    # Nobody of its own queue comes: after a moment anybody may have it, one of many.
    await scope.db.execute("UPDATE worker_cleanup SET created = now() - interval '3 seconds'")
    assert sorted(await asyncio.gather(*(claimed(pool["default_queue_id"]) for _ in range(4)))) == [0, 0, 0, 1]


async def test_pools_without_workers_clean_up_nothing(pools: Pools, scope: Scope) -> None:
    pool = await pools.pool(type="ecs:push")
    run_id, state_id = await _cancelled(pools, pool["default_queue_id"])
    async with scope.db.transaction() as transaction:
        assert await cleanup.enqueue(transaction, scope.workspace_id, run_id, state_id=state_id) is None
    homeless = await pools.run(new_id(), "homeless", state="CANCELLED")
    async with scope.db.transaction() as transaction:
        assert await cleanup.enqueue(transaction, scope.workspace_id, homeless, state_id=state_id) is None
    assert await _statuses(scope) == []


async def test_stock_workers_are_left_alone(pools: Pools, scope: Scope, address: str) -> None:
    pool = await pools.pool()
    async with worker(address) as connected:
        await connected.greeted()
        await _enqueue(scope, *await _cancelled(pools, pool["default_queue_id"]))
        await connected.send("cleanup.ack.v1", {"message_id": str(new_id()), "reservation_token": str(new_id())})
        assert await connected.closed() == (1002, "protocol_error")

    async def untouched() -> bool:
        return await _statuses(scope) == [("ready", 0, None)]

    await until(untouched, "the message waits")
