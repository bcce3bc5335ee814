"""A worker's side of the channel, frame by frame."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support.net import LOOPBACK
from tests.support.scopes import until

CAPABILITIES = ["worker_heartbeat.v1", "work_pool_snapshot.v1"]
VERSION = "work_pool_worker_channel.v1"
WAIT = 15.0


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """A real server in this process; gives the websocket address of its API."""
    config = uvicorn.Config(
        app,
        host=LOOPBACK,
        port=0,
        log_level="warning",
        lifespan="off",
        ws="sempre.server.feed.websocket_protocol:WebSocketProtocol",
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started, "the server listens")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"ws://{LOOPBACK}:{port}/api"
    finally:
        server.should_exit = True
        await task


class Worker:
    """One connection. ``reason`` and ``code`` say how it ended."""

    def __init__(self, connection: ClientConnection, name: str = "w") -> None:
        self.connection = connection
        self.name = name
        self.consumer_id = str(uuid4())

    async def send(self, type: str, payload: dict[str, Any], **envelope: Any) -> str:
        frame_id = str(uuid4())
        frame = {"type": type, "id": frame_id, "sent_at": datetime.now(UTC).isoformat(), "payload": payload}
        await self.connection.send(json.dumps({**frame, **envelope}))
        return frame_id

    async def receive(self, type: str) -> dict[str, Any]:
        """The payload of the next frame, which must be of this type."""
        async with asyncio.timeout(WAIT):
            frame = json.loads(await self.connection.recv())
        assert frame["type"] == type, frame
        assert set(frame) == {"type", "id", "sent_at", "payload"}
        payload: dict[str, Any] = frame["payload"]
        return payload

    async def hello(self, **changes: Any) -> None:
        payload = {
            "consumer_id": self.consumer_id,
            "worker_name": self.name,
            "worker_type": "process",
            "heartbeat_interval_seconds": 30,
            "supported_channel_versions": [VERSION],
            "requested_capabilities": CAPABILITIES,
            "work_queue_names": [],
            "handled_cleanup_kinds": [],
            "max_cleanup_concurrency": 0,
            "create_pool_if_not_found": False,
            "default_base_job_template": {},
            "worker_metadata": None,
        }
        await self.send("worker.hello.v1", {**payload, **changes})

    async def heartbeat(self, **changes: Any) -> None:
        payload = {"consumer_id": self.consumer_id, "worker_name": self.name, "heartbeat_interval_seconds": 30}
        await self.send("worker.heartbeat.v1", {**payload, **changes})

    async def greeted(self, **changes: Any) -> dict[str, Any]:
        """Say hello; the payload of the answer."""
        await self.hello(**changes)
        return await self.receive("worker.ready.v1")

    async def closed(self) -> tuple[int, str]:
        """Wait for the end: the close code and its reason."""
        async with asyncio.timeout(WAIT):
            with pytest.raises(ConnectionClosed) as end:
                await self.connection.recv()
        assert end.value.rcvd is not None
        return end.value.rcvd.code, end.value.rcvd.reason


@asynccontextmanager
async def worker(address: str, pool: str = "p", name: str = "w") -> AsyncIterator[Worker]:
    """A worker whose connection is authenticated."""
    url = f"{address}/work_pools/{pool}/workers/connect"
    async with connect(url, subprotocols=[Subprotocol("prefect")], proxy=None) as connection:
        await connection.send(json.dumps({"type": "auth", "token": None}))
        async with asyncio.timeout(WAIT):
            assert json.loads(await connection.recv()) == {"type": "auth_success"}
        yield Worker(connection, name)
