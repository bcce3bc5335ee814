"""pgbouncer in transaction mode between the servers and Postgres: every statement may meet another session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from sempre.db.pool import Database as Pool
from tests.support import debian
from tests.support.pgbouncer import Pgbouncer
from tests.support.scopes import until
from tests.support.servers import SempreServer, ServicesProcess
from tests.support.standby import Primary

pytestmark = pytest.mark.balancers

NO_CACHE = {"PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS_STATEMENT_CACHE_SIZE": "0"}
BACK_SECONDS = 60.0


@pytest.fixture(scope="module")
def primary() -> Iterator[Primary]:
    node = Primary().start()
    yield node
    node.remove()


@pytest.fixture(scope="module")
def bouncer(primary: Primary) -> Iterator[Pgbouncer]:
    try:
        pooler = Pgbouncer(primary).start()
    except debian.Unavailable as reason:
        pytest.skip(str(reason))
    yield pooler
    pooler.remove()


@pytest.fixture(scope="module")
def servers(primary: Primary, bouncer: Pgbouncer, workdir: Path) -> Iterator[list[SempreServer]]:
    """Two servers and a process of services that find an empty database behind the pooler and migrate it at once."""
    database = bouncer.database(primary.create().name)
    apis = [
        SempreServer(workdir / name, database=database, services=False, env=NO_CACHE, name=name) for name in ("a", "b")
    ]
    services = ServicesProcess(workdir, database, "services", NO_CACHE)
    for api in apis:
        api._process = api.launch()
    services.start()
    for api in apis:
        api.wait_ready()
    yield apis
    services.stop()
    for api in apis:
        api.stop()


async def insist(api: httpx.AsyncClient, path: str, body: object, refused: list[float]) -> httpx.Response:
    """The answer, after as many 503 as it takes."""
    while True:
        answer = await api.post(path, json=body)
        if answer.is_success:
            return answer
        assert answer.status_code == 503, f"{path}: {answer.status_code} {answer.text}"
        refused.append(time.monotonic())
        await asyncio.sleep(float(answer.headers["Retry-After"]) / 10)


async def life(api: httpx.AsyncClient, flow: str, refused: list[float]) -> None:
    """One run from its creation to its end, and lists of every kind in between."""
    run = (await insist(api, "/flow_runs/", {"flow_id": flow, "idempotency_key": str(uuid4())}, refused)).json()["id"]
    for state in ("PENDING", "RUNNING", "COMPLETED"):
        proposal = {"state": {"type": state, "state_details": {"transition_id": str(uuid4())}}}
        assert (await insist(api, f"/flow_runs/{run}/set_state", proposal, refused)).json()["state"]["type"] == state
        mine = {"flow_runs": {"id": {"any_": [run]}, "state": {"type": {"any_": [state]}}}}
        listed, counted, flows = await asyncio.gather(
            insist(api, "/flow_runs/filter", mine, refused),
            insist(api, "/flow_runs/count", mine, refused),
            insist(api, "/flows/filter", {"flows": {"id": {"any_": [flow]}}, "limit": 5}, refused),
        )
        assert [row["id"] for row in listed.json()] == [run]
        assert counted.json() == 1
        assert [row["id"] for row in flows.json()] == [flow]
    name = f"v_{uuid4().hex}"
    await insist(api, "/variables/", {"name": name, "value": {"run": run}}, refused)  # a transaction of two statements


async def test_everything_works_while_sessions_change_under_us(servers: list[SempreServer]) -> None:
    refused: list[float] = []
    async with (
        httpx.AsyncClient(base_url=servers[0].api_url, timeout=60) as a,
        httpx.AsyncClient(base_url=servers[1].api_url, timeout=60) as b,
    ):
        flow = (await a.post("/flows/", json={"name": "f"})).json()["id"]
        for _ in range(3):
            await asyncio.gather(*(life(api, flow, refused) for api in (a, b) for _ in range(10)))
        assert refused == []


async def test_its_restart_is_survived(servers: list[SempreServer], bouncer: Pgbouncer) -> None:
    refused: list[float] = []
    stop = asyncio.Event()
    ended: list[float] = []

    async def go_on(api: httpx.AsyncClient) -> None:
        while not stop.is_set():
            await life(api, flow, refused)
            ended.append(time.monotonic())

    async with httpx.AsyncClient(base_url=servers[0].api_url, timeout=60) as api:
        flow = (await api.post("/flows/", json={"name": "f"})).json()["id"]
        busy = [asyncio.create_task(go_on(api)) for _ in range(6)]
        await until(lambda: len(ended) > 6, "the clients are at work")
        bouncer.kill()
        await until(lambda: refused, "the server notices")
        await asyncio.to_thread(bouncer.start)
        back = time.monotonic()
        await until(lambda: ended[-1] > back, "runs end again")
        print(f"\npgbouncer restarted: the first run ended {ended[-1] - back:.1f} s after its return")
        assert ended[-1] - back < BACK_SECONDS
        count = len(ended)
        await until(lambda: len(ended) > count + 6, "the clients are at work again")
        stop.set()
        await asyncio.gather(*busy)
    assert all(server.process.running() for server in servers)


async def test_sessions_that_end_behind_it_are_survived(
    servers: list[SempreServer], bouncer: Pgbouncer, primary: Primary
) -> None:
    refused: list[float] = []
    async with httpx.AsyncClient(base_url=servers[0].api_url, timeout=60) as api:
        flow = (await api.post("/flows/", json={"name": "f"})).json()["id"]
        await life(api, flow, refused)
        await asyncio.to_thread(primary.stop)
        await asyncio.to_thread(primary.restart)
        await life(api, flow, refused)


async def test_a_pooler_without_room_for_more_clients(primary: Primary, bouncer: Pgbouncer) -> None:
    small = Pgbouncer(primary, clients=3)
    await asyncio.to_thread(small.start)
    try:
        db = Pool(small.database("postgres").url, size=8, statement_cache_size=0)
        await db.open()
        try:
            assert await db.fetchval("SELECT 1") == 1
            await asyncio.gather(*(db.fetchval("SELECT pg_sleep(0.05)") for _ in range(16)))
        finally:
            await db.close()
    finally:
        await asyncio.to_thread(small.remove)
