"""Background tasks: two API servers hand out one queue, each run once, whatever happens to servers and workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from sempre.server.background_tasks import queries
from sempre.server.ids import new_id
from sempre.server.scope import Scope
from tests.integration.runs.conftest import Api, Json, Replica, outcome_of
from tests.support.scopes import until

DEFERRED: Json = {"type": "SCHEDULED", "state_details": {"deferred": True}}


@pytest.fixture
def key() -> str:
    return f"task-{uuid4().hex}"


@asynccontextmanager
async def worker(replica: Replica, *keys: str, name: str = "host-1") -> AsyncIterator[ClientConnection]:
    """A connected and subscribed task worker."""
    url = f"ws://{replica.url}/task_runs/subscriptions/scheduled"
    async with connect(url, subprotocols=[websockets.Subprotocol("prefect")]) as socket:
        await say(socket, {"type": "auth", "token": None})
        assert json.loads(await socket.recv()) == {"type": "auth_success"}
        await say(socket, {"type": "subscribe", "keys": list(keys), "client_id": name})
        yield socket


async def say(socket: ClientConnection, message: Json) -> None:
    await socket.send(json.dumps(message))


async def receive(socket: ClientConnection, timeout: float = 10) -> Json:
    async with asyncio.timeout(timeout):
        run: Json = json.loads(await socket.recv())
    return run


async def accept(socket: ClientConnection, timeout: float = 10) -> Json:
    run = await receive(socket, timeout)
    await say(socket, {"type": "ack"})
    return run


async def queued(scope: Scope, key: str) -> list[Any]:
    return await scope.db.fetch("SELECT * FROM background_task WHERE task_key = $1", key)


async def emptied(scope: Scope, key: str) -> None:
    async def nothing() -> bool:
        return not await queued(scope, key)

    await until(nothing, "the queue is empty")


async def test_a_run_is_delivered_as_it_reads(api: Api, replica: Replica, scope: Scope, key: str) -> None:
    run = await api.task_run(None, DEFERRED, task_key=key)
    async with worker(replica, key) as socket:
        delivered = await accept(socket)
        assert {**delivered, "estimated_start_time_delta": 0} == {**run, "estimated_start_time_delta": 0}
        await emptied(scope, key)
        # One that is made while the worker waits arrives by the doorbell or the next look.
        second = await api.task_run(None, DEFERRED, task_key=key)
        assert (await accept(socket))["id"] == second["id"]


async def test_the_next_run_waits_for_the_acknowledgement(api: Api, replica: Replica, scope: Scope, key: str) -> None:
    runs = [await api.task_run(None, DEFERRED, task_key=key) for _ in range(2)]
    async with worker(replica, key) as socket:
        assert (await receive(socket))["id"] == runs[0]["id"]
        claimed = [row["task_run_id"] for row in await queued(scope, key) if row["claimed_by"]]
        assert [str(id) for id in claimed] == [runs[0]["id"]]
        await say(socket, {"type": "ack"})
        assert (await accept(socket))["id"] == runs[1]["id"]


async def test_two_servers_share_the_queue(api: Api, replica: Replica, other: Replica, scope: Scope, key: str) -> None:
    made = {(await api.task_run(None, DEFERRED, task_key=key))["id"] for _ in range(30)}
    received: list[str] = []

    async def work(socket: ClientConnection) -> None:
        while len(received) < len(made):
            received.append((await accept(socket))["id"])

    async with worker(replica, key) as a, worker(replica, key) as b, worker(other, key) as c:
        workers = [asyncio.create_task(work(socket)) for socket in (a, b, c)]
        await until(lambda: len(received) >= len(made), "all runs are delivered")
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        assert sorted(received) == sorted(made)
        await emptied(scope, key)


async def test_a_worker_that_leaves_without_an_acknowledgement_leaves_the_run(
    api: Api, replica: Replica, other: Replica, scope: Scope, key: str
) -> None:
    run = await api.task_run(None, DEFERRED, task_key=key)
    async with worker(replica, key) as lost:
        assert (await receive(lost))["id"] == run["id"]
        async with worker(other, key, name="host-2") as socket:
            lost.transport.abort()
            assert (await accept(socket))["id"] == run["id"]
            await emptied(scope, key)


async def test_what_a_dead_server_claimed_is_delivered_by_another(
    api: Api, replica: Replica, scope: Scope, key: str
) -> None:
    run = await api.task_run(None, DEFERRED, task_key=key)
    claim_id = new_id()
    claimed = await queries.claim(scope.db, scope.workspace_id, [key], claim_id)
    assert claimed is not None
    assert await queries.claim(scope.db, scope.workspace_id, [key], new_id()) is None
    async with worker(replica, key) as socket:
        await scope.db.execute(
            "UPDATE background_task SET claimed_until = now() - interval '1 second' WHERE task_key = $1", key
        )
        assert (await receive(socket))["id"] == run["id"]
        # The server comes back from the dead: it has no say any more.
        for stale in (queries.renew, queries.release, queries.remove):
            await stale(scope.db, scope.workspace_id, claimed["claimed_id"], claim_id)
        (row,) = await queued(scope, key)
        assert row["claimed_by"] not in (None, claim_id)
        await say(socket, {"type": "ack"})
        await emptied(scope, key)


async def test_retries_come_first_and_not_before_their_time(api: Api, replica: Replica, scope: Scope, key: str) -> None:
    policy = {"retries": 2, "retry_delay": 0}
    retried = await api.task_run(None, {"type": "RUNNING"}, task_key=key, empirical_policy=policy)
    delayed = await api.task_run(
        None, {"type": "RUNNING"}, task_key=key, empirical_policy={"retries": 2, "retry_delay": 60}
    )
    waiting = await api.task_run(None, DEFERRED, task_key=key)
    failed = {"type": "FAILED", "state_details": {"deferred": True}}
    for run in (retried, delayed):
        # A retry keeps what the failure said of itself.
        assert outcome_of(await api.propose(run, failed)) == ("REJECT", "SCHEDULED")
    async with worker(replica, key) as socket:
        assert [(await accept(socket))["id"] for _ in range(2)] == [retried["id"], waiting["id"]]

        async def only_the_delayed() -> bool:
            return [str(row["task_run_id"]) for row in await queued(scope, key)] == [delayed["id"]]

        await until(only_the_delayed, "the delayed retry alone waits")
        await scope.db.execute("UPDATE background_task SET enqueued_at = now() WHERE task_key = $1", key)
        assert (await accept(socket))["id"] == delayed["id"]


async def test_runs_that_nobody_needs_any_more_are_dropped(api: Api, replica: Replica, scope: Scope, key: str) -> None:
    cancelled, deleted, wanted = [await api.task_run(None, DEFERRED, task_key=key) for _ in range(3)]
    await api.propose(cancelled, "CANCELLED")
    await scope.db.execute("DELETE FROM task_run WHERE id = $1", deleted["id"])
    async with worker(replica, key) as socket:
        assert (await accept(socket))["id"] == wanted["id"]
    await emptied(scope, key)


async def test_deferred_proposals_follow_their_own_rules_even_forced(api: Api, scope: Scope, key: str) -> None:
    flow_run = await api.flow_run("PENDING")
    run = await api.task_run(
        flow_run["id"],
        {"type": "SCHEDULED", "state_details": {"deferred": True, "task_parameters_id": str(uuid4())}},
        task_key=key,
    )
    assert len(await queued(scope, key)) == 1
    parameters = run["state"]["state_details"]["task_parameters_id"]
    result = await api.propose(run, {"type": "PENDING", "state_details": {"deferred": True}}, force=True)
    assert result["state"]["state_details"]["task_parameters_id"] == parameters
    result = await api.propose(run, {"type": "PENDING", "state_details": {"deferred": True}}, force=True, expect=200)
    assert outcome_of(result) == ("ABORT", "PENDING")
    # Its flow need not run.
    assert outcome_of(await api.propose(run, {"type": "RUNNING", "state_details": {"deferred": True}})) == (
        "ACCEPT",
        "RUNNING",
    )


async def test_who_is_connected(api: Api, replica: Replica, other: Replica, scope: Scope, key: str) -> None:
    async def names(keys: list[str] | None) -> list[str]:
        body = {"task_worker_filter": None if keys is None else {"task_keys": keys}}
        return [found["identifier"] for found in await api.post("/task_workers/filter", body)]

    async with worker(replica, key, "shared", name="a"), worker(other, "shared", name="b"):

        async def both() -> bool:
            return await names(["shared"]) == ["a", "b"]

        await until(both, "the workers of both servers are listed")
        assert await names([key]) == ["a"]
        assert set(await names(None)) >= {"a", "b"}
        (found,) = await api.post("/task_workers/filter", {"task_worker_filter": {"task_keys": [key]}})
        assert found["task_keys"] == sorted([key, "shared"])

    async def nobody() -> bool:
        return not await names(["shared"])

    await until(nobody, "workers that left are forgotten")
    await scope.db.execute(
        "INSERT INTO task_worker (id, workspace_id, identifier, task_keys, seen_at)"
        " VALUES (gen_random_uuid(), $1, 'lost', $2, now() - interval '31 seconds')",
        scope.workspace_id,
        [key],
    )
    assert await names([key]) == []


async def test_a_run_too_large_to_send_fails_where_it_is_seen(
    api: Api, replica: Replica, scope: Scope, key: str
) -> None:
    body = {"task_key": key, "dynamic_key": "0", "state": DEFERRED, "tags": ["x" * 1024 * 1024]}
    answer = await api.post("/task_runs/", body, expect=422)
    assert answer["detail"].startswith("A background task run must be less than 1,048,576 bytes when serialized")
    run = await api.task_run(None, DEFERRED, task_key=key)
    await scope.db.execute("UPDATE task_run SET tags = $2 WHERE id = $1", run["id"], body["tags"])
    small = await api.task_run(None, DEFERRED, task_key=key)
    async with worker(replica, key) as socket:
        assert (await accept(socket))["id"] == small["id"]
        read = await api.reread(run)
        assert read["state_type"] == "CRASHED"
        assert "could not be sent to a task worker" in read["state"]["message"]
        await emptied(scope, key)


@pytest.mark.parametrize(
    "message", [{"type": "ack"}, {"type": "subscribe", "keys": [], "client_id": "a"}, {"type": "subscribe"}]
)
async def test_a_subscription_without_keys_is_refused(replica: Replica, message: Json) -> None:
    url = f"ws://{replica.url}/task_runs/subscriptions/scheduled"
    async with connect(url, subprotocols=[websockets.Subprotocol("prefect")]) as socket:
        await say(socket, {"type": "auth", "token": None})
        await socket.recv()
        await say(socket, message)
        with pytest.raises(websockets.ConnectionClosedError):
            await receive(socket)
        assert socket.close_code == 1008


async def test_a_server_that_stops_says_come_again(api: Api, replica: Replica, scope: Scope, key: str) -> None:
    run = await api.task_run(None, DEFERRED, task_key=key)
    async with worker(replica, key) as socket:
        assert (await receive(socket))["id"] == run["id"]
        await replica.stop()
        with pytest.raises(websockets.ConnectionClosedError):
            await receive(socket)
        assert socket.close_code == 1012
    (row,) = await queued(scope, key)
    assert row["claimed_by"] is None
