"""`prefect flow-run` and `prefect task-run`: what is not in test_cli_reads.py."""

from __future__ import annotations

import httpx
import pytest

from tests.support.runs import Json, Runs, checked
from tests.support.wait import eventually
from tests.support.warm_cli import WarmCli


@pytest.fixture(scope="module")
def flow(runs: Runs) -> Json:
    created: Json = runs.post("/flows/", {"name": "runflow"})
    return created


@pytest.fixture(scope="module")
def ended(runs: Runs, api: httpx.Client, flow: Json) -> dict[str, str]:
    """Ids of a failed flow run and of its completed task run, both with three lines of log."""
    run = runs.post("/flow_runs/", {"flow_id": flow["id"], "name": "broken", "state": {"type": "PENDING"}})
    body = {"flow_run_id": run["id"], "task_key": "k", "dynamic_key": "0", "name": "step", "state": {"type": "RUNNING"}}
    task = runs.post("/task_runs/", body)
    runs.post(f"/task_runs/{task['id']}/set_state", {"state": {"type": "COMPLETED"}})
    for state in ({"type": "RUNNING"}, {"type": "FAILED", "message": "boom"}):
        runs.post(f"/flow_runs/{run['id']}/set_state", {"state": state})
    moments = (f"2026-01-01T00:00:0{second}Z" for second in range(3))
    ids = {"flow_run_id": run["id"], "task_run_id": task["id"]}
    lines = [
        {"name": "n", "level": 20, "message": f"line {number}", "timestamp": moment, **ids}
        for number, moment in enumerate(moments)
    ]
    checked(api.post("/logs/", json=lines))
    eventually(lambda: len(runs.logs(run["id"])) == 3, "three lines of log")
    return {"flow-run": run["id"], "task-run": task["id"]}


@pytest.mark.parametrize(
    ("group", "name", "state"), [("flow-run", "broken", "Failed"), ("task-run", "step", "Completed")]
)
def test_reads(cli: WarmCli, ended: dict[str, str], group: str, name: str, state: str) -> None:
    run_id = ended[group]
    assert run_id in cli(group, "ls")
    assert [item["id"] for item in cli.json(group, "ls", "--state", state)] == [run_id]
    assert [item["id"] for item in cli.json(group, "ls", "--state-type", state.upper())] == [run_id]
    assert cli.json(group, "ls", "--state-type", "CRASHED") == []
    inspected = cli.json(group, "inspect", run_id)
    assert (inspected["id"], inspected["name"], inspected["state"]["type"]) == (run_id, name, state.upper())
    assert name in cli(group, "inspect", run_id)
    lines = [item["message"] for item in cli.json(group, "logs", run_id)]
    assert lines == ["line 0", "line 1", "line 2"]
    backwards = cli(group, "logs", run_id, "--reverse")
    assert backwards.index("line 2") < backwards.index("line 0")
    tail = cli(group, "logs", run_id, "--tail", "--num-logs", "1")
    assert "line 2" in tail
    assert "line 0" not in tail


@pytest.mark.parametrize("group", ["flow-run", "task-run"])
def test_refused_reads(cli: WarmCli, nobody: str, group: str) -> None:
    assert nobody in cli.fails(group, "logs", nobody)
    refused = cli.stumbles(group, "inspect", nobody)
    assert "not found" in refused
    cli.fails(group, "ls", "--state-type", "WRONG")


def test_lists_by_name(cli: WarmCli, ended: dict[str, str]) -> None:
    assert [item["id"] for item in cli.json("flow-run", "ls", "--flow-name", "runflow")] == [ended["flow-run"]]
    assert [item["id"] for item in cli.json("task-run", "ls", "--task-run-name", "step")] == [ended["task-run"]]


def test_watch_cancel_delete(cli: WarmCli, runs: Runs, flow: Json, ended: dict[str, str], nobody: str) -> None:
    # A run that has failed is over: watching ends at once, with the code of a failure.
    assert "Failed" in cli.fails("flow-run", "watch", ended["flow-run"])
    scheduled = runs.post("/flow_runs/", {"flow_id": flow["id"], "name": "next", "state": {"type": "SCHEDULED"}})
    cli("flow-run", "cancel", scheduled["id"])
    assert nobody in cli.fails("flow-run", "cancel", nobody)
    cli("flow-run", "delete", scheduled["id"])
    assert scheduled["id"] in cli.fails("flow-run", "delete", scheduled["id"])
    assert runs.flow_runs(id={"any_": [scheduled["id"]]}) == []


def test_retry_with_a_deployment(cli: WarmCli, runs: Runs, flow: Json, nobody: str) -> None:
    body = {"name": "d", "flow_id": flow["id"], "entrypoint": "f.py:f"}
    deployment = runs.post("/deployments/", body)
    run = runs.post(f"/deployments/{deployment['id']}/create_flow_run", {"name": "to-retry"})
    for kind in ("PENDING", "RUNNING", "FAILED"):
        runs.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": kind}})
    cli("flow-run", "retry", "to-retry")
    again = runs.flow_run(run["id"])
    assert (again["state"]["type"], again["state"]["name"]) == ("SCHEDULED", "Scheduled")
    assert "cannot be retried" in cli.fails("flow-run", "retry", "to-retry"), "it has not ended"
    assert nobody in cli.fails("flow-run", "retry", nobody)
