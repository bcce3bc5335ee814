"""The channel between a worker and the server: hello, ready, heartbeats, and again after every break."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime

from websockets.asyncio.client import ClientConnection

from tests.chaos.loads.client import Client, Json
from tests.chaos.loads.shape import WORKER_BEAT_SECONDS
from tests.chaos.loads.sockets import OPEN_SECONDS, Broken, connected, note_end

_WANTED = ["worker_heartbeat.v1", "work_pool_snapshot.v1"]
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


async def keep(client: Client, pool: str) -> None:
    """Hold the channel until cancelled. Sets the worker's id, which every request then carries, at the first ready."""
    consumer, failures = uuid.uuid4().hex, 0
    while True:
        try:
            async with connected(client.url, f"/work_pools/{pool}/workers/connect") as socket:
                await _beat(client, socket, consumer)
        except Broken as error:
            note_end(client.ledger, "workers/connect", error)
        await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
        failures += 1


async def _beat(client: Client, socket: ClientConnection, consumer: str) -> None:
    hello = {
        "consumer_id": consumer, "worker_name": client.worker, "worker_type": "process",
        "heartbeat_interval_seconds": WORKER_BEAT_SECONDS,
        "supported_channel_versions": ["work_pool_worker_channel.v1"], "requested_capabilities": _WANTED,
        "work_queue_names": [], "handled_cleanup_kinds": [], "max_cleanup_concurrency": None,
        "create_pool_if_not_found": False, "default_base_job_template": {}, "worker_metadata": None,
    }  # fmt: skip
    await socket.send(_frame("worker.hello.v1", hello))
    ready = json.loads(await asyncio.wait_for(socket.recv(), OPEN_SECONDS))
    assert ready["type"] == "worker.ready.v1", ready
    if ready["payload"]["worker_id"]:
        client.http.headers["X-Prefect-Worker-Id"] = ready["payload"]["worker_id"]
    client.ledger.write("worker_beat", process=client.process)
    beat = {
        "consumer_id": consumer, "worker_name": client.worker, "heartbeat_interval_seconds": WORKER_BEAT_SECONDS,
    }  # fmt: skip
    while True:
        await _quiet(socket, WORKER_BEAT_SECONDS)
        await client.awake.wait()
        await socket.send(_frame("worker.heartbeat.v1", beat))
        await asyncio.wait_for(await socket.ping(), 30.0)
        client.ledger.write("worker_beat", process=client.process)


async def _quiet(socket: ClientConnection, seconds: float) -> None:
    """Read what comes for so long."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                await socket.recv()
    except TimeoutError:
        return


def _frame(type: str, payload: Json) -> str:
    return json.dumps({
        "type": type, "id": str(uuid.uuid4()), "sent_at": datetime.now(UTC).isoformat(), "payload": payload,
    })  # fmt: skip
