"""What the client's CLI reads and changes: runs, deployments, work pools."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.prefect_env import PrefectClient
from tests.support.runs import Json, Runs, checked
from tests.support.wait import eventually

POOL = "cli-pool"


@pytest.fixture(scope="module")
def flow_id(runs: Runs) -> str:
    return str(runs.post("/flows/", {"name": "cli-flow"})["id"])


@pytest.fixture(scope="module")
def pool(prefect: PrefectClient) -> str:
    prefect.cli("work-pool", "create", POOL, "--type", "process")
    return POOL


@pytest.fixture(scope="module")
def deployment(runs: Runs, flow_id: str, pool: str) -> Json:
    body = {"name": "cli-dep", "flow_id": flow_id, "work_pool_name": pool, "entrypoint": "flow.py:cli_flow"}
    created: Json = runs.post("/deployments/", body)
    return created


@pytest.fixture(scope="module")
def completed(runs: Runs, api: httpx.Client, flow_id: str) -> Json:
    """A completed run with three lines of log."""
    body = {"flow_id": flow_id, "name": "cli-completed", "state": {"type": "PENDING"}}
    run: Json = runs.post("/flow_runs/", body)
    for kind in ("RUNNING", "COMPLETED"):
        runs.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": kind}})
    lines = [
        {
            "name": "prefect.flow_runs",
            "level": 20,
            "message": f"cli line {number}",
            "timestamp": f"2026-01-01T00:00:0{number}Z",
            "flow_run_id": run["id"],
        }
        for number in range(3)
    ]
    checked(api.post("/logs/", json=lines))
    return run


def together(prefect: PrefectClient, *commands: tuple[str, ...]) -> list[str]:
    """Outputs of commands that do not depend on each other, two at a time: a start costs seconds."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda command: prefect.cli(*command), commands))


def test_flow_run_reads(prefect: PrefectClient, runs: Runs, completed: Json) -> None:
    run_id = completed["id"]
    eventually(lambda: len(runs.logs(run_id)) == 3, "three lines of log")
    listed, inspected, logs, tail = together(
        prefect,
        ("flow-run", "ls"),
        ("flow-run", "inspect", run_id, "--output", "json"),
        ("flow-run", "logs", run_id),
        ("flow-run", "logs", run_id, "--head", "-n", "1"),
    )
    assert run_id in listed
    assert "cli-flow" in listed
    assert run_id in inspected
    assert "cli-completed" in inspected
    positions = [logs.index(f"cli line {number}") for number in range(3)]
    assert positions == sorted(positions)
    assert "cli line 0" in tail
    assert "cli line 1" not in tail


def test_flow_run_cancel(prefect: PrefectClient, runs: Runs, flow_id: str, completed: Json) -> None:
    body = {"flow_id": flow_id, "name": "cli-scheduled", "state": {"type": "SCHEDULED"}}
    scheduled = runs.post("/flow_runs/", body)
    prefect.cli("flow-run", "cancel", scheduled["id"])
    # Nothing runs it, so there is nobody to ask: it is cancelled at once or through Cancelling.
    assert runs.flow_run(scheduled["id"])["state"]["type"] in ("CANCELLED", "CANCELLING")
    output = prefect.cli("flow-run", "cancel", completed["id"], code=1)
    assert completed["id"] in output
    assert runs.flow_run(completed["id"])["state"]["type"] == "COMPLETED"
    prefect.cli("flow-run", "inspect", "00000000-0000-0000-0000-000000000000", code=1)


def test_deployment_reads(prefect: PrefectClient, deployment: Json) -> None:
    listed, inspected = together(
        prefect, ("deployment", "ls"), ("deployment", "inspect", "cli-flow/cli-dep", "--output", "json")
    )
    assert "cli-flow/cli-dep" in listed
    assert deployment["id"] in inspected
    assert POOL in inspected


def test_deployment_schedules(prefect: PrefectClient, runs: Runs, deployment: Json) -> None:
    name = "cli-flow/cli-dep"
    path = f"/deployments/{deployment['id']}/schedules"
    prefect.cli("deployment", "schedule", "create", name, "--cron", "0 5 * * *", "--timezone", "Europe/Berlin")
    (schedule,) = runs.get(path)
    assert schedule["schedule"]["cron"] == "0 5 * * *"
    assert schedule["schedule"]["timezone"] == "Europe/Berlin"
    assert schedule["active"] is True
    assert schedule["id"] in prefect.cli("deployment", "schedule", "ls", name)
    prefect.cli("deployment", "schedule", "pause", name, schedule["id"])
    assert runs.get(path)[0]["active"] is False
    prefect.cli("deployment", "schedule", "resume", name, schedule["id"])
    assert runs.get(path)[0]["active"] is True
    prefect.cli("deployment", "schedule", "delete", name, schedule["id"], "--accept-yes")
    assert runs.get(path) == []


def test_deployment_pause_and_resume(prefect: PrefectClient, runs: Runs, deployment: Json) -> None:
    path = f"/deployments/{deployment['id']}"
    # The CLI of 3.8.8 has no `deployment pause`, only that of schedules; the client's library has both.
    prefect.script("pause_deployment.py", deployment["id"], "pause")
    assert runs.get(path)["paused"] is True
    prefect.script("pause_deployment.py", deployment["id"], "resume")
    assert runs.get(path)["paused"] is False


def test_work_pool_reads(prefect: PrefectClient, pool: str) -> None:
    listed, inspected = together(prefect, ("work-pool", "ls"), ("work-pool", "inspect", pool))
    assert pool in listed
    assert "process" in listed
    assert pool in inspected
    assert "base_job_template" in inspected


def test_work_pool_pause_and_resume(prefect: PrefectClient, runs: Runs, pool: str) -> None:
    prefect.cli("work-pool", "pause", pool)
    assert runs.get(f"/work_pools/{pool}")["is_paused"] is True
    prefect.cli("work-pool", "resume", pool)
    assert runs.get(f"/work_pools/{pool}")["is_paused"] is False
