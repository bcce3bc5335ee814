"""Background tasks: submitters and task workers that may be connected to different servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance import facts
from tests.support.database import Database
from tests.support.prefect_env import PrefectClient, finish
from tests.support.processes import ManagedProcess
from tests.support.runs import Json, Runs, open_api
from tests.support.servers import SempreServer
from tests.support.wait import eventually

COUNT = 6


@pytest.fixture(scope="module")
def second_server(
    request: pytest.FixtureRequest, prefect: PrefectClient, server: SempreServer, database: Database
) -> Iterator[SempreServer]:
    other = SempreServer(server.workdir, database=database, services=False, name="second")
    other.start()
    yield other
    other.stop()


@pytest.fixture(scope="module")
def worker(prefect: PrefectClient) -> Iterator[ManagedProcess]:
    process = prefect.start_script("background.py", "serve")
    yield process
    process.terminate(5)


def check_completed(runs: Runs, task_run_ids: list[str]) -> None:
    """Each delayed task run ended once, in the order of states of its life."""

    def ended() -> bool:
        found: list[Json] = runs.post("/task_runs/filter", {"task_runs": {"id": {"any_": task_run_ids}}})
        return sorted(run["id"] for run in found if run["state"]["type"] == "COMPLETED") == sorted(task_run_ids)

    eventually(ended, f"{len(task_run_ids)} completed background task runs")
    for task_run_id in task_run_ids:
        names = runs.task_history(task_run_id)
        assert names[0] == "Scheduled"
        assert names[-1] == "Completed"
        assert names.count("Running") == 1, f"executed more than once: {names}"
        assert names.count("Completed") == 1, f"completed more than once: {names}"


def test_delayed_tasks_are_run_by_a_task_worker(prefect: PrefectClient, worker: ManagedProcess, runs: Runs) -> None:
    report = facts.of(facts.parse(prefect.script("background.py", "submit", str(COUNT))), "submit")
    assert report["squares"] == [number * number for number in range(COUNT)]
    assert report["pids"] == [worker.pid]
    check_completed(runs, report["task_run_ids"])
    retried = runs.task_history(report["task_run_ids"][3])
    assert "AwaitingRetry" in retried
    assert "Retrying" in retried


def test_two_api_servers_share_the_work(
    request: pytest.FixtureRequest, prefect: PrefectClient, worker: ManagedProcess, runs: Runs
) -> None:
    """Tasks delayed at one API server reach task workers connected to another one."""
    if request.config.getoption("--topology") != "solo":
        pytest.skip("in an ensemble the proxy spreads submitters and workers already; the reference has no such mode")
    other: SempreServer = request.getfixturevalue("second_server")
    assert worker.running()
    submit = prefect.start_script("background.py", "submit", str(COUNT), env={"PREFECT_API_URL": other.api_url})
    report = facts.of(facts.parse(finish(submit, 120)), "submit")
    assert report["squares"] == [number * number for number in range(COUNT)]
    assert report["pids"] == [worker.pid]
    with open_api(other.api_url) as other_api:
        check_completed(Runs(other_api), report["task_run_ids"])
