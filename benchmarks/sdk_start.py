"""From "run this deployment" to Running, on an idle process worker: seconds by the server's clock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from tests.support.processes import ManagedProcess
from tests.support.runs import checked
from tests.support.wait import eventually

FLOW = """
from {package} import flow

@flow
def nothing():
    pass
"""


class IdleWorker:
    """A worker of one package on a pool of its own, with a deployment that it can run."""

    def __init__(
        self, name: str, python: str, package: str, environment: Mapping[str, str], folder: Path, api_url: str
    ) -> None:
        self.api = httpx.Client(base_url=api_url, timeout=30)
        self.pool = f"bench-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "flows.py").write_text(FLOW.format(package=package))
        self._post("/work_pools/", {"name": self.pool, "type": "process"})
        body = {
            "name": self.pool,
            "flow_id": self._post("/flows/", {"name": "nothing"})["id"],
            "entrypoint": "flows.py:nothing",
            "path": str(folder),
            "work_pool_name": self.pool,
        }
        self.deployment = self._post("/deployments/", body)["id"]
        argv = [python, "-m", package, "worker", "start", "--pool", self.pool, "--type", "process"]
        self.process = ManagedProcess.start(f"worker-{name}", argv, log_dir=folder, env=environment, cwd=folder)
        self.process.wait_for(self._is_online, "the worker comes online", 90)

    def seconds_to_running(self, rest: float) -> float:
        """Ask for one run and wait until it has ended. ``rest``: seconds of quiet before, so that no poll is near."""
        time.sleep(rest)
        run = self._post(f"/deployments/{self.deployment}/create_flow_run", {})
        path = f"/flow_runs/{run['id']}"
        eventually(lambda: self._get(path)["state_type"] == "COMPLETED", "the run completes", 120, 0.2)
        states = {
            state["type"]: state["timestamp"] for state in self._get(f"/flow_run_states/?flow_run_id={run['id']}")
        }
        began, running = (datetime.fromisoformat(at) for at in (run["created"], states["RUNNING"]))
        return (running - began).total_seconds()

    def stop(self) -> None:
        self.process.terminate(20)
        self.api.close()

    def _is_online(self) -> bool:
        workers = self._post(f"/work_pools/{self.pool}/workers/filter", {})
        return any(worker["status"] == "ONLINE" for worker in workers)

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return checked(self.api.post(path, json=body))

    def _get(self, path: str) -> Any:
        return checked(self.api.get(path))


def at_rest(number: int) -> float:
    """Seconds to wait before a run: somewhere within the default interval of polls, another place each time."""
    return 1.0 + (number * 3.7) % 10.0
