"""The previous release works on the newest schema, beside this one, while clients go on: a rolling upgrade."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.database import Database, Postgres
from tests.support.events import task_run_event
from tests.support.net import LOOPBACK
from tests.support.proxy import RoundRobinProxy
from tests.support.releases import previous_release, revision
from tests.support.scopes import until
from tests.support.servers import SempreServer, ServicesProcess, run_sempre

SLOTS = 3
Json = dict[str, Any]


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which `sempre` is the previous release's."""
    if not revision():
        pytest.skip("the previous release is not in this checkout's history")
    there = previous_release(tmp_path_factory.mktemp("previous"))
    return {"PYTHONPATH": str(there), "SEMPRE_SERVER_DATABASE_MIGRATE_ON_START": "false"}


class Traffic:
    """Clients that run flows, take leases, report tasks and poll for scheduled runs. No call may fail."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=30)
        self.runs: list[str] = []
        self.tasks: list[str] = []
        self.executed: list[str] = []
        self.stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        flow = await self._post("/flows/", {"name": "rolling"})
        self.flow_id = flow["id"]
        await self._post("/v2/concurrency_limits/", {"name": "rolling", "limit": SLOTS})
        await self._post("/work_pools/", {"name": "rolling", "type": "process"})
        for number in range(3):
            schedule = {"interval": 2.0, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"}
            body = {"name": f"every-{number}", "flow_id": self.flow_id, "work_pool_name": "rolling"}
            await self._post("/deployments/", {**body, "schedules": [{"schedule": schedule, "active": True}]})
        self._tasks = [asyncio.create_task(self._runs()) for _ in range(5)]
        self._tasks.append(asyncio.create_task(self._polls("worker")))

    async def stop(self) -> None:
        self.stopping = True
        await asyncio.gather(*self._tasks)

    async def end(self) -> None:
        """Whatever happened."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    async def more(self, count: int) -> None:
        """Until so many runs more have ended."""
        wanted = len(self.runs) + count

        def enough() -> bool:
            for task in self._tasks:
                if task.done():
                    task.result()
            return len(self.runs) >= wanted

        await until(enough, f"{count} more runs", 60)

    async def _post(self, path: str, body: object, *, or_status: int = 0) -> Any:
        response = await self._http.post(path, json=body)
        if response.status_code == or_status:
            return None
        assert response.is_success, f"POST {path}: {response.status_code} {response.text[:500]}"
        return response.json() if response.content else None

    async def _state(self, run_id: str, kind: str) -> str:
        state = {"type": kind, "state_details": {"transition_id": str(uuid.uuid4())}}
        answer = await self._post(f"/flow_runs/{run_id}/set_state", {"state": state, "force": False})
        return str(answer["status"])

    async def _runs(self) -> None:
        while not self.stopping:
            run = await self._post("/flow_runs/", {"flow_id": self.flow_id, "state": {"type": "PENDING"}})
            assert await self._state(run["id"], "RUNNING") == "ACCEPT"
            lease = await self._post(
                "/v2/concurrency_limits/increment-with-lease",
                {"names": ["rolling"], "slots": 1, "mode": "concurrency", "lease_duration": 60},
                or_status=423,
            )
            task = uuid.uuid4()
            for state in ("Running", "Completed"):
                event = task_run_event(state, datetime.now(UTC), run_id=task, flow_run_id=uuid.UUID(run["id"]))
                await self._post("/events", [event])
            if lease:
                await self._post("/v2/concurrency_limits/decrement-with-lease", {"lease_id": lease["lease_id"]})
            assert await self._state(run["id"], "COMPLETED") == "ACCEPT"
            read = (await self._http.get(f"/flow_runs/{run['id']}")).json()
            assert read["state"]["type"] == "COMPLETED"
            self.runs.append(run["id"])
            self.tasks.append(str(task))

    async def _polls(self, name: str) -> None:
        while not self.stopping:
            await self._post("/work_pools/rolling/workers/heartbeat", {"name": name})
            due = {"scheduled_before": datetime.now(UTC).isoformat()}
            for found in await self._post("/work_pools/rolling/get_scheduled_flow_runs", due):
                run_id = found["flow_run"]["id"]
                if await self._state(run_id, "PENDING") == "ACCEPT":
                    assert await self._state(run_id, "RUNNING") == "ACCEPT"
                    assert await self._state(run_id, "COMPLETED") == "ACCEPT"
                    self.executed.append(run_id)
            await asyncio.sleep(0.2)


