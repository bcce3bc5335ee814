"""The runner against a real server: runs of its deployments start when events tell of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.integration.workers.conftest import HERE, Stage, noted
from tests.support.prefect_env import ROOT
from tests.support.processes import ManagedProcess
from tests.support.wait import eventually

SCRIPT = """
import asyncio, sys
from sempre.sdk.loggers import setup
from sempre.sdk.serving.runner import Runner
setup()
if sys.argv[1] == "execute":
    sys.exit(asyncio.run(Runner("r").execute_flow_run(sys.argv[2])))
runner = Runner("r", query_seconds=600, limit=2)
from uuid import UUID
for id in sys.argv[2:]:
    runner.add_deployment(UUID(id))
asyncio.run(runner.start())
"""


def _deployment(stage: Stage, flow: str) -> str:
    flow_id = stage.runs.post("/flows/", {"name": flow})["id"]
    body = {
        "name": f"{flow}-{stage.pool}", "flow_id": flow_id, "entrypoint": f"flows.py:{flow}", "path": ".",
        "enforce_parameter_schema": False,
    }  # fmt: skip
    return str(stage.runs.post("/deployments/", body)["id"])


def _ask(stage: Stage, deployment: str, name: str) -> tuple[str, Path]:
    seen = stage.folder / name
    body = {"state": {"type": "SCHEDULED"}, "parameters": {"seen": str(seen)}}
    return str(stage.runs.post(f"/deployments/{deployment}/create_flow_run", body)["id"]), seen


def test_served_deployments(stage: Stage) -> None:
    quick, waiting, dying = (_deployment(stage, flow) for flow in ("quick", "waiting", "dying"))
    (stage.folder / "serve.py").write_text(SCRIPT)
    env = stage.env(PYTHONUNBUFFERED="1")
    command = (sys.executable, str(stage.folder / "serve.py"), "serve", quick, waiting, dying)
    runner = ManagedProcess.start("runner", command, log_dir=stage.folder, env=env, cwd=HERE)
    stage.workers.append(runner)
    first, seen = _ask(stage, quick, "first")
    stage.ended(first, "COMPLETED")
    second, seen = _ask(stage, quick, "second")
    stage.ended(second, "COMPLETED")
    assert stage.runs.history(second) == ["Scheduled", "Pending", "Submitting", "Running", "Completed"]
    assert len(noted(seen)) == 1
    crashed, _ = _ask(stage, dying, "crashed")
    assert "status code 3" in stage.ended(crashed, "CRASHED")["state"]["message"]

    cancelled, seen = _ask(stage, waiting, "cancelled")
    stage.began(seen)
    stage.runs.post(f"/flow_runs/{cancelled}/set_state", {"state": {"type": "CANCELLING"}})
    stage.ended(cancelled, "CANCELLED")
    assert stage.told_cancelled(cancelled)["resource"]["prefect.resource.name"] == "r"

    last, seen = _ask(stage, waiting, "last")
    stage.began(seen)
    os.kill(runner.popen.pid, signal.SIGTERM)
    eventually(lambda: stage.runs.get(f"/deployments/{quick}")["paused"], "the deployments are paused")
    seen.with_suffix(".go").touch()
    stage.ended(last, "COMPLETED")
    assert runner.popen.wait(30) == 0, runner.tail()


OWN = """
import sys
from flows import quick
from sempre.runner import Runner
if __name__ == "__main__":
    name, seen = sys.argv[1:]
    runner = Runner("own", query_seconds=600, prefetch_seconds=2, heartbeat_seconds=45)
    print(runner.add_flow(quick, name, parameters={"seen": seen}), flush=True)
    runner.add_deployment(quick.to_deployment(f"{name}-2", parameters={"seen": seen}))
    runner.start()
    print("over", flush=True)
"""


def test_a_runner_of_ones_own(stage: Stage) -> None:
    (stage.folder / "own.py").write_text(OWN)
    name, seen = f"own-{stage.pool}", stage.folder / "seen"
    env = stage.env(PYTHONUNBUFFERED="1", PYTHONPATH=os.pathsep.join((str(ROOT), str(HERE))))
    command = (sys.executable, str(stage.folder / "own.py"), name, str(seen))
    runner = ManagedProcess.start("own", command, log_dir=stage.folder, env=env, cwd=HERE)
    stage.workers.append(runner)

    def known() -> list[str]:
        found = stage.runs.post("/deployments/filter", {"deployments": {"name": {"any_": [name, f"{name}-2"]}}})
        return [each["id"] for each in found]

    runner.wait_for(lambda: len(known()) == 2, "has made both known")
    assert str(known()[0]) in runner.output() or str(known()[1]) in runner.output(), "the id is what it returns"
    runs = [str(stage.runs.post(f"/deployments/{id}/create_flow_run", {})["id"]) for id in known()]
    for run in runs:
        stage.ended(run, "COMPLETED")
    assert len(noted(seen)) == 2
    os.kill(runner.popen.pid, signal.SIGTERM)
    assert runner.popen.wait(30) == 0, runner.tail()
    assert "over" in runner.output()
    assert all(stage.runs.get(f"/deployments/{id}")["paused"] for id in known())


def test_one_run_is_executed(stage: Stage) -> None:
    (stage.folder / "serve.py").write_text(SCRIPT)
    run, seen = _ask(stage, _deployment(stage, "quick"), "seen")
    command = [sys.executable, str(stage.folder / "serve.py"), "execute", run]
    done = subprocess.run(command, env=stage.env(), cwd=HERE, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert stage.runs.flow_run(run)["state_type"] == "COMPLETED"
    assert len(noted(seen)) == 1
