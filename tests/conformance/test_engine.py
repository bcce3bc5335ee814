"""What the engine does in one process, seen from the API afterwards."""

from __future__ import annotations

import httpx
import pytest

from tests.conformance import facts
from tests.conformance.facts import Facts
from tests.support.prefect_env import PrefectClient
from tests.support.runs import Runs
from tests.support.wait import eventually

STRAIGHT = ["Pending", "Running", "Completed"]


@pytest.fixture(scope="module")
def reports(prefect: PrefectClient) -> dict[str, Facts]:
    return facts.parse(prefect.script("engine.py", timeout=180))


def test_hello_flow(reports: dict[str, Facts], runs: Runs) -> None:
    hello = facts.of(reports, "hello")
    assert hello["result"] == "hello Ada"
    run = runs.flow_run(hello["flow_run_id"])
    assert run["state"]["type"] == "COMPLETED"
    assert run["parameters"] == {"name": "Ada"}
    assert run["run_count"] == 1
    assert run["start_time"] <= run["end_time"]
    assert runs.history(run["id"]) == STRAIGHT
    assert runs.get(f"/flows/{run['flow_id']}")["name"] == "hello"


def test_logs_of_a_flow_arrive(reports: dict[str, Facts], runs: Runs) -> None:
    run_id = facts.of(reports, "hello")["flow_run_id"]
    messages = eventually(lambda: runs.logs(run_id), "logs of hello")
    assert "logger says hello Ada" in messages
    assert "printed hello Ada" in messages
    assert "Finished in state Completed()" in messages


def test_200_submitted_tasks_are_recorded_once_each(reports: dict[str, Facts], runs: Runs) -> None:
    submitted = facts.of(reports, "submitted")
    assert submitted["result"] == 39800
    tasks = runs.wait_task_runs(submitted["flow_run_id"], 200)
    assert {task["state"]["type"] for task in tasks} == {"COMPLETED"}
    assert len({task["id"] for task in tasks}) == 200
    assert {task["run_count"] for task in tasks} == {1}


def test_every_task_run_has_its_whole_history(reports: dict[str, Facts], runs: Runs) -> None:
    tasks = runs.wait_task_runs(facts.of(reports, "submitted")["flow_run_id"], 200)
    for task in tasks[::40]:
        assert runs.task_history(task["id"]) == STRAIGHT


def test_mapped_tasks(reports: dict[str, Facts], runs: Runs) -> None:
    mapped = facts.of(reports, "mapped")
    assert mapped["result"] == 570
    tasks = runs.wait_task_runs(mapped["flow_run_id"], 21)
    items = [task for task in tasks if "mapped" in task["tags"]]
    assert sorted(task["name"] for task in items) == sorted(f"item-{number}" for number in range(20))
    (reducing,) = [task for task in tasks if "mapped" not in task["tags"]]
    upstream = {source["id"] for source in reducing["task_inputs"]["numbers"]}
    assert upstream == {task["id"] for task in items}


def test_task_retries_with_delay(reports: dict[str, Facts], runs: Runs) -> None:
    run_id = facts.of(reports, "task_retries")["flow_run_id"]
    assert runs.flow_run(run_id)["state"]["message"] == "Completed Failed"
    tasks = {task["name"].partition("-")[0]: task for task in runs.wait_task_runs(run_id, 2)}
    assert tasks["third_time_lucky"]["run_count"] == 3
    assert runs.task_history(tasks["third_time_lucky"]["id"]) == [
        "Pending", "Running", "AwaitingRetry", "Retrying", "AwaitingRetry", "Retrying", "Completed",
    ]  # fmt: skip
    unlucky = runs.task_history(tasks["never_lucky"]["id"])
    assert unlucky == ["Pending", "Running", "AwaitingRetry", "Retrying", "Failed"]


def test_flow_retries_with_delay(reports: dict[str, Facts], runs: Runs) -> None:
    retried = facts.of(reports, "flow_retries")
    assert retried["result"] == 3
    assert retried["seconds"] >= 2, "two delays of a second each"
    run = runs.flow_run(retried["flow_run_id"])
    assert run["run_count"] == 3
    assert runs.history(run["id"]) == [
        "Pending", "Running", "AwaitingRetry", "Running", "AwaitingRetry", "Running", "Completed",
    ]  # fmt: skip


def test_nested_subflows(reports: dict[str, Facts], runs: Runs) -> None:
    nested = facts.of(reports, "nested")
    assert nested["message"] == "2 Failed"
    trackers = runs.wait_task_runs(nested["flow_run_id"], 2)
    children = runs.flow_runs(parent_task_run_id={"any_": [task["id"] for task in trackers]})
    assert sorted(child["state"]["type"] for child in children) == ["COMPLETED", "FAILED"]
    kinds = {task["id"]: task["state"]["type"] for task in trackers}
    for child in children:
        assert kinds[child["parent_task_run_id"]] == child["state"]["type"], "the tracking task run follows its child"
    assert {task["state"]["state_details"]["child_flow_run_id"] for task in trackers} == {run["id"] for run in children}


def test_gathered_async_subflows(reports: dict[str, Facts], runs: Runs) -> None:
    parent = facts.of(reports, "nested")["async_id"]
    trackers = runs.wait_task_runs(parent, 2)
    assert [task["state"]["type"] for task in trackers] == ["COMPLETED"] * 2
    assert len(runs.flow_runs(parent_flow_run_id={"any_": [parent]})) == 2


@pytest.mark.parametrize(
    ("name", "history", "message"),
    [
        ("raises", ["Pending", "Running", "Failed"], "broken on purpose"),
        ("returns", ["Pending", "Running", "Failed"], "declared failed"),
        ("invalid", ["Pending", "Failed"], "Validation"),
        ("named", ["Pending", "Running", "Polished"], "custom name"),
    ],
)
def test_ends_of_flows(reports: dict[str, Facts], runs: Runs, name: str, history: list[str], message: str) -> None:
    run = runs.flow_run(facts.of(reports, "failures")[name])
    assert runs.history(run["id"]) == history
    assert message in run["state"]["message"]


def test_crashing_flow(reports: dict[str, Facts], runs: Runs) -> None:
    crash = facts.of(reports, "crash")
    assert crash["raised"] == "SystemExit"
    run = runs.flow_run(crash["flow_run_id"])
    assert run["state"]["type"] == "CRASHED"
    assert runs.history(run["id"]) == ["Pending", "Running", "Crashed"]


def test_timeouts(reports: dict[str, Facts], runs: Runs) -> None:
    timeouts = facts.of(reports, "timeouts")
    assert timeouts["message"] == "TimedOut"
    (task,) = runs.wait_task_runs(timeouts["state"] and timeouts["flow_run_id"], 1)
    assert (task["state"]["type"], task["state"]["name"]) == ("FAILED", "TimedOut")
    assert runs.history(timeouts["flow_timeout"]) == ["Pending", "Running", "TimedOut"]


def test_no_run_is_left_open(reports: dict[str, Facts], api: httpx.Client, runs: Runs) -> None:
    assert reports
    open_types = ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"]
    assert runs.flow_runs(state={"type": {"any_": open_types}}) == []