@pytest.fixture
def site(postgres: Postgres, previous: dict[str, str], workdir: Path) -> Iterator[tuple[Database, Any]]:
    database = postgres.create()

    @asynccontextmanager
    async def processes(name: str, env: dict[str, str], port: int | None = None) -> AsyncIterator[SempreServer]:
        server = SempreServer(workdir / name, database=database, services=False, env=env, name=name, port=port)
        services = ServicesProcess(workdir / name, database, f"{name}-services", env)
        try:
            await asyncio.to_thread(server.start)
            await asyncio.to_thread(services.start)
            yield server
        finally:
            await asyncio.to_thread(services.stop)
            await asyncio.to_thread(server.stop)

    yield database, processes
    postgres.drop(database)


async def test_a_rolling_upgrade_is_noticed_by_no_client(
    site: tuple[Database, Any], previous: dict[str, str], workdir: Path
) -> None:
    database, processes = site
    home = workdir / "upgrade-home"
    upgrade = ("server", "database", "upgrade", "-y")
    await asyncio.to_thread(run_sempre, *upgrade, "-r", "0005", home=home, database=database)
    async with processes("previous", previous) as old, processes("previous-too", previous) as other:
        proxy = RoundRobinProxy([(LOOPBACK, server.port) for server in (old, other)]).start()
        traffic = Traffic(f"{proxy.url}/api")
        try:
            await traffic.start()
            await traffic.more(20)
            await asyncio.to_thread(run_sempre, *upgrade, home=home, database=database)
            # The previous release alone on the new schema.
            await traffic.more(20)
            # One server after the other, as a deployment does it.
            proxy.set_up(1, False)
            await traffic.more(10)
            await asyncio.to_thread(other.stop)
            async with processes("new", {}, other.port):
                proxy.set_up(1, True)
                await traffic.more(40)
                proxy.set_up(0, False)
                await traffic.more(10)
                await asyncio.to_thread(old.stop)
                await traffic.more(15)
                await traffic.stop()
                await _audit(database, traffic)
        finally:
            await traffic.end()
            proxy.stop()


async def _audit(database: Database, traffic: Traffic) -> None:
    async def count(sql: str, *arguments: object) -> int:
        rows = await database._fetch(f"SELECT count(*) AS n FROM ({sql}) x", arguments)
        return int(rows[0]["n"])

    ran = await count("SELECT id FROM flow_run WHERE id = ANY($1::uuid[]) AND state_type = 'COMPLETED'", traffic.runs)
    assert ran == len(traffic.runs)
    # Task runs are recorded from events, by services of either release, and know their flow.
    recorded = "SELECT id FROM task_run WHERE id = ANY($1::uuid[]) AND state_type = 'COMPLETED' AND flow_id IS NOT NULL"

    async def all_recorded() -> bool:
        return await count(recorded, traffic.tasks) == len(traffic.tasks)

    await until(all_recorded, "every task run is recorded", 30)
    assert len(traffic.executed) == len(set(traffic.executed)) >= 9
    twice = (
        "SELECT flow_run_id FROM flow_run_state WHERE type = 'RUNNING' AND flow_run_id = ANY($1::uuid[]) "
        "GROUP BY 1 HAVING count(*) > 1"
    )
    assert await count(twice, [*traffic.executed, *traffic.runs]) == 0
    doubled = (
        "SELECT 1 FROM flow_run WHERE auto_scheduled GROUP BY deployment_id, next_scheduled_start_time "
        "HAVING count(*) > 1 AND next_scheduled_start_time IS NOT NULL"
    )
    assert await count(doubled) == 0
    expected = (
        "SELECT 1 FROM flow_run WHERE auto_scheduled GROUP BY deployment_id, expected_start_time HAVING count(*) > 1"
    )
    assert await count(expected) == 0
    assert await count("SELECT 1 FROM concurrency_slot WHERE expires_at > now()") == 0
    assert await count("SELECT 1 FROM event_dead_letter") == 0
    print(f"\n{len(traffic.runs)} runs and {len(traffic.executed)} scheduled ones, all right")
