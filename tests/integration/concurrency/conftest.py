"""The rooms of concurrency limits behind HTTP, as two replicas on one database."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from sempre.server import errors
from sempre.server.concurrency.routes import router as limits
from sempre.server.concurrency.tag_routes import router as tag_limits
from sempre.server.routing import add_rooms
from sempre.server.scope import Scope
from tests.support.database import Database
from tests.support.scopes import open_scope


class Api:
    """Calls one replica's ``/api``; ``(status, body, Retry-After)`` of each."""

    def __init__(self, scope: Scope) -> None:
        app = FastAPI()
        errors.install(app)
        add_rooms(app, "/api", [limits, tag_limits])
        app.state.scope = scope
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://test/api")
        self.scope = scope

    async def call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return await self.http.request(method, path, json=body)

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.call("POST", path, body)

    async def v2(self, path: str, **body: Any) -> httpx.Response:
        return await self.post(f"/v2/concurrency_limits/{path}", **body)

    async def limit(self, limit: int, **more: Any) -> str:
        """A new limit's name."""
        name = more.pop("name", f"limit-{uuid4().hex[:8]}")
        made = await self.v2("", name=name, limit=limit, **more)
        assert made.status_code == 201, made.text
        return str(name)

    async def active(self, name: str) -> int:
        read = await self.call("GET", f"/v2/concurrency_limits/{name}")
        assert read.status_code == 200, read.text
        return int(read.json()["active_slots"])

    async def lease(self, *names: str, slots: int = 1, **more: Any) -> str | None:
        """Take with a lease; its id, or None when there is no room."""
        taken = await self.v2("increment-with-lease", names=list(names), slots=slots, **more)
        if taken.status_code == 423:
            assert float(taken.headers["retry-after"]) >= 0
            return None
        assert taken.status_code == 200, taken.text
        return str(taken.json()["lease_id"])

    async def give_back(self, lease_id: str) -> None:
        assert (await self.v2("decrement-with-lease", lease_id=lease_id)).status_code == 204

    async def renew(self, lease_id: str, **body: Any) -> int:
        return (await self.v2(f"leases/{lease_id}/renew", **body)).status_code

    async def expire(self, lease_id: str) -> None:
        """Let time pass for one lease."""
        for table, key in (("concurrency_lease", "id"), ("concurrency_slot", "lease_id")):
            await self.scope.db.execute(
                f"UPDATE {table} SET expires_at = clock_timestamp() - interval '1 s' WHERE {key} = $1::text::uuid",
                lease_id,
            )

    async def age(self, name: str, seconds: float) -> None:
        """Let time pass for one limit's decay."""
        await self.scope.db.execute(
            "UPDATE concurrency_limit SET updated = updated - make_interval(secs => $2) WHERE name = $1", name, seconds
        )


@contextlib.asynccontextmanager
async def serving(database: Database) -> AsyncIterator[Api]:
    async with open_scope(database) as scope:
        api = Api(scope)
        async with api.http:
            yield api


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Api]:
    async with serving(database) as one:
        yield one


@pytest.fixture
async def replica(database: Database) -> AsyncIterator[Api]:
    async with serving(database) as another:
        yield another
