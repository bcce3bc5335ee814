"""A whole server while Redis is away: it starts, and no request waits for what Redis does not say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.database import Database
from tests.support.events import an_event
from tests.support.net import LOOPBACK, free_port
from tests.support.redis_server import RedisServer
from tests.support.runs import open_api
from tests.support.servers import SempreServer
from tests.support.wait import eventually

# A request that waited for Redis would take its whole budget; one that did not takes less on any machine.
BUDGET = 60.0
PATIENCE = 30.0


@pytest.fixture
def start(database: Database, workdir: Path) -> Iterator[Callable[[str], SempreServer]]:
    started: list[SempreServer] = []

    def start(redis_url: str) -> SempreServer:
        env = {"SEMPRE_REDIS_URL": redis_url, "SEMPRE_REDIS_COMMAND_BUDGET_SECONDS": str(BUDGET)}
        server = SempreServer(workdir, database=database, env=env, name=f"sempre-{len(started)}")
        started.append(server)
        server.start(timeout=30)
        return server

    yield start
    for server in started:
        server.stop()


def work(api: httpx.Client, flow_id: str) -> float:
    """What runs and their events ask for; the seconds that the slowest request took."""
    slowest = 0.0

    def post(path: str, body: object, status: int) -> httpx.Response:
        nonlocal slowest
        began = time.monotonic()
        answer = api.post(path, json=body)
        slowest = max(slowest, time.monotonic() - began)
        assert answer.status_code == status, answer.text
        return answer

    run = post("/flow_runs/", {"flow_id": flow_id, "state": {"type": "PENDING", "name": "Pending"}}, 201).json()
    for state in ("RUNNING", "COMPLETED"):
        post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": state, "name": state.title()}}, 201)
    post("/events", [an_event()], 204)
    post("/flow_runs/count", {}, 200)
    return slowest


def test_it_starts_and_works_without_redis(start: Callable[[str], SempreServer]) -> None:
    server = start(f"redis://{LOOPBACK}:{free_port()}/0")
    with open_api(server.api_url) as api:
        flow = api.post("/flows/", json={"name": "f"}).json()
        assert min(work(api, flow["id"]) for _ in range(3)) < PATIENCE
        assert api.get("/ready").status_code == 200


def test_a_redis_that_hangs_holds_nobody_up(start: Callable[[str], SempreServer], redis_server: RedisServer) -> None:
    """From the start, and later: Redis hangs for as long as requests are made, none of which waits for its budget."""
    redis_server.pause()
    server = start(redis_server.url)
    with open_api(server.api_url) as api:
        flow = api.post("/flows/", json={"name": "f"}).json()
        assert max(work(api, flow["id"]) for _ in range(5)) < PATIENCE
        redis_server.resume()
        eventually(lambda: redis_server.command("KEYS", "sempre:*:doorbell") or work(api, flow["id"]) < 0, "in use")
        redis_server.pause()
        assert max(work(api, flow["id"]) for _ in range(20)) < PATIENCE
        assert api.get("/ready").status_code == 200
        redis_server.resume()
        assert work(api, flow["id"]) < PATIENCE
