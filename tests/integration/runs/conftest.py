"""The API in this process, on a real database, and shorthands for what tests of runs do all the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from functools import cache
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from sempre.server import errors
from sempre.server.feed.doorbell import Doorbell
from sempre.server.feed.websocket_protocol import WebSocketProtocol
from sempre.server.routers import API_ROUTERS, WEBSOCKET_ROUTES
from sempre.server.routing import add_rooms
from sempre.server.scope import Scope
from tests.support.database import Database
from tests.support.net import LOOPBACK, free_port
from tests.support.scopes import open_scope, until

Json = dict[str, Any]
USER_AGENT = {"User-Agent": "prefect/3.8.8 (API 0.8.4)"}


@cache
def _app(place: str) -> FastAPI:
    app = FastAPI()
    errors.install(app)
    add_rooms(app, "/api", API_ROUTERS)
    for path, endpoint in WEBSOCKET_ROUTES:
        app.router.add_websocket_route("/api" + path, endpoint)
    return app


def app_of(scope: Scope, place: str) -> FastAPI:
    """Every room of the API in one scope, without background services; one app per place, since building takes long."""
    app = _app(place)
    app.state.scope = scope
    return app


class Api:
    """Requests whose status the caller states; the answer is the parsed body."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def call(self, method: str, path: str, body: Any = None, *, expect: int | None = None) -> Any:
        response = await self.client.request(method, path, json=body)
        if expect is None:
            assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        else:
            assert response.status_code == expect, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    async def get(self, path: str, *, expect: int | None = None) -> Any:
        return await self.call("GET", path, expect=expect)

    async def post(self, path: str, body: Any = None, *, expect: int | None = None) -> Any:
        return await self.call("POST", path, {} if body is None else body, expect=expect)

    async def flow(self) -> Json:
        flow: Json = await self.post("/flows/", {"name": f"flow-{uuid4()}"})
        return flow

    async def flow_run(self, state: Json | str | None = None, **fields: Any) -> Json:
        if "flow_id" not in fields:
            fields["flow_id"] = (await self.flow())["id"]
        run: Json = await self.post("/flow_runs/", {"state": _state(state), **fields}, expect=201)
        return run

    async def task_run(self, flow_run_id: str | None, state: Json | str | None = None, **fields: Any) -> Json:
        keys = {"task_key": "task", "dynamic_key": str(uuid4())}
        body = {"flow_run_id": flow_run_id, "state": _state(state), **keys, **fields}
        run: Json = await self.post("/task_runs/", body, expect=201)
        return run

    async def propose(self, run: Json, state: Json | str, *, force: bool = False, expect: int | None = None) -> Json:
        """Propose a state (or a type) for a flow run or task run."""
        kind = "task_runs" if "task_key" in run else "flow_runs"
        body = {"state": _state(state), "force": force}
        outcome: Json = await self.post(f"/{kind}/{run['id']}/set_state", body, expect=expect)
        return outcome

    async def reread(self, run: Json) -> Json:
        kind = "task_runs" if "task_key" in run else "flow_runs"
        again: Json = await self.get(f"/{kind}/{run['id']}")
        return again

    async def names(self, run: Json) -> list[str]:
        """Names of the run's states, oldest first."""
        kind = "task_run" if "task_key" in run else "flow_run"
        return [state["name"] for state in await self.get(f"/{kind}_states/?{kind}_id={run['id']}")]


def _state(state: Json | str | None) -> Json | None:
    return {"type": state} if isinstance(state, str) else state


def outcome_of(result: Mapping[str, Any]) -> tuple[str, str | None]:
    """``(status, type of the state the run is in)``."""
    return result["status"], result["state"] and result["state"]["type"]


@pytest.fixture
async def scope(database: Database) -> AsyncIterator[Scope]:
    async with open_scope(database) as opened:
        yield opened


@pytest.fixture
async def api(scope: Scope) -> AsyncIterator[Api]:
    transport = httpx.ASGITransport(app_of(scope, "api"))
    async with httpx.AsyncClient(transport=transport, base_url="http://sempre/api", headers=USER_AGENT) as client:
        yield Api(client)


class Replica:
    """An API server of its own in this process: pool, doorbell and port."""

    def __init__(self, scope: Scope, server: uvicorn.Server, serving: asyncio.Task[None], port: int) -> None:
        self.scope = scope
        self._server = server
        self._serving = serving
        self.url = f"{LOOPBACK}:{port}/api"

    async def stop(self) -> None:
        """End as on SIGTERM."""
        self._server.should_exit = True
        await self._serving


@asynccontextmanager
async def open_replica(database: Database, place: str) -> AsyncIterator[Replica]:
    async with open_scope(database) as base:
        doorbell = Doorbell(base.db)
        doorbell.start()
        scope = Scope(base.db, base.settings, doorbell)
        port = free_port()
        config = uvicorn.Config(
            app_of(scope, place), host=LOOPBACK, port=port, lifespan="off", log_config=None, ws=WebSocketProtocol
        )
        server = uvicorn.Server(config)
        server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
        replica = Replica(scope, server, asyncio.create_task(server.serve()), port)
        try:
            await until(lambda: server.started, f"a server on port {port}")
            yield replica
        finally:
            await replica.stop()
            await doorbell.stop()


@pytest.fixture
async def replica(database: Database) -> AsyncIterator[Replica]:
    async with open_replica(database, "first") as opened:
        yield opened


@pytest.fixture
async def other(database: Database) -> AsyncIterator[Replica]:
    async with open_replica(database, "second") as opened:
        yield opened
