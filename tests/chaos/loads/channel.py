"""The channel between a worker and the server: hello, ready, heartbeats, and again after every break."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from datetime import UTC, datetime

from websockets.asyncio.client import ClientConnection

from tests.chaos.loads.client import Client, Json
from tests.chaos.loads.shape import WORKER_BEAT_SECONDS
from tests.chaos.loads.sockets import OPEN_SECONDS, Broken, answered, connected, note_end, within

_WANTED = ["worker_heartbeat.v1", "work_pool_snapshot.v1"]
_WRITTEN_SECONDS = 1.0
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


async def keep(client: Client, pool: str) -> None:
    """Hold the channel until cancelled. Sets the worker's id, which every request then carries, at the first ready."""
    consumer, failures = uuid.uuid4().hex, 0
    while True:
        began = time.monotonic()
        try:
            async with connected(client.url, f"/work_pools/{pool}/workers/connect") as socket:
                await _beat(client, socket, consumer)
        except Broken as error:
            note_end(client.ledger, "workers/connect", error)
        failures = 0 if time.monotonic() - began > WORKER_BEAT_SECONDS else failures + 1
        await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])


async def _beat(client: Client, socket: ClientConnection, consumer: str) -> None:
    hello = {
        "consumer_id": consumer, "worker_name": client.worker, "worker_type": "process",
        "heartbeat_interval_seconds": WORKER_BEAT_SECONDS,
        "supported_channel_versions": ["work_pool_worker_channel.v1"], "requested_capabilities": _WANTED,
        "work_queue_names": [], "handled_cleanup_kinds": [], "max_cleanup_concurrency": None,
        "create_pool_if_not_found": False, "default_base_job_template": {}, "worker_metadata": None,
    }  # fmt: skip
    began = time.time()
    await socket.send(_frame("worker.hello.v1", hello))
    ready = json.loads(await within(OPEN_SECONDS, socket.recv()))
    assert ready["type"] == "worker.ready.v1", ready
    if ready["payload"]["worker_id"]:
        client.http.headers["X-Prefect-Worker-Id"] = ready["payload"]["worker_id"]
    client.ledger.write("worker_beat", process=client.process, sent=began)
    beat = {
        "consumer_id": consumer, "worker_name": client.worker, "heartbeat_interval_seconds": WORKER_BEAT_SECONDS,
    }  # fmt: skip
    while True:
        await _quiet(socket, WORKER_BEAT_SECONDS - _WRITTEN_SECONDS)
        await client.awake.wait()
        sent = time.time()
        await socket.send(_frame("worker.heartbeat.v1", beat))
        await answered(socket, 30.0)
        # A server that could not write it down ends the channel.
        await _quiet(socket, _WRITTEN_SECONDS)
        client.ledger.write("worker_beat", process=client.process, sent=sent)


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
