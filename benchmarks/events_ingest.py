"""Task-run events on one websocket: until all are accepted, and until all are found by a query."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import uuid_utils
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from benchmarks.contenders import Contender
from benchmarks.http import Connection
from benchmarks.lifecycle import Result, state
from tests.support.net import LOOPBACK

STEPS = (("PENDING", None), ("RUNNING", "PENDING"), ("COMPLETED", "RUNNING"))
QUERY_INTERVAL = 0.25


def uuid7() -> str:
    return str(uuid_utils.uuid7())


def task_run(task_run_id: str, flow_run_id: str) -> Iterator[dict[str, object]]:
    """The three events of one task run, as the client emits them."""
    follows = None
    name = f"inc-{task_run_id[-3:]}"
    for kind, before in STEPS:
        now = datetime.now(UTC).isoformat()
        event_id = uuid7()
        run = {
            "name": name, "task_key": "inc-c320861b", "dynamic_key": task_run_id,
            "empirical_policy": {"max_retries": 0, "retry_delay_seconds": 0.0, "retries": 0, "retry_delay": 0},
            "tags": [], "labels": {}, "task_inputs": {"x": []}, "run_count": 1, "flow_run_run_count": 1,
            "expected_start_time": now, "start_time": now, "total_run_time": 0.0,
        }  # fmt: skip
        old = before and {"type": before, "name": before.title(), "message": "", "state_details": {}}
        new: dict[str, object] = {"type": kind, "name": kind.title(), "message": "", "state_details": {}, "data": None}
        yield {
            "occurred": now,
            "event": f"prefect.task-run.{kind.title()}",
            "resource": {
                "prefect.resource.id": f"prefect.task-run.{task_run_id}", "prefect.resource.name": name,
                "prefect.run-count": "1", "prefect.state-message": "", "prefect.state-name": kind.title(),
                "prefect.state-timestamp": now, "prefect.state-type": kind, "prefect.orchestration": "client",
            },
            "related": [
                {"prefect.resource.id": f"prefect.flow-run.{flow_run_id}", "prefect.resource.role": "flow-run"}
            ],
            "payload": {
                "intended": {"from": before, "to": kind}, "initial_state": old, "validated_state": new, "task_run": run
            },
            "id": event_id,
            "follows": follows,
        }  # fmt: skip
        follows = event_id


def messages(count: int, flow_run_id: str) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        found += [orjson.dumps(event).decode() for event in task_run(uuid7(), flow_run_id)]
    return found[:count]


async def _flow_run(connection: Connection) -> str:
    flow = await connection.call("POST", "/api/flows/", {"name": "bench-events"})
    body = {"flow_id": flow["id"], "state": state("PENDING")}
    run: dict[str, Any] = await connection.call("POST", "/api/flow_runs/", body)
    return str(run["id"])


async def _send(socket: ClientConnection, batch: list[str]) -> None:
    for message in batch:
        await socket.send(message)
    # Clients take the pong for the promise that everything before it is safe.
    await (await socket.ping())


async def _found(connection: Connection, since: datetime) -> int:
    occurred = {"since": since.isoformat(), "until": (since + timedelta(days=1)).isoformat()}
    criteria = {"occurred": occurred, "event": {"prefix": ["prefect.task-run."]}}
    page = await connection.call("POST", "/api/events/filter", {"filter": criteria, "limit": 1})
    return int(page["total"])


async def drive(port: int, count: int, limit: float) -> tuple[float, float, int]:
    """Send `count` events; returns seconds until accepted, until queryable, and how many were found within `limit`."""
    async with Connection(LOOPBACK, port) as connection:
        since = datetime.now(UTC)
        batch = messages(count, await _flow_run(connection))
        url = f"ws://{LOOPBACK}:{port}/api/events/in"
        # No keep-alive pings of the library's own: theirs would time out on a server that is busy for long.
        async with connect(url, subprotocols=[Subprotocol("prefect")], ping_interval=None) as socket:
            await socket.send('{"type":"auth","token":null}')
            await socket.recv()
            began = time.perf_counter()
            await asyncio.wait_for(_send(socket, batch), limit)
            accepted = time.perf_counter() - began
            found = await _found(connection, since)
            while found < count and time.perf_counter() - began < limit:
                await asyncio.sleep(QUERY_INTERVAL)
                found = await _found(connection, since)
            return accepted, time.perf_counter() - began, found


def measure(contender: Contender, count: int, limit: float) -> Result:
    """One round: seconds until accepted and until queryable, CPU per event until then."""
    with contender.awake(), contender.measured() as usage:
        accepted, queryable, found = asyncio.run(drive(contender.port, count, limit))
    return {
        "count": found,
        "accepted_s": accepted,
        # Where not all were found in time, what it would have taken at the rate seen.
        "queryable_s": queryable * count / max(found, 1),
        "server_cpu_ms": 1000 * usage.server_cpu / max(found, 1),
        "postgres_cpu_ms": 1000 * usage.postgres_cpu / max(found, 1),
    }
