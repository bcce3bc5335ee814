"""Settings of manifests that name the peer's messaging modules, and no Redis anywhere: all of it runs over Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import facts
from tests.conformance.facts import Facts
from tests.conftest import FLOWS
from tests.support.database import Database
from tests.support.net import LOOPBACK, free_port
from tests.support.prefect_env import PrefectClient
from tests.support.runs import Runs, checked, open_api
from tests.support.servers import SempreServer

BUILT_IN = {
    "PREFECT_MESSAGING_BROKER": "prefect.server.utilities.messaging.memory",
    "PREFECT_MESSAGING_CACHE": "prefect.server.utilities.messaging.memory",
    "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect.server.events.ordering.memory",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.memory",
}
REDIS = {
    "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
    "PREFECT_MESSAGING_CACHE": "prefect_redis.messaging",
    "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
    "PREFECT_REDIS_MESSAGING_HOST": LOOPBACK,
}


@pytest.fixture(scope="module", params=["built-in", "redis-that-is-away"])
def server(request: pytest.FixtureRequest, database: Database, workdir: Path) -> Iterator[SempreServer]:
    """A server whose settings ask for the built-in modules, or for a Redis that nobody runs."""
    away = {**REDIS, "PREFECT_REDIS_MESSAGING_PORT": str(free_port())}
    env = BUILT_IN if request.param == "built-in" else away
    solo = SempreServer(workdir / str(request.param), database=database, env=env)
    solo.start()
    yield solo
    solo.stop()


@pytest.fixture(scope="module")
def reports(server: SempreServer) -> dict[str, Facts]:
    with open_api(server.api_url) as api:
        # The second server finds the limits of the first.
        for limit in (
            {"name": "documented-limit", "limit": 1},
            {"name": "documented-rate", "limit": 2, "slot_decay_per_second": 2.0},
        ):
            if api.get(f"/v2/concurrency_limits/{limit['name']}").status_code == 404:
                checked(api.post("/v2/concurrency_limits/", json=limit))
    client = PrefectClient(server.api_url, server.workdir, FLOWS)
    return facts.parse(client.script("documented.py", "inputs", "events", "limits", "context", timeout=180))


def test_events_reach_subscribers(reports: dict[str, Facts]) -> None:
    assert facts.of(reports, "events")["same"] is True


def test_leases(reports: dict[str, Facts]) -> None:
    assert facts.of(reports, "limits")["held"] == [0, 1, 2]


def test_runs_and_their_tasks(reports: dict[str, Facts], server: SempreServer) -> None:
    assert facts.of(reports, "inputs")["typed"] == ["first", "second"]
    assert facts.of(reports, "context")["flow"][:2] == ["run-3", "contextual"]
    with open_api(server.api_url) as api:
        runs = Runs(api)
        # Task runs are made from events.
        for run in runs.flow_runs(name={"any_": ["run-3"]}):
            runs.wait_task_runs(run["id"], 1)
