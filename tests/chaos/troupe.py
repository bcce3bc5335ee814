"""Our own process workers on one machine: they, their warm parents and the processes of their runs are killed alone and
together, and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped, unused-ignore]

from sempre.sdk.serving.claim_folder import ClaimFolder, ProcessNote
from tests.chaos.ledger import Entries, Ledger
from tests.support.database import Database
from tests.support.prefect_env import ROOT
from tests.support.processes import ManagedProcess
from tests.support.runs import open_api
from tests.support.servers import SEMPRE, Ensemble, sempre_environment
from tests.support.wait import eventually

POOL = "troupe"
FLOWS = Path(__file__).parent / "flows"
FAILING = ROOT / "tests" / "integration" / "workers" / "failing_worker.py"
ENDS = {"mapped": "COMPLETED", "retrying": "COMPLETED", "failing": "FAILED"}
"""How runs of each deployment end, whatever happens to them."""
SCHEDULED, PERIOD_SECONDS = "scheduled", 5

# In an installation these are minutes; here nobody has to wait so long to see what became of a run.
SERVERS = {
    "SEMPRE_SERVER_SERVICES_ABANDONED_RUNS_LOOP_SECONDS": "2",
    "SEMPRE_SERVER_SERVICES_ABANDONED_RUNS_LEFTOVER_SECONDS": "5",
}

_CRASHED = """
SELECT id::text FROM flow_run WHERE state_type = 'CRASHED' AND deployment_id IS NOT NULL ORDER BY state_timestamp
"""


@dataclass(frozen=True)
class Process:
    """The process of a run."""

    run: str
    note: ProcessNote

    @property
    def pid(self) -> int:
        assert self.note.pid is not None
        return self.note.pid


@dataclass
class Troupe:
    """Workers of one pool that share a home, as on one machine; and what is asked of them.

    Everything goes to `ledger`: `asked` run, ends; `killed` run, pid (before the kill); and what the flows note.
    """

    ensemble: Ensemble
    database: Database
    folder: Path
    workers: dict[str, ManagedProcess] = field(default_factory=dict)
    deployments: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.folder / "ledger.jsonl")
        self.home = self.folder / "machine"

    # --- work ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def api(self) -> Iterator[httpx.Client]:
        with open_api(self.ensemble.api_url) as api:
            yield api

    def prepare(self) -> None:
        """The pool, a deployment for each way to end, and one with a schedule."""
        with self.api() as api:
            offered = _answer(api.get("/collections/views/aggregate-worker-metadata"))
            template = offered["prefect"]["process"]["default_base_job_configuration"]
            _answer(api.post("/work_pools/", json={"name": POOL, "type": "process", "base_job_template": template}))
            for name in ENDS:
                self.deployments[name] = self._deploy(api, name, name)["id"]
            schedule = {"schedule": {"interval": PERIOD_SECONDS, "timezone": "UTC"}, "active": True, "slug": "s"}
            made = self._deploy(
                api, SCHEDULED, "mapped", schedules=[schedule], parameters={"rounds": 1, "pace": 0.1}
            )  # fmt: skip
        self.deployments[SCHEDULED] = made["id"]
        self.ledger.write("schedule", id=made["schedules"][0]["id"], seconds=PERIOD_SECONDS, deployment=SCHEDULED)

    def _deploy(self, api: httpx.Client, name: str, flow: str, **more: Any) -> Any:
        flow_id = _answer(api.post("/flows/", json={"name": f"chaos-worked-{flow}"}))["id"]
        body = {
            "name": name, "flow_id": flow_id, "work_pool_name": POOL, "entrypoint": f"worked.py:{flow}",
            "path": str(FLOWS), "enforce_parameter_schema": False, **more,
        }  # fmt: skip
        return _answer(api.post("/deployments/", json=body))

    def ask(self, deployment: str, rounds: int, pace: float = 0.2) -> str:
        """Ask for a run now, until there is an answer."""
        body = {
            "state": {"type": "SCHEDULED"}, "parameters": {"rounds": rounds, "pace": pace},
            "idempotency_key": uuid.uuid4().hex,
        }  # fmt: skip

        def asked() -> str | None:
            with contextlib.suppress(httpx.TransportError), self.api() as api:
                answer = api.post(f"/deployments/{self.deployments[deployment]}/create_flow_run", json=body)
                return str(answer.json()["id"]) if answer.is_success else None
            return None

        run = eventually(asked, f"a run of {deployment} is created", 60, 0.5)
        self.ledger.write("created", id=run)
        self.ledger.write("asked", run=run, deployment=deployment, ends=ENDS[deployment], rounds=rounds)
        return run

    def retry_crashed(self) -> None:
        """Have runs that crashed run again, as `flow-run retry` does. Nothing happens while the API is away."""
        crashed = [row["id"] for row in self.database.fetch(_CRASHED)]
        with contextlib.suppress(httpx.TransportError), self.api() as api:
            for run in crashed:
                body = {"state": {"type": "SCHEDULED", "name": "Scheduled"}, "force": False}
                if api.post(f"/flow_runs/{run}/set_state", json=body).is_success:
                    self.ledger.write("retried", run=run)

    def entries(self) -> Entries:
        return self.ledger.entries()

    # --- players ---------------------------------------------------------------------------------------

    def start(self, name: str, *, wait: bool = True) -> ManagedProcess:
        """`sempre worker start` under this name."""
        command = (*SEMPRE, "worker", "start", "--pool", POOL, "--type", "process", "--name", name, "--limit", "8")
        return self._started(name, command, wait)

    def start_failing(self, name: str, moment: str) -> ManagedProcess:
        """A worker of this name that is killed at a moment of its first run, see failing_worker.py."""
        return self._started(name, (sys.executable, str(FAILING), POOL, name, moment), wait=True)

    def _started(self, name: str, command: tuple[str, ...], wait: bool) -> ManagedProcess:
        own = {
            "SEMPRE_API_URL": self.ensemble.api_url,
            "SEMPRE_TEST_LEDGER": str(self.ledger.path),
            "SEMPRE_WORKER_QUERY_SECONDS": "5",
            "SEMPRE_WORKER_HEARTBEAT_SECONDS": "5",
            "SEMPRE_LOGGING_TO_API_BATCH_INTERVAL_SECONDS": "0.2",
        }
        env = sempre_environment(self.home, None, own)
        worker = ManagedProcess.start(f"worker-{name}", command, log_dir=self.folder, env=env, cwd=ROOT)
        self.workers[name] = worker
        if wait:
            self.serving(name)
        return worker

    def serving(self, name: str) -> None:
        worker = self.workers[name]
        worker.wait_for(lambda: "serves work pool" in worker.output(), "serves its pool", 120)

    def processes(self, worker: str | None = None) -> list[Process]:
        """The living processes of runs, of one worker or of all."""
        found = []
        for path in sorted(self.home.glob(f"workers/{POOL}/{worker or '*'}/*/*/process.json")):
            notes = ClaimFolder(path.parent)
            claim, note = notes.claim(), notes.process()
            if claim and note and note.lives():
                found.append(Process(claim.flow_run_id, note))
        return found

    # --- kills -----------------------------------------------------------------------------------------

    def kill_worker(self, name: str) -> None:
        """Only itself: what it started lives on."""
        self.ledger.write("killed worker", name=name)
        self.workers[name].kill()

    def kill_process(self, process: Process) -> None:
        self.ledger.write("killed", run=process.run, pid=process.pid)
        if process.note.lives():
            _kill(process.pid)

    def kill_parents(self, name: str) -> None:
        """The warm parent of a worker, and those of the dead ones before it."""
        for pid in {process.note.parent_pid for process in self.processes(name) if process.note.parent_lives()}:
            assert pid is not None
            self.ledger.write("killed parent", pid=pid)
            _kill(pid)

    def kill_machine(self, *names: str) -> None:
        """Workers, their parents and all that they run, as when a machine dies."""
        for name in names:
            self.kill_worker(name)
        for name in names:
            running = self.processes(name)
            self.kill_parents(name)
            for process in running:
                self.kill_process(process)
            for process in self.processes(name):  # begun by a parent a moment ago
                self.kill_process(process)

    def stop(self) -> None:
        """As an operator does; raises AssertionError if a worker does not end in order."""
        for worker in self.workers.values():
            worker.signal(signal.SIGTERM)
        codes = {name: worker.wait(180) for name, worker in self.workers.items()}
        assert set(codes.values()) == {0}, "\n".join([str(codes), self.tails()])

    def orphans(self) -> list[psutil.Process]:
        """Processes that workers or their runs left."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SEMPRE_TEST_LEDGER") == str(self.ledger.path):
                    found.append(process)
        return found

    def claims_noted(self) -> list[Path]:
        return list(self.home.glob("workers/**/claim.json"))

    def tails(self) -> str:
        return "\n".join(worker.tail(60) for worker in self.workers.values())

    def clear(self) -> None:
        """Nothing of it goes on."""
        for process in self.orphans():
            with contextlib.suppress(psutil.Error):
                process.kill()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _answer(response: httpx.Response) -> Any:
    assert response.is_success, f"{response.request.url}: {response.status_code} {response.text[:1000]}"
    return response.json()
