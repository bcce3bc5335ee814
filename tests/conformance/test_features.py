"""Results and caching, transactions, variables, limits, pauses: one process of the client for each group."""

from __future__ import annotations

import httpx
import pytest

from tests.conformance import facts
from tests.conformance.facts import Facts
from tests.support.prefect_env import PrefectClient
from tests.support.runs import Runs, checked
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def reports(prefect: PrefectClient, api: httpx.Client) -> dict[str, Facts]:
    checked(api.post("/v2/concurrency_limits/", json={"name": "conformance-gcl", "limit": 2}))
    slow = {"name": "conformance-rate", "limit": 1, "slot_decay_per_second": 2.0}
    checked(api.post("/v2/concurrency_limits/", json=slow))
    checked(api.post("/concurrency_limits/", json={"tag": "conformance-tag", "concurrency_limit": 1}))
    pausing = prefect.start_script("pausing.py")
    reports = facts.parse(prefect.script("features.py", timeout=180))
    pausing.wait(120)
    return {**reports, **facts.parse(pausing.output())}


def test_persisted_results_and_caching(reports: dict[str, Facts], runs: Runs) -> None:
    caching = facts.of(reports, "caching")
    assert caching["result"] == [49, 49, 64]
    assert caching["computed"] == [7, 8], "each input is computed once, over two runs"
    first = runs.wait_task_runs(caching["flow_run_id"], 3)
    second = runs.wait_task_runs(caching["second"], 3)
    assert sorted(task["state"]["name"] for task in first) == ["Cached", "Completed", "Completed"]
    assert [task["state"]["name"] for task in second] == ["Cached"] * 3
    assert {task["state"]["type"] for task in [*first, *second]} == {"COMPLETED"}
    data = runs.flow_run(caching["flow_run_id"])["state"]["data"]
    assert data["storage_key"], "the state points to the persisted result"


def test_transactions(reports: dict[str, Facts], runs: Runs) -> None:
    transactions = facts.of(reports, "transactions")
    assert transactions["kept"] == ["write"]
    assert transactions["undone"] == ["write"]
    runs.wait_task_runs(transactions["flow_run_id"], 2)

    def names() -> bool:
        return sorted(task["state"]["name"] for task in runs.task_runs(transactions["flow_run_id"])) == [
            "Completed",
            "RolledBack",
        ]

    eventually(names, "one task run completed, one rolled back")


def test_variables(reports: dict[str, Facts], api: httpx.Client, runs: Runs) -> None:
    variables = facts.of(reports, "variables")
    assert (variables["first"], variables["second"]) == (42, {"deep": [1, 2]})
    assert (variables["missing"], variables["unset"]) == ("fallback", True)
    assert runs.get("/variables/name/conformance_answer")["value"] == {"deep": [1, 2]}
    assert api.get("/variables/name/conformance_gone").status_code == 404


def test_global_concurrency_with_leases(reports: dict[str, Facts], runs: Runs) -> None:
    limited = facts.of(reports, "global_concurrency")
    assert limited["state"] == "Completed"
    assert limited["most"] == 2
    assert runs.get("/v2/concurrency_limits/conformance-gcl")["active_slots"] == 0


def test_rate_limit(reports: dict[str, Facts]) -> None:
    limited = facts.of(reports, "rate_limit")
    assert limited["seconds"] >= 1, "four slots of a limit of one that frees two per second"


def test_tag_limit(reports: dict[str, Facts], runs: Runs) -> None:
    limited = facts.of(reports, "tag_limit")
    assert limited["most"] == 1
    tasks = runs.wait_task_runs(limited["flow_run_id"], 3)
    assert {task["state"]["type"] for task in tasks} == {"COMPLETED"}
    assert runs.get("/concurrency_limits/tag/conformance-tag")["active_slots"] == []


def test_pause_with_input_and_resume(reports: dict[str, Facts], runs: Runs) -> None:
    pausing = facts.of(reports, "pausing")
    assert pausing["result"] == "Grace is 40"
    expected = ["Pending", "Running", "Paused", "Running", "Paused", "Running", "Completed"]
    assert runs.history(pausing["flow_run_id"]) == expected


def test_pause_that_nobody_resumes_fails(reports: dict[str, Facts], runs: Runs) -> None:
    timed_out = facts.of(reports, "pause_timeout")
    assert timed_out["state"] == "Failed"
    # The client gives up by itself, and the server's sweep may have failed the run a moment before.
    history = runs.history(timed_out["flow_run_id"])
    assert history[:4] == ["Pending", "Running", "Paused", "Failed"]
    assert set(history[4:]) <= {"Failed"}
