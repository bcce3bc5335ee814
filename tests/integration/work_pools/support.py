"""Short words for what the tests of work pools do all the time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from sempre.server.deployments.readiness import Readiness
from sempre.server.ids import new_id
from sempre.server.scope import Scope


class Pools:
    """A client of the API that knows pools, and puts runs into their queues."""

    def __init__(self, scope: Scope, api: httpx.AsyncClient, readiness: Readiness) -> None:
        self.scope = scope
        self.api = api
        self.readiness = readiness
        self.now = datetime.now(UTC)

    async def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        return await self._call("POST", path, body, status)

    async def patch(self, path: str, body: Any, status: int = 204) -> Any:
        return await self._call("PATCH", path, body, status)

    async def get(self, path: str, status: int = 200) -> Any:
        return await self._call("GET", path, None, status)

    async def delete(self, path: str, status: int = 204) -> Any:
        return await self._call("DELETE", path, None, status)

    async def _call(self, method: str, path: str, body: Any, status: int) -> Any:
        answer = await self.api.request(method, path, json=body)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def pool(self, name: str = "p", **more: Any) -> dict[str, Any]:
        made: dict[str, Any] = await self.post("/work_pools/", {"name": name, "type": "process", **more}, 201)
        return made

    async def queue(self, name: str, pool: str = "p", **more: Any) -> dict[str, Any]:
        made: dict[str, Any] = await self.post(f"/work_pools/{pool}/queues", {"name": name, **more}, 201)
        return made

    async def priorities(self, pool: str = "p") -> dict[str, int]:
        queues = await self.post(f"/work_pools/{pool}/queues/filter", {})
        return {queue["name"]: queue["priority"] for queue in queues}

    async def run(
        self, queue_id: str | UUID, name: str, *, minutes: float = 0, state: str = "SCHEDULED", **columns: Any
    ) -> UUID:
        """A run due ``minutes`` from now, in ``state``."""
        run_id = new_id()
        values = {
            "state_id": new_id(),
            "state_type": state,
            "state_name": state.capitalize(),
            "state_timestamp": self.now,
            "work_queue_id": UUID(str(queue_id)),
            "next_scheduled_start_time": self.now + timedelta(minutes=minutes),
            **columns,
        }
        names = ", ".join(values)
        numbers = ", ".join(f"${number}" for number in range(5, 5 + len(values)))
        await self.scope.db.execute(
            f"INSERT INTO flow_run (id, workspace_id, name, flow_id, {names}) VALUES ($1, $2, $3, $4, {numbers})",
            run_id,
            self.scope.workspace_id,
            name,
            UUID(int=1),
            *values.values(),
        )
        return run_id

    async def deployment(self, name: str, queue_id: str) -> UUID:
        """A deployment of a flow of the same name, in a queue."""
        deployment_id, flow_id = new_id(), new_id()
        workspace_id = self.scope.workspace_id
        await self.scope.db.execute(
            "INSERT INTO flow (id, workspace_id, name) VALUES ($1, $2, $3)", flow_id, workspace_id, name
        )
        await self.scope.db.execute(
            "INSERT INTO deployment (id, workspace_id, name, flow_id, work_queue_id) VALUES ($1, $2, $3, $4, $5)",
            deployment_id,
            workspace_id,
            name,
            flow_id,
            UUID(queue_id),
        )
        return deployment_id

    async def poll(self, pool: str = "p", **body: Any) -> list[str]:
        """Names of the runs that a poll gives."""
        given = await self.post(f"/work_pools/{pool}/get_scheduled_flow_runs", body)
        return [run["flow_run"]["name"] for run in given]

    async def events(self) -> list[dict[str, Any]]:
        """All events so far, in the order of the log."""
        return [dict(row) for row in await self.scope.db.fetch("SELECT * FROM event ORDER BY seq")]

    async def event_names(self) -> list[str]:
        return [event["event"].removeprefix("prefect.") for event in await self.events()]
