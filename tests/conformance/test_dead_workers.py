"""Real workers that are killed, or frozen and return, with a run in hand that has not started."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil  # type: ignore[import-untyped, unused-ignore]
import pytest

from tests.conftest import FLOWS
from tests.support.database import Database
from tests.support.prefect_env import PrefectClient
from tests.support.processes import ManagedProcess
from tests.support.runs import Runs, open_api
from tests.support.servers import SempreServer
from tests.support.wait import eventually

POOL = "dead-workers"
HASTY = {
    "SEMPRE_SERVER_SERVICES_ABANDONED_RUNS_LOOP_SECONDS": "0.5",
    "SEMPRE_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "0.5",
}
# Three of them may be missed.
BEATING = {"PREFECT_WORKER_HEARTBEAT_SECONDS": "2"}


@pytest.fixture(scope="module")
def server(database: Database, workdir: Path) -> Iterator[SempreServer]:
    solo = SempreServer(workdir / "dead-workers", database=database, env=HASTY)
    solo.start()
    yield solo
    solo.stop()


@pytest.fixture(scope="module")
def runs(server: SempreServer) -> Iterator[Runs]:
    with open_api(server.api_url) as api:
        yield Runs(api)


@pytest.fixture(scope="module")
def prefect(server: SempreServer) -> PrefectClient:
    client = PrefectClient(server.api_url, server.workdir, FLOWS)
    client.cli("work-pool", "create", POOL, "--type", "process")
    client.script("claimed.py", POOL)
    return client


class Workers:
    def __init__(self, prefect: PrefectClient, runs: Runs) -> None:
        self._prefect = prefect
        self._runs = runs
        self._started: list[ManagedProcess] = []

    def start(self, name: str) -> ManagedProcess:
        """A worker that is heard of."""
        process = self._prefect.start_cli("worker", "start", "--pool", POOL, "--name", name, env=BEATING)
        self._started.append(process)

        def online() -> bool:
            found = self._runs.post(f"/work_pools/{POOL}/workers/filter")
            return any(worker["name"] == name and worker["status"] == "ONLINE" for worker in found)

        process.wait_for(online, "is ONLINE at the server")
        return process

    def end(self) -> None:
        for process in self._started:
            signal_all(process, signal.SIGCONT)
            signal_all(process, signal.SIGKILL)
            process.terminate(5)


@pytest.fixture
def workers(prefect: PrefectClient, runs: Runs) -> Iterator[Workers]:
    started = Workers(prefect, runs)
    yield started
    started.end()


def signal_all(process: ManagedProcess, number: int) -> None:
    """As if it happened to the machine: the worker and everything that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        worker = psutil.Process(process.pid)
        for each in [worker, *worker.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(number)
    process.signal(number)


def asked_for(runs: Runs, witness: Path, linger: float = 0.0) -> str:
    deployment = runs.get("/deployments/name/witnessed/witnessed-dep")
    parameters = {"witness": str(witness), "linger": linger}
    body = {"state": {"type": "SCHEDULED"}, "parameters": parameters}
    return str(runs.post(f"/deployments/{deployment['id']}/create_flow_run", body)["id"])


def submitted(runs: Runs, run: str) -> None:
    """The worker has claimed the run and starts a process for it, which takes some seconds to come up."""

    def pid() -> bool:
        found = runs.flow_run(run)
        assert found["state"]["type"] in ("SCHEDULED", "PENDING"), "too late: the run has started"
        return bool(found["state"]["name"] == "Submitting" and found["infrastructure_pid"])

    eventually(pid, "the run is submitted", 60, 0.05)


def taken_back(runs: Runs, run: str) -> None:
    run_state = eventually(
        lambda: found if (found := runs.flow_run(run)["state"])["type"] == "SCHEDULED" else None, "taken back", 40
    )
    assert "is not heard of any more" in run_state["message"] or run_state["name"] == "Late"


def executions(witness: Path) -> int:
    return len(witness.read_text().split()) if witness.exists() else 0


def test_a_killed_workers_run_is_executed_by_the_next(runs: Runs, workers: Workers, tmp_path: Path) -> None:
    witness, name = tmp_path / "witness", f"killed-{uuid4().hex[:6]}"
    first = workers.start(name)
    run = asked_for(runs, witness)
    submitted(runs, run)
    signal_all(first, signal.SIGKILL)
    taken_back(runs, run)
    assert executions(witness) == 0
    workers.start(f"next-{uuid4().hex[:6]}")
    runs.wait_state(run, "COMPLETED", timeout=90)
    assert executions(witness) == 1


def test_a_worker_started_again_under_its_name_executes_it(runs: Runs, workers: Workers, tmp_path: Path) -> None:
    """It is heard of, but knows nothing of the run."""
    witness, name = tmp_path / "witness", f"again-{uuid4().hex[:6]}"
    first = workers.start(name)
    run = asked_for(runs, witness)
    submitted(runs, run)
    signal_all(first, signal.SIGKILL)
    second = workers.start(name)
    runs.wait_state(run, "COMPLETED", timeout=90)
    assert second.running()
    assert executions(witness) == 1
    assert runs.history(run).count("Submitting") == 2


@pytest.mark.parametrize("when", ["while it waits", "while another executes it", "afterwards"])
def test_a_frozen_worker_that_returns_does_not_execute_it_too(
    runs: Runs, workers: Workers, tmp_path: Path, when: str
) -> None:
    witness = tmp_path / "witness"
    first = workers.start(f"frozen-{uuid4().hex[:6]}")
    run = asked_for(runs, witness, linger=15.0 if when == "while another executes it" else 0.0)
    submitted(runs, run)
    signal_all(first, signal.SIGSTOP)
    frozen = psutil.Process(int(runs.flow_run(run)["infrastructure_pid"]))
    taken_back(runs, run)
    if when == "while it waits":
        signal_all(first, signal.SIGCONT)
        eventually(lambda: not frozen.is_running() or frozen.status() == "zombie", "its process ends", 60)
    else:
        workers.start(f"other-{uuid4().hex[:6]}")
        runs.wait_state(run, "RUNNING" if when == "while another executes it" else "COMPLETED", "COMPLETED", timeout=90)
        signal_all(first, signal.SIGCONT)
        eventually(lambda: not frozen.is_running() or frozen.status() == "zombie", "its process ends", 60)
    runs.wait_state(run, "COMPLETED", timeout=120)
    history = runs.history(run)
    assert executions(witness) == 1, history
    assert (history.count("Running"), history[-1]) == (1, "Completed"), history
