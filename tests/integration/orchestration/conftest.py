"""The API as the protocol's client calls it, and shorthands for the sequences of runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest

from sempre.server.deployments.readiness import Readiness
from sempre.server.scope import Scope
from tests.integration.runs.conftest import USER_AGENT
from tests.integration.runs.conftest import Api as RunsApi
from tests.support.database import Database
from tests.support.rooms import Rooms, open_rooms

Json = dict[str, Any]


class Api(RunsApi):
    """The whole application of one replica, called with the client's own User-Agent."""

    def __init__(self, rooms: Rooms, client: httpx.AsyncClient) -> None:
        super().__init__(client)
        self.scope: Scope = rooms.scope
        rooms.app.state.runtime = SimpleNamespace(readiness=Readiness(rooms.scope))
        self._flow: Json | None = None

    async def flow(self) -> Json:
        """One flow for all runs of a test: nothing here depends on which."""
        self._flow = self._flow or await super().flow()
        return self._flow

    async def deployment(self, **fields: Any) -> str:
        body = {"name": f"d-{uuid4()}", "flow_id": (await self.flow())["id"], **fields}
        return str((await self.post("/deployments/", body))["id"])

    async def states(self, run: Json) -> list[Json]:
        kind = "task_run" if "task_key" in run else "flow_run"
        states: list[Json] = await self.get(f"/{kind}_states/?{kind}_id={run['id']}")
        return states

    async def code(self, method: str, path: str, body: Any = None) -> int:
        return (await self.client.request(method, path, json=body)).status_code

    async def in_use(self, deployment_id: str) -> int:
        """Active slots of the deployment's limit."""
        limit = (await self.get(f"/deployments/{deployment_id}"))["global_concurrency_limit"]
        return int((await self.get(f"/v2/concurrency_limits/{limit['id']}"))["active_slots"])

    async def expire(self, run: Json) -> None:
        """Let the time of the slots that the run holds run out, if it is bounded."""
        past = "SET expires_at = now() - interval '1 second' WHERE expires_at IS NOT NULL"
        await self.scope.db.execute(f"UPDATE concurrency_slot {past} AND run_id = $1::uuid", run["id"])
        await self.scope.db.execute(f"UPDATE concurrency_lease {past} AND holder_id = $1::uuid", run["id"])


def lease_of(outcome: Json) -> str:
    return str(outcome["state"]["state_details"]["deployment_concurrency_lease_id"])


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Api]:
    async with open_rooms(database) as rooms:
        transport = httpx.ASGITransport(rooms.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://sempre/api", headers=USER_AGENT) as client:
            yield Api(rooms, client)


@pytest.fixture
async def replica(database: Database) -> AsyncIterator[Api]:
    """Another replica on the same database."""
    async with open_rooms(database) as rooms:
        transport = httpx.ASGITransport(rooms.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://sempre/api", headers=USER_AGENT) as client:
            yield Api(rooms, client)
