"""Flow-run lifecycles: create Pending, set Running, set Completed, by 8 clients at once."""

from __future__ import annotations

import asyncio
import time
import uuid

from benchmarks.contenders import Contender
from benchmarks.http import Connection
from tests.support.net import LOOPBACK

CONCURRENCY = 8
Result = dict[str, float]


def state(kind: str) -> dict[str, object]:
    """A proposed state as the client sends it."""
    details = {"transition_id": str(uuid.uuid4()), "untrackable_result": False, "pause_reschedule": False}
    return {"type": kind, "name": kind.title(), "message": None, "state_details": details, "data": None}


async def lifecycle(connection: Connection, flow_id: str) -> None:
    """One run from creation to its end; raises RuntimeError unless both transitions are accepted."""
    body: dict[str, object] = {
        "state": state("PENDING"),
        "name": None,
        "flow_id": flow_id,
        "flow_version": "3725cbb89ea1a6470faaa959aa1fcf02",
        "parameters": {"name": "Ada"},
        "context": {},
        "parent_task_run_id": None,
        "empirical_policy": {"retries": 0, "retry_delay": 0},
        "tags": [],
    }
    run = await connection.call("POST", "/api/flow_runs/", body)
    for kind in ("RUNNING", "COMPLETED"):
        path = f"/api/flow_runs/{run['id']}/set_state"
        answer = await connection.call("POST", path, {"state": state(kind), "force": False})
        if answer["status"] != "ACCEPT":
            raise RuntimeError(f"{kind} not accepted: {answer}")


async def _worker(port: int, flow_id: str, deadline: float) -> int:
    count = 0
    async with Connection(LOOPBACK, port) as connection:
        while time.perf_counter() < deadline:
            await lifecycle(connection, flow_id)
            count += 1
    return count


async def drive(port: int, seconds: float) -> int:
    """Run lifecycles for that long; returns how many were completed."""
    async with Connection(LOOPBACK, port) as connection:
        flow = await connection.call("POST", "/api/flows/", {"name": "bench", "tags": [], "labels": {}})
    deadline = time.perf_counter() + seconds
    counts = await asyncio.gather(*(_worker(port, flow["id"], deadline) for _ in range(CONCURRENCY)))
    return sum(counts)


def measure(contender: Contender, seconds: float) -> Result:
    """One round: throughput per second, and milliseconds of CPU per lifecycle by whom it was spent."""
    with contender.awake(), contender.measured() as usage:
        count = asyncio.run(drive(contender.port, seconds))
    return {
        "count": count,
        "per_second": count / usage.wall,
        "server_cpu_ms": 1000 * usage.server_cpu / count,
        "postgres_cpu_ms": 1000 * usage.postgres_cpu / count,
        "load_cpu_ms": 1000 * usage.load_cpu / count,
    }
