"""Deployments on a process work pool, run by the real worker."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from tests.conformance import facts
from tests.support.prefect_env import PrefectClient, finish
from tests.support.processes import ManagedProcess
from tests.support.runs import Json, Runs
from tests.support.wait import eventually

POOL = "conformance-pool"


@pytest.fixture(scope="module")
def worker(prefect: PrefectClient, runs: Runs) -> Iterator[ManagedProcess]:
    """Work pool and deployments made by the client, and a running worker."""
    prefect.cli("work-pool", "create", POOL, "--type", "process")
    prefect.script("deploy.py", POOL)
    process = prefect.start_cli("worker", "start", "--pool", POOL, "--name", "conformance-worker")

    def online() -> bool:
        found = runs.post(f"/work_pools/{POOL}/workers/filter")
        return [(worker["name"], worker["status"]) for worker in found] == [("conformance-worker", "ONLINE")]

    process.wait_for(online, "is ONLINE at the server")
    yield process
    process.terminate(15)


def create_run(runs: Runs, flow: str, **parameters: object) -> str:
    """Ask for a run of a deployment now; returns its id."""
    deployment: Json = runs.get(f"/deployments/name/{flow}/{flow}-dep")
    body = {"state": {"type": "SCHEDULED"}, "parameters": parameters}
    run: Json = runs.post(f"/deployments/{deployment['id']}/create_flow_run", body)
    return str(run["id"])


def test_deploy_writes_what_the_worker_needs(worker: ManagedProcess, runs: Runs) -> None:
    assert worker.running()
    deployment = runs.get("/deployments/name/quick/quick-dep")
    assert deployment["work_pool_name"] == POOL
    assert deployment["work_queue_name"] == "default"
    assert deployment["entrypoint"] == "deployed.py:quick"
    assert deployment["pull_steps"]
    assert deployment["tags"] == ["conformance"]
    assert runs.get(f"/work_pools/{POOL}")["status"] == "READY"


def test_run_deployment(worker: ManagedProcess, prefect: PrefectClient, runs: Runs) -> None:
    reports = facts.parse(prefect.script("run_deployments.py", timeout=180))
    waited = facts.of(reports, "waiting")
    assert waited["state"] == "Completed"
    run = runs.flow_run(waited["flow_run_id"])
    assert run["parameters"] == {"x": 5}
    assert run["work_queue_name"] == "default"
    assert runs.history(run["id"]) == ["Scheduled", "Pending", "Submitting", "Running", "Completed"], worker.tail()
    (task,) = runs.wait_task_runs(run["id"], 1)
    assert task["state"]["type"] == "COMPLETED"
    once = facts.of(reports, "idempotent")
    assert once["first"] == once["second"], "one run for one idempotency key"
    runs.wait_state(once["first"], "COMPLETED")
    called = facts.of(reports, "as_subflow")
    assert called["state"] == "Completed"
    child = runs.flow_run(called["child"])
    (tracker,) = runs.wait_task_runs(called["flow_run_id"], 1)
    assert child["parent_task_run_id"] == tracker["id"]
    assert tracker["state"]["type"] == "COMPLETED"


def test_deployment_run_watch(worker: ManagedProcess, prefect: PrefectClient, request: pytest.FixtureRequest) -> None:
    assert worker.running()
    command = ("deployment", "run", "quick/quick-dep", "--param", "x=41", "--param", "linger=3")
    output = prefect.cli(*command, "--watch", "--watch-interval", "1")
    assert "prefect.flow-run.Running" in output
    assert "Completed" in output
    # The reference publishes no live logs by default.
    live_logs = request.config.getoption("--topology") != "reference"
    assert "quick got 41" in output or not live_logs, "the watcher shows the run's log live"


def test_cancelling_a_running_run(worker: ManagedProcess, prefect: PrefectClient, runs: Runs) -> None:
    run_id = create_run(runs, "endless")
    runs.wait_state(run_id, "RUNNING")
    assert runs.flow_run(run_id)["infrastructure_pid"]
    prefect.cli("flow-run", "cancel", run_id)
    runs.wait_state(run_id, "CANCELLED", timeout=60)
    assert runs.history(run_id)[-3:] == ["Running", "Cancelling", "Cancelled"]
    eventually(lambda: f"cancellation hook of {run_id}" in worker.output(), "the cancellation hook ran")


def test_suspend_with_input_and_resume(worker: ManagedProcess, prefect: PrefectClient, runs: Runs) -> None:
    run_id = create_run(runs, "suspending")
    runs.wait_state(run_id, "Suspended")
    # The process must have ended before the resume, or it would go on in the same one.
    eventually(
        lambda: f"Execution of flow run '{run_id}' is paused" in worker.output(),
        "the suspended process ends",
        20,
        detail=lambda: worker.tail(15),
    )
    prefect.script("resume.py", run_id, json.dumps({"approved": True}))
    runs.wait_state(run_id, "COMPLETED", timeout=60)
    run = runs.flow_run(run_id)
    assert run["run_count"] == 1, "going on after a suspension is no retry"
    history = runs.history(run_id)
    assert (history.count("Suspended"), history.count("Running")) == (1, 2)
    assert history[-1] == "Completed"
    eventually(lambda: "approved True" in runs.logs(run_id), "the resumed run read its input")


def test_a_dying_process_is_crashed(worker: ManagedProcess, runs: Runs) -> None:
    run_id = create_run(runs, "dying")
    run = runs.wait_state(run_id, "CRASHED")
    assert "3" in run["state"]["message"]
    assert runs.history(run_id)[-2:] == ["Running", "Crashed"]


def test_two_workers_start_each_run_once(worker: ManagedProcess, prefect: PrefectClient, runs: Runs) -> None:
    second = prefect.start_cli("worker", "start", "--pool", POOL, "--name", "second-worker")
    try:
        ids = [create_run(runs, "quick", x=number) for number in range(4)]
        for run_id in ids:
            runs.wait_state(run_id, "COMPLETED", timeout=90)
            history = runs.history(run_id)
            assert history.count("Running") == 1
            assert history.count("Completed") == 1
    finally:
        second.terminate(15)


def test_worker_ends_on_sigterm(worker: ManagedProcess, runs: Runs) -> None:
    """Last: it ends the worker."""
    worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert runs.flow_runs(state={"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}) == []


def test_run_once_worker(prefect: PrefectClient, runs: Runs) -> None:
    run_id = create_run(runs, "quick", x=2)
    finish(prefect.start_cli("worker", "start", "--pool", POOL, "--run-once"), 90)
    assert runs.flow_run(run_id)["state"]["type"] == "COMPLETED"
