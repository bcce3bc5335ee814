"""Commands that run something: flow serve, flow-run execute and retry, task serve, shell watch, worker start."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.prefect_env import PrefectClient, finish
from tests.support.processes import ManagedProcess
from tests.support.runs import Json, Runs
from tests.support.wait import eventually
from tests.support.warm_cli import WarmCli

SOURCE = """
import sys
from prefect import flow, task


@flow(name="run-by-cli")
def main(n: int = 1):
    return n


@task
def double(n: int):
    return 2 * n


if __name__ == "__main__":
    double.delay(4)
"""


@pytest.fixture(scope="module", autouse=True)
def source(project: Path) -> Path:
    path = project / "running.py"
    path.write_text(SOURCE)
    return path


def deployment(runs: Runs, name: str) -> Json:
    found: Json = runs.get(f"/deployments/name/run-by-cli/{name}")
    return found


def test_flow_serve(cli: WarmCli, prefect: PrefectClient, runs: Runs, source: Path) -> None:
    served = prefect.start_cli(
        "flow", "serve", f"{source}:main", "--name", "served", "--interval", "3600", "--tag", "t", "--limit", "2"
    )
    try:
        served.wait_for(lambda: runs.post("/deployments/count"), "registers its deployment")
        made = deployment(runs, "served")
        assert (made["tags"], made["schedules"][0]["schedule"]["interval"]) == (["t"], 3600.0)
        watched = cli("deployment", "run", "run-by-cli/served", "-p", "n=3", "--watch", "--watch-interval", "1")
        assert "Completed" in watched
    finally:
        served.interrupt()
    assert deployment(runs, "served")["paused"] is True, "a served flow that ends pauses"


def test_execute_and_retry(cli: WarmCli, runs: Runs, source: Path, nobody: str) -> None:
    flow = runs.post("/flows/", {"name": "run-by-cli"})
    fields = {"entrypoint": f"{source.name}:main", "path": str(source.parent), "parameters": {}}
    made = runs.post("/deployments/", {"name": "executed", "flow_id": flow["id"], **fields})
    run = runs.post(f"/deployments/{made['id']}/create_flow_run", {"parameters": {"n": 2}})
    cli("flow-run", "execute", run["id"])
    assert runs.history(run["id"])[-1] == "Completed"
    cli.stumbles("flow-run", "execute", nobody)
    failed = runs.post("/flow_runs/", {"flow_id": flow["id"], "parameters": {"n": 5}, "state": {"type": "PENDING"}})
    for kind in ("RUNNING", "FAILED"):
        runs.post(f"/flow_runs/{failed['id']}/set_state", {"state": {"type": kind}})
    assert "entrypoint" in cli.fails("flow-run", "retry", failed["id"])
    cli("flow-run", "retry", failed["id"], "--entrypoint", f"{source}:main")
    again = runs.flow_run(failed["id"])
    assert again["state"]["type"] == "COMPLETED"
    assert runs.history(failed["id"]).count("Failed") == 1


def test_task_serve(prefect: PrefectClient, runs: Runs, source: Path) -> None:
    worker = prefect.start_cli("task", "serve", f"{source}:double")
    submitter = ManagedProcess.start(
        "submitter", [prefect.python, source], log_dir=prefect.workdir, env=prefect.environment()
    )
    try:
        finish(submitter, 60)

        def ended() -> bool:
            found = runs.post("/task_runs/filter", {"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
            return [item["name"].startswith("double") for item in found] == [True]

        eventually(ended, "the delayed task run completes", timeout=60)
    finally:
        worker.terminate(5)


def test_shell_watch(cli: WarmCli, runs: Runs) -> None:
    cli("shell", "watch", "echo said-by-the-shell", "--flow-run-name", "shelled", "--tag", "s")
    (run,) = runs.flow_runs(name={"any_": ["shelled"]})
    assert (run["state"]["type"], "s" in run["tags"]) == ("COMPLETED", True)
    eventually(lambda: any("said-by-the-shell" in line for line in runs.logs(run["id"])), "its output is logged")


def test_worker_start(cli: WarmCli, prefect: PrefectClient, runs: Runs) -> None:
    """A pool that is not there is made by the worker that wants it."""
    options = ("--pool", "made-by-worker", "--type", "process", "--install-policy", "never", "--run-once")
    finish(prefect.start_cli("worker", "start", *options, "--name", "w1", "--limit", "1"), 90)
    assert runs.get("/work_pools/made-by-worker")["type"] == "process"
    workers = runs.post("/work_pools/made-by-worker/workers/filter")
    assert [worker["name"] for worker in workers] == ["w1"]
    cli.fails(
        "worker", "start", "--pool", "unknown-type", "--type", "nosuch", "--install-policy", "never", "--run-once"
    )
