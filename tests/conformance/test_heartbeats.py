"""A flow run whose process was killed, and its runner with it: nobody is left to tell, and nothing was configured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import FLOWS
from tests.support.database import Database
from tests.support.prefect_env import PrefectClient
from tests.support.processes import ManagedProcess
from tests.support.runs import Runs, open_api
from tests.support.servers import SempreServer
from tests.support.wait import eventually

# The client sends none more often than every 30 s: here a run is given up 5 s after its first.
HASTY = {
    "SEMPRE_SERVER_SERVICES_HEARTBEATS_LOOP_SECONDS": "0.5",
    "SEMPRE_SERVER_SERVICES_HEARTBEATS_MISSED_HEARTBEATS": "2",
    "SEMPRE_SERVER_SERVICES_HEARTBEATS_ASSUMED_INTERVAL_SECONDS": "2.5",
    "SEMPRE_SERVER_SERVICES_HEARTBEATS_SHORTEST_INTERVAL_SECONDS": "2.5",
}
BEATING = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}


@pytest.fixture(scope="module")
def server(database: Database, workdir: Path) -> Iterator[SempreServer]:
    solo = SempreServer(workdir / "hasty", database=database, env=HASTY)
    solo.start()
    yield solo
    solo.stop()


@pytest.fixture(scope="module")
def runs(server: SempreServer) -> Iterator[Runs]:
    with open_api(server.api_url) as api:
        yield Runs(api)


def started(runs: Runs, process: ManagedProcess, flow: str) -> str:
    """A run of the served flow that is under way and has sent a heartbeat; its id."""

    def deployed() -> str | None:
        found = [one for one in runs.post("/deployments/filter") if one["entrypoint"].endswith(f":{flow}")]
        return str(found[0]["id"]) if found else None

    deployment = eventually(deployed, f"the deployment of {flow}", 60, detail=process.tail)
    body = {"state": {"type": "SCHEDULED"}}
    run = str(runs.post(f"/deployments/{deployment}/create_flow_run", body)["id"])
    about = {"resource": {"id": [f"prefect.flow-run.{run}"]}, "event": {"name": ["prefect.flow-run.heartbeat"]}}

    def beats() -> bool:
        return bool(runs.post("/events/filter", {"filter": about})["events"])

    eventually(beats, f"a heartbeat of {flow}", 60, detail=process.tail)
    return run


def test_a_killed_run_is_crashed_and_a_living_one_is_not(server: SempreServer, runs: Runs) -> None:
    prefect = PrefectClient(server.api_url, server.workdir, FLOWS)
    hanging = prefect.start_script("heartbeats.py", "hanging", env=BEATING)
    pulsing = prefect.start_script("heartbeats.py", "pulsing", env=BEATING)
    try:
        killed = started(runs, hanging, "hanging")
        assert runs.flow_run(killed)["state"]["type"] == "RUNNING"
        hanging.kill()
        living = started(runs, pulsing, "pulsing")
        crashed = eventually(
            lambda: state if (state := runs.flow_run(killed)["state"])["type"] == "CRASHED" else None,
            "the killed run is Crashed",
            30,
        )
        assert "No heartbeat came since" in crashed["message"]
        runs.wait_state(living, "COMPLETED")
        assert runs.history(living)[-2:] == ["Running", "Completed"]
        assert runs.post("/automations/count") == 0
    finally:
        hanging.kill()
        pulsing.terminate(5)
