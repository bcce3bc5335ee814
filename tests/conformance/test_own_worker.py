"""Our own process worker runs flows of the stock client: deployed by it, executed by it, as the pool's command says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.support.prefect_env import ROOT, PrefectClient
from tests.support.processes import ManagedProcess
from tests.support.runs import Runs
from tests.support.servers import SEMPRE
from tests.support.wait import eventually

POOL = "own-worker-pool"


def test_stock_flows_run_under_our_worker(prefect: PrefectClient, runs: Runs, workdir: Path) -> None:
    assert sys.executable != str(prefect.python)
    template = runs.get("/collections/views/aggregate-worker-metadata")["prefect"]["process"]
    template = template["default_base_job_configuration"]
    command = f"{prefect.python} -m prefect flow-run execute"
    template["variables"]["properties"]["command"]["default"] = command
    runs.post("/work_pools/", {"name": POOL, "type": "process", "base_job_template": template})
    prefect.script("deploy.py", POOL)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SEMPRE_"))}
    env = {
        **kept, "PYTHONPATH": str(ROOT), "SEMPRE_API_URL": prefect.api_url, "SEMPRE_HOME": str(workdir / "own"),
    }  # fmt: skip
    command_line = (*SEMPRE, "worker", "start", "--pool", POOL, "--name", "own")
    worker = ManagedProcess.start("own-worker", command_line, log_dir=workdir, env=env, cwd=workdir)
    try:
        completed, cancelled = (_ask(runs, flow) for flow in ("quick", "endless"))
        runs.wait_state(completed, "COMPLETED", timeout=90)
        assert runs.history(completed) == ["Scheduled", "Pending", "Submitting", "Running", "Completed"], worker.tail()
        runs.wait_state(cancelled, "RUNNING", timeout=90)
        runs.post(f"/flow_runs/{cancelled}/set_state", {"state": {"type": "CANCELLING"}})
        runs.wait_state(cancelled, "CANCELLED", timeout=90)
        eventually(lambda: "cancellation hook of" in worker.log.read_text(), "the hook ran", 30, detail=worker.tail)
    finally:
        worker.terminate(30)


def _ask(runs: Runs, flow: str) -> str:
    deployment = runs.get(f"/deployments/name/{flow}/{flow}-dep")
    body = {"state": {"type": "SCHEDULED"}}
    return str(runs.post(f"/deployments/{deployment['id']}/create_flow_run", body)["id"])
