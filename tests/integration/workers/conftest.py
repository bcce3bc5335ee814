"""A server, deployments of the flows beside this file, and workers as processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.prefect_env import ROOT
from tests.support.processes import ManagedProcess
from tests.support.runs import Runs, open_api
from tests.support.servers import SEMPRE, SempreServer, sempre_environment
from tests.support.wait import eventually

HERE = Path(__file__).parent


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SempreServer]:
    started = SempreServer(tmp_path_factory.mktemp("workers-server"))
    started.start()
    yield started
    started.stop()


@dataclass
class Stage:
    """A pool of its own, its deployments, and its workers."""

    runs: Runs
    folder: Path
    api_url: str
    pool: str = field(default_factory=lambda: f"pool-{uuid4().hex[:8]}")
    workers: list[ManagedProcess] = field(default_factory=list)

    # --- players ---------------------------------------------------------------------------------------

    def env(self, **more: str) -> dict[str, str]:
        own = {
            "SEMPRE_API_URL": self.api_url,
            # Only what the server tells is heard of in time.
            "SEMPRE_WORKER_QUERY_SECONDS": "600",
            "SEMPRE_WORKER_HEARTBEAT_SECONDS": "5",
            "SEMPRE_LOGGING_TO_API_BATCH_INTERVAL_SECONDS": "0.2",
        }
        return sempre_environment(self.folder / "home", None, {**own, **more})

    def start(self, *flags: str, name: str = "w", wait: bool = True, **env: str) -> ManagedProcess:
        """`sempre worker start` for this pool."""
        command = (*SEMPRE, "worker", "start", "--pool", self.pool, "--type", "process", "--name", name, *flags)
        return self._started(command, name, wait, env)

    def start_failing(self, moment: str, *, name: str = "w") -> ManagedProcess:
        """A worker that kills itself at a moment, see failing_worker.py."""
        command = (sys.executable, str(HERE / "failing_worker.py"), self.pool, name, moment)
        return self._started(command, f"{name}-{moment}", True, {})

    def _started(self, command: tuple[str, ...], label: str, wait: bool, env: dict[str, str]) -> ManagedProcess:
        worker = ManagedProcess.start(
            f"worker-{label}-{len(self.workers)}", command, log_dir=self.folder, env=self.env(**env), cwd=ROOT
        )
        self.workers.append(worker)
        if wait:
            worker.wait_for(lambda: "serves work pool" in worker.log.read_text(), "serves its pool", 60)
        return worker

    # --- work ------------------------------------------------------------------------------------------

    def make_pool(self) -> None:
        offered = self.runs.get("/collections/views/aggregate-worker-metadata")
        template = offered["prefect"]["process"]["default_base_job_configuration"]
        self.runs.post("/work_pools/", {"name": self.pool, "type": "process", "base_job_template": template})

    def ask(self, flow: str, **job_variables: Any) -> tuple[str, Path]:
        """Ask for a run of a flow now; its id, and the file in which it notes that it ran."""
        deployment = self.deploy(flow)
        seen = self.folder / f"seen-{uuid4().hex[:8]}"
        body = {"state": {"type": "SCHEDULED"}, "parameters": {"seen": str(seen)}, "job_variables": job_variables}
        run = self.runs.post(f"/deployments/{deployment}/create_flow_run", body)
        return str(run["id"]), seen

    def deploy(self, flow: str) -> str:
        """The id of a flow's deployment in this pool."""
        flow_id = self.runs.post("/flows/", {"name": flow})["id"]
        deployment = self.runs.post(
            "/deployments/",
            {
                "name": f"{flow}-{self.pool}", "flow_id": flow_id, "work_pool_name": self.pool,
                "entrypoint": f"flows.py:{flow}", "path": str(HERE), "enforce_parameter_schema": False,
            },
        )  # fmt: skip
        return str(deployment["id"])

    def began(self, seen: Path) -> int:
        """Wait until a run notes that it runs; its pid."""
        return int(eventually(lambda: noted(seen), f"a run notes itself in {seen}", 60, detail=self.logs)[0])

    def told_cancelled(self, run_id: str) -> dict[str, Any]:
        """Wait for the event that the cancelled run is over; there is one."""
        name, run = "prefect.runner.cancelled-flow-run", f"prefect.flow-run.{run_id}"
        wanted = {"filter": {"event": {"name": [name]}, "related": {"id": [run]}}}
        found = eventually(lambda: self.runs.post("/events/filter", wanted)["events"], f"{name} of {run_id}")
        assert len(found) == 1, found
        return dict(found[0])

    def logs(self) -> str:
        return "\n".join(f"--- {worker.name}\n{worker.tail()}" for worker in self.workers)

    def ended(self, run_id: str, *expected: str, timeout: float = 60) -> dict[str, Any]:
        try:
            return self.runs.wait_state(run_id, *expected, timeout=timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from error


def noted(seen: Path) -> list[str]:
    """The pids of the processes that executed a run."""
    return seen.read_text().split() if seen.exists() else []


@pytest.fixture
def stage(server: SempreServer, tmp_path: Path) -> Iterator[Stage]:
    with open_api(server.api_url) as api:
        made = Stage(Runs(api), tmp_path, server.api_url)
        made.make_pool()
        yield made
        for worker in made.workers:
            worker.kill()
