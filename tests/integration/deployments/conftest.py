"""The room of deployments on a real database, in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from sempre.server import errors
from sempre.server.deployments.readiness import Readiness
from sempre.server.deployments.routes import router as deployments
from sempre.server.deployments.run_routes import router as deployment_runs
from sempre.server.deployments.schedule_routes import router as schedules
from sempre.server.flow_runs.routes import router as flow_runs
from sempre.server.flows.routes import router as flows
from sempre.server.routing import add_rooms
from sempre.server.scope import Scope
from sempre.server.work_pools.queue_routes import router as queues
from sempre.server.work_pools.routes import router as pools
from sempre.server.work_queues.routes import router as legacy_queues
from tests.support.database import Database
from tests.support.scopes import open_scope

Json = dict[str, Any]
HOURLY = {"interval": 3600, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"}


class Deployments:
    """A client of the API in which the caller states each status, with shorthands for deployments."""

    def __init__(self, scope: Scope, client: httpx.AsyncClient, readiness: Readiness) -> None:
        self.scope = scope
        self.client = client
        self.readiness = readiness

    async def call(self, method: str, path: str, body: Any, status: int, **headers: str) -> Any:
        answer = await self.client.request(method, path, json=body, headers=headers)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def post(self, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        return await self.call("POST", path, {} if body is None else body, status, **headers)

    async def get(self, path: str, status: int = 200) -> Any:
        return await self.call("GET", path, None, status)

    async def patch(self, path: str, body: Any, status: int = 204) -> Any:
        return await self.call("PATCH", path, body, status)

    async def delete(self, path: str, status: int = 204) -> Any:
        return await self.call("DELETE", path, None, status)

    async def flow(self, name: str | None = None) -> str:
        flow: Json = await self.post("/flows/", {"name": name or f"flow-{uuid4()}"}, 201)
        return str(flow["id"])

    async def pool(self, **more: Any) -> str:
        name = f"pool-{uuid4()}"
        await self.post("/work_pools/", {"name": name, "type": "process", **more}, 201)
        return name

    async def deploy(self, *, status: int = 201, **fields: Any) -> Json:
        """Create or update; in a new flow and under the name `d` unless told otherwise."""
        if "flow_id" not in fields:
            fields["flow_id"] = await self.flow()
        made: Json = await self.post("/deployments/", {"name": "d", **fields}, status)
        return made

    async def read(self, id: str) -> Json:
        found: Json = await self.get(f"/deployments/{id}")
        return found

    async def run(self, id: str, status: int = 201, **fields: Any) -> Json:
        made: Json = await self.post(f"/deployments/{id}/create_flow_run", fields, status)
        return made

    async def runs(self, id: str) -> list[Json]:
        """The deployment's runs, the earliest first."""
        body = {"flow_runs": {"deployment_id": {"any_": [id]}}, "sort": "EXPECTED_START_TIME_ASC"}
        found: list[Json] = await self.post("/flow_runs/filter", body)
        return found

    async def plan(self, id: str, **bounds: Any) -> list[Json]:
        await self.post(f"/deployments/{id}/schedule", bounds)
        return await self.runs(id)

    async def events(self, id: str) -> list[Json]:
        """Events of the deployment, in the order of the log."""
        rows = await self.scope.db.fetch(
            "SELECT event, payload, related FROM event WHERE resource_id = $1 ORDER BY seq", f"prefect.deployment.{id}"
        )
        return [dict(row) for row in rows]

    async def event_names(self, id: str) -> list[str]:
        return [event["event"].removeprefix("prefect.deployment.") for event in await self.events(id)]


@pytest.fixture
async def scope(database: Database) -> AsyncIterator[Scope]:
    async with open_scope(database) as opened:
        yield opened


@pytest.fixture
async def api(scope: Scope) -> AsyncIterator[Deployments]:
    app = FastAPI()
    errors.install(app)
    rooms = (deployments, deployment_runs, schedules, flow_runs, flows, pools, queues, legacy_queues)
    add_rooms(app, "/api", rooms)
    readiness = Readiness(scope)
    app.state.scope = scope
    app.state.runtime = SimpleNamespace(readiness=readiness)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api") as client:
        yield Deployments(scope, client, readiness)
