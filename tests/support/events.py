"""A server with the event and log rooms on a real port, and events to feed it with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import orjson
import uvicorn
import websockets
from fastapi import FastAPI

from sempre.server import errors
from sempre.server.events.ingest import EventsIn
from sempre.server.events.routes import router as events
from sempre.server.events.stream import events_out
from sempre.server.feed.websocket_protocol import WebSocketProtocol
from sempre.server.ids import new_id
from sempre.server.logs.routes import router as logs
from sempre.server.logs.stream import logs_out
from sempre.server.resources import open_resources
from sempre.server.routing import add_rooms
from sempre.server.runtime import Runtime
from sempre.server.scope import Scope
from sempre.server.settings import load_settings
from tests.support.database import Database
from tests.support.net import LOOPBACK, free_port
from tests.support.scopes import until

Json = dict[str, Any]


def an_event(name: str = "it.happened", resource: str | Json = "thing.1", **fields: Any) -> Json:
    """An event as a client sends it. Keyword arguments replace or add fields."""
    return {
        "occurred": datetime.now(UTC).isoformat(),
        "event": name,
        "resource": {"prefect.resource.id": resource} if isinstance(resource, str) else resource,
        "related": [],
        "payload": {},
        "id": str(new_id()),
        "follows": None,
        **fields,
    }


def task_run_event(
    state: str,
    occurred: datetime,
    *,
    run_id: UUID,
    flow_run_id: UUID | None,
    dynamic_key: str = "0",
    id: UUID | None = None,
    **task_run: Any,
) -> Json:
    """What a client says when its task run enters ``state`` (a name whose upper case is the type)."""
    related = []
    if flow_run_id is not None:
        related = [{"prefect.resource.id": f"prefect.flow-run.{flow_run_id}", "prefect.resource.role": "flow-run"}]
    return an_event(
        f"prefect.task-run.{state}",
        {"prefect.resource.id": f"prefect.task-run.{run_id}", "prefect.orchestration": "client"},
        id=str(id or new_id()),
        occurred=occurred.isoformat(),
        related=related,
        payload={
            "validated_state": {
                "type": state.upper(), "name": state, "message": None, "state_details": {}, "data": None,
            },
            "task_run": {
                "name": "task-0", "task_key": "task", "dynamic_key": dynamic_key, "tags": ["a"], "labels": {},
                "task_inputs": {"x": []}, "empirical_policy": {"retries": 0, "retry_delay": 0}, **task_run,
            },
        },
    )  # fmt: skip


class Live:
    """The server's addresses, its scope and runtime."""

    def __init__(self, app: FastAPI, port: int) -> None:
        self.scope: Scope = app.state.scope
        self.runtime: Runtime = app.state.runtime
        self.app = app
        self.http = f"http://{LOOPBACK}:{port}/api"
        self._ws = f"ws://{LOOPBACK}:{port}/api"

    def connect(self, path: str, *, subprotocol: str | None = "prefect", **options: Any) -> websockets.connect:
        offered: Any = None if subprotocol is None else [subprotocol]
        return websockets.connect(self._ws + path, subprotocols=offered, **options)

    @asynccontextmanager
    async def authenticated(self, path: str, token: str | None = None) -> AsyncIterator[websockets.ClientConnection]:
        async with self.connect(path) as socket:
            await socket.send(orjson.dumps({"type": "auth", "token": token}).decode())
            assert orjson.loads(await socket.recv()) == {"type": "auth_success"}
            yield socket

    async def post(self, path: str, body: Any) -> httpx.Response:
        async with httpx.AsyncClient(timeout=30) as client:
            return await client.post(self.http + path, json=body)


@asynccontextmanager
async def serving(database: Database, env: Mapping[str, str] | None = None) -> AsyncIterator[Live]:
    settings = load_settings(env={"SEMPRE_SERVER_DATABASE_CONNECTION_URL": database.url, **(env or {})})
    async with open_resources(settings) as scope:
        app = FastAPI()
        errors.install(app)
        add_rooms(app, "/api", [events, logs])
        for path, endpoint in (("/events/in", EventsIn()), ("/events/out", events_out), ("/logs/out", logs_out)):
            app.router.add_websocket_route("/api" + path, endpoint)  # type: ignore[arg-type]
        app.state.scope = scope
        app.state.runtime = Runtime(scope)
        await app.state.runtime.start()
        port = free_port()
        config = uvicorn.Config(
            app, host=LOOPBACK, port=port, lifespan="off", log_config=None, ws=WebSocketProtocol,
            timeout_graceful_shutdown=5,
        )  # fmt: skip
        server = uvicorn.Server(config)
        server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
        task = asyncio.create_task(server.serve())
        try:
            await until(lambda: server.started, f"a server on port {port}")
            yield Live(app, port)
        finally:
            server.should_exit = True
            await task
            await app.state.runtime.stop()
