"""Servers that are replaced one after the other, as the stock client sees it: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import FLOWS
from tests.support.database import Database
from tests.support.prefect_env import PrefectClient
from tests.support.runs import Runs, open_api
from tests.support.servers import Ensemble
from tests.support.wait import eventually

EVENTS = 80


@pytest.fixture(scope="module")
def stage(database: Database, workdir: Path) -> Iterator[Ensemble]:
    ensemble = Ensemble(workdir, database, services=1, env={"SEMPRE_SERVER_API_SHUTDOWN_DRAIN_SECONDS": "1"})
    ensemble.start()
    yield ensemble
    ensemble.stop()


@pytest.fixture(scope="module")
def client(stage: Ensemble, workdir: Path) -> PrefectClient:
    return PrefectClient(stage.api_url, workdir, FLOWS)


@pytest.fixture(scope="module")
def stage_runs(stage: Ensemble) -> Iterator[Runs]:
    with open_api(stage.api_url) as api:
        yield Runs(api)


def roll(stage: Ensemble) -> None:
    """A new process for each server; whichever a client was connected to, it has been told to connect elsewhere."""
    for server in stage.servers:
        assert server.process.terminate() == 0, server.process.tail()
        server.start()


def test_events_that_are_sent_meanwhile_arrive_once(stage: Ensemble, client: PrefectClient, database: Database) -> None:
    def stored() -> list[int]:
        rows = database.fetch("SELECT (payload->>'number')::int AS number FROM event WHERE event = 'rolling.sent'")
        return sorted(row["number"] for row in rows)

    emitter = client.start_script("emit_events.py", "rolling.sent", str(EVENTS), "0.1")
    emitter.wait_for(stored, "the first events are there")
    roll(stage)
    assert emitter.wait(60) == 0, emitter.tail()
    assert eventually(lambda: stored() if len(stored()) >= EVENTS else None, "all are there") == list(range(EVENTS))


def test_a_runner_still_hears_of_a_cancellation(stage: Ensemble, client: PrefectClient, stage_runs: Runs) -> None:
    """A close with 1000 or 1001 would have deafened it for the rest of its life."""
    stage_runs.post("/work_pools/", {"name": "rolled", "type": "process"})
    serving = client.start_script("serve_triggers.py", "rolled")
    try:
        found: list[str] = []

        def served() -> bool:
            found[:] = [each["id"] for each in stage_runs.post("/deployments/filter") if each["name"] == "served"]
            return len(found) == 2

        serving.wait_for(served, "registers its deployments", 90)
        deployment = stage_runs.get("/deployments/name/lingering/served")
        run = stage_runs.post(f"/deployments/{deployment['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
        stage_runs.wait_state(run["id"], "RUNNING", timeout=90)
        roll(stage)
        stage_runs.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
        stage_runs.wait_state(run["id"], "CANCELLED", timeout=60)
    finally:
        serving.terminate(10)
