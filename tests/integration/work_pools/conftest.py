"""The rooms of work pools on a real database, in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from sempre.server import errors
from sempre.server.deployments.readiness import Readiness
from sempre.server.routers import API_ROUTERS
from sempre.server.routing import add_rooms
from sempre.server.scope import Scope
from tests.integration.work_pools.support import Pools
from tests.support.database import Database
from tests.support.scopes import open_scope


@pytest.fixture
async def scope(database: Database) -> AsyncIterator[Scope]:
    async with open_scope(database) as opened:
        for table in ("work_pool", "flow", "flow_run", "event"):
            await opened.db.execute(f"TRUNCATE {table} CASCADE")
        yield opened


@pytest.fixture
def readiness(scope: Scope) -> Readiness:
    """Not started: a test writes what was polled when it wants to."""
    return Readiness(scope)


@pytest.fixture
def app(scope: Scope, readiness: Readiness) -> FastAPI:
    app = FastAPI()
    errors.install(app)
    add_rooms(app, "/api", API_ROUTERS)
    app.state.scope = scope
    app.state.runtime = SimpleNamespace(readiness=readiness)
    return app


@pytest.fixture
async def api(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api") as client:
        yield client


@pytest.fixture
def pools(scope: Scope, api: httpx.AsyncClient, readiness: Readiness) -> Pools:
    return Pools(scope, api, readiness)
