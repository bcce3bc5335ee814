"""The whole API in the test's own process, without background services: a client that states each status."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.datastructures import State

from sempre.schemas import limits
from sempre.server.app import create_app
from sempre.server.scope import Scope
from tests.support.database import Database
from tests.support.scopes import open_scope

Idle = tuple[FastAPI, limits.Limits]

# Building an app and its validators takes longer than most tests: what no test uses serves the next one that wants the
# same settings. An app knows nothing of its database; that is in its state, which every test gets anew.
_idle: dict[frozenset[tuple[str, str]], list[Idle]] = defaultdict(list)


class Rooms:
    """Calls of one replica. Every method asserts the status and returns the body, None without one."""

    def __init__(self, app: FastAPI, scope: Scope, http: httpx.AsyncClient) -> None:
        self.app = app
        self.scope = scope
        self.http = http

    async def call(self, method: str, path: str, body: Any = None, *, status: int) -> Any:
        kwargs: dict[str, Any] = {} if body is None else {"json": body}
        answer = await self.http.request(method, f"/api{path}", **kwargs)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        return await self.call("POST", path, body, status=status)

    async def get(self, path: str, status: int = 200) -> Any:
        return await self.call("GET", path, status=status)

    async def put(self, path: str, body: Any, status: int = 200) -> Any:
        return await self.call("PUT", path, body, status=status)

    async def patch(self, path: str, body: Any, status: int = 204) -> Any:
        return await self.call("PATCH", path, body, status=status)

    async def delete(self, path: str, status: int = 204) -> Any:
        return await self.call("DELETE", path, status=status)

    async def events(self, resource_id: str) -> list[dict[str, Any]]:
        """The events about a resource, the oldest first."""
        rows = await self.scope.db.fetch(
            "SELECT event, resource, related, payload FROM event WHERE resource_id = $1 ORDER BY seq", resource_id
        )
        return [dict(row) for row in rows]


@contextmanager
def _lent_app(scope: Scope, env: Mapping[str, str]) -> Iterator[FastAPI]:
    idle = _idle[frozenset(env.items())]
    app, bounds = idle.pop() if idle else (create_app(scope.settings, services=False), limits.current())
    limits.use(bounds)
    app.state = State({"scope": scope})
    yield app
    idle.append((app, bounds))


@asynccontextmanager
async def open_rooms(database: Database, env: Mapping[str, str] | None = None) -> AsyncIterator[Rooms]:
    """One replica on ``database``."""
    async with open_scope(database, env) as scope:
        with _lent_app(scope, env or {}) as app:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://sempre.test") as http:
                yield Rooms(app, scope, http)


@pytest.fixture
async def rooms(database: Database) -> AsyncIterator[Rooms]:
    async with open_rooms(database) as opened:
        yield opened
