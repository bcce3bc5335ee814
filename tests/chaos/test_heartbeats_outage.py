"""An outage of the API is no fault of the runs: their heartbeats had nowhere to go."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.chaos.plan import in_full_form
from tests.support.database import Database
from tests.support.events import an_event
from tests.support.runs import Runs, open_api
from tests.support.servers import SempreServer, ServicesProcess
from tests.support.wait import eventually

pytestmark = [pytest.mark.chaos, in_full_form]

# A run is given up 8 s after its last heartbeat.
HASTY = {
    "SEMPRE_SERVER_SERVICES_HEARTBEATS_LOOP_SECONDS": "0.5",
    "SEMPRE_SERVER_SERVICES_HEARTBEATS_MISSED_HEARTBEATS": "2",
    "SEMPRE_SERVER_SERVICES_HEARTBEATS_ASSUMED_INTERVAL_SECONDS": "4",
    "SEMPRE_SERVER_SERVICES_HEARTBEATS_SHORTEST_INTERVAL_SECONDS": "4",
}
# Longer than a run may be silent, and than the absence that makes presence begin anew.
OUTAGE = 20.0


def beat(api: httpx.Client, run: str) -> None:
    api.post("/events", json=[an_event("prefect.flow-run.heartbeat", f"prefect.flow-run.{run}")]).raise_for_status()


def start_run(api: httpx.Client) -> str:
    flow = api.post("/flows/", json={"name": f"f-{uuid4().hex}"}).raise_for_status().json()["id"]
    run = str(api.post("/flow_runs/", json={"flow_id": flow}).raise_for_status().json()["id"])
    body = {"state": {"type": "RUNNING"}, "force": True}
    api.post(f"/flow_runs/{run}/set_state", json=body).raise_for_status()
    return run


def test_runs_outlive_an_outage_of_the_api(database: Database, workdir: Path) -> None:
    server = SempreServer(workdir, database=database, services=False, env=HASTY)
    services = ServicesProcess(workdir, database, "services", HASTY)
    server.start()
    services.start()
    listening = "SELECT FROM event_consumer WHERE name = 'heartbeats'"
    with contextlib.ExitStack() as stack:
        stack.callback(services.stop)
        stack.callback(server.stop)
        api = stack.enter_context(open_api(server.api_url))
        runs = Runs(api)
        eventually(lambda: database.fetch(listening), "somebody listens to heartbeats")
        living, gone = start_run(api), start_run(api)
        for run in (living, gone):
            beat(api, run)
        server.kill()
        # The outage itself is what is tested: it cannot be waited for in any other way.
        began = time.monotonic()
        eventually(lambda: time.monotonic() - began > OUTAGE, "the outage is over", OUTAGE + 5)
        server.start()

        def crashed(run: str) -> bool:
            beat(api, living)
            return bool(runs.flow_run(run)["state"]["type"] == "CRASHED")

        assert not crashed(living)
        assert not crashed(gone), "nobody could hear it"
        eventually(lambda: crashed(gone), "the silent run is found", 40, interval=0.5)
        assert runs.history(living) == ["Pending", "Running"]
