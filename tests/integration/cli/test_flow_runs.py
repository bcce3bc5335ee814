"""`sempre flow-run`, `task-run` and `flow`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.own_cli import OwnCli
from tests.support.runs import Json, Runs, checked
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def flow(runs: Runs) -> Json:
    created: Json = runs.post("/flows/", {"name": "runflow", "tags": ["f"]})
    return created


@pytest.fixture
def make_run(runs: Runs, flow: Json) -> Callable[..., Json]:
    def make(name: str, *states: str, **fields: Any) -> Json:
        """A run of the flow that went through these states, the first at its creation."""
        first, *rest = states or ("SCHEDULED",)
        run: Json = runs.post("/flow_runs/", {"flow_id": flow["id"], "name": name, "state": {"type": first}, **fields})
        for kind in rest:
            runs.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": kind, "message": f"now {kind}"}})
        return run

    return make


def log(api: httpx.Client, run_id: str, *seconds: int, **ids: str) -> None:
    common = {"name": "n", "level": 20, "flow_run_id": run_id, **ids}
    lines = [{**common, "message": f"line {at}", "timestamp": f"2026-01-01T00:00:{at:02}Z"} for at in seconds]
    checked(api.post("/logs/", json=lines))


@pytest.fixture(scope="module")
def ended(runs: Runs, api: httpx.Client, flow: Json) -> dict[str, str]:
    """Ids of a failed flow run and of its completed task run, both with three lines of log."""
    run = runs.post("/flow_runs/", {"flow_id": flow["id"], "name": "broken", "state": {"type": "PENDING"}})
    body = {"flow_run_id": run["id"], "task_key": "k", "dynamic_key": "0", "name": "step", "state": {"type": "RUNNING"}}
    task = runs.post("/task_runs/", body)
    runs.post(f"/task_runs/{task['id']}/set_state", {"state": {"type": "COMPLETED"}})
    for state in ({"type": "RUNNING"}, {"type": "FAILED", "message": "boom"}):
        runs.post(f"/flow_runs/{run['id']}/set_state", {"state": state})
    log(api, run["id"], 0, 1, 2, task_run_id=task["id"])
    eventually(lambda: len(runs.logs(run["id"])) == 3, "three lines of log")
    return {"flow-run": run["id"], "task-run": task["id"]}


def messages(logs: list[Json]) -> list[str]:
    return [item["message"] for item in logs]


@pytest.mark.parametrize(
    ("group", "name", "state"), [("flow-run", "broken", "Failed"), ("task-run", "step", "Completed")]
)
def test_reads(cli: OwnCli, runs: Runs, ended: dict[str, str], group: str, name: str, state: str) -> None:
    run_id = ended[group]
    assert run_id in cli(group, "ls")
    assert [item["id"] for item in cli.json(f"{group}s", "ls", "--state", state.lower())] == [run_id]
    assert [item["id"] for item in cli.json(group, "ls", "--state-type", state)] == [run_id]
    assert cli.json(group, "ls", "--state-type", "CRASHED") == []
    assert cli.json(group, "inspect", name)["state"] == runs.get(f"/{group.replace('-', '_')}s/{run_id}")["state"]
    assert "state_type" in cli(group, "inspect", run_id)
    assert messages(cli.json(group, "logs", run_id)) == ["line 0", "line 1", "line 2"]
    assert messages(cli.json(group, "logs", run_id, "--reverse")) == ["line 2", "line 1", "line 0"]
    assert messages(cli.json(group, "logs", run_id, "-t", "-n", "2")) == ["line 1", "line 2"]
    head = cli(group, "logs", run_id, "--head", "--num-logs", "1")
    assert "INFO" in head
    assert head.rstrip().endswith("line 0")


@pytest.mark.parametrize("group", ["flow-run", "task-run"])
def test_refused_reads(cli: OwnCli, ended: dict[str, str], nobody: str, group: str) -> None:
    for verb in ("inspect", "logs"):
        assert f"'{nobody}' not found" in cli.fails(group, verb, nobody)
        assert "'none of this name' not found" in cli.fails(group, verb, "none of this name")
    assert "WRONG" in cli.fails(group, "ls", "--state-type", "WRONG")
    assert "not both" in cli.fails(group, "logs", ended[group], "--head", "--tail", code=2)
    assert "Only 'json'" in cli.fails(group, "ls", "-o", "yaml")


def test_long_lists_come_in_pages(cli: OwnCli, runs: Runs, api: httpx.Client, flow: Json) -> None:
    run = runs.post("/flow_runs/", {"flow_id": flow["id"], "name": "talkative", "state": {"type": "SCHEDULED"}})
    line = {"name": "n", "level": 20, "flow_run_id": run["id"]}
    stamps = [f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z" for number in range(450)]
    lines = [{**line, "message": f"no {number}", "timestamp": stamp} for number, stamp in enumerate(stamps)]
    checked(api.post("/logs/", json=lines))
    everything = [f"no {number}" for number in range(450)]
    eventually(lambda: len(cli.json("flow-run", "logs", "talkative")) == 450, "all lines of log")
    assert messages(cli.json("flow-run", "logs", "talkative")) == everything
    assert messages(cli.json("flow-run", "logs", "talkative", "--tail", "-n", "250")) == everything[-250:]


def test_lists_by_name_and_tag(cli: OwnCli, make_run: Callable[..., Json], ended: dict[str, str]) -> None:
    tagged = make_run("tagged", tags=["red", "blue"])
    assert [item["id"] for item in cli.json("flow-run", "ls", "--tag", "red", "--tag", "blue")] == [tagged["id"]]
    assert cli.json("flow-run", "ls", "--flow-name", "other") == []
    assert tagged["id"] in {item["id"] for item in cli.json("flow-run", "ls", "--flow-name", "runflow")}
    assert len(cli.json("flow-run", "ls", "--limit", "1")) == 1
    listed = cli.json("task-run", "ls", "--flow-run", "broken", "--task-run-name", "step")
    assert [item["id"] for item in listed] == [ended["task-run"]]


def test_two_of_a_name(cli: OwnCli, make_run: Callable[..., Json]) -> None:
    twins = [make_run("twin")["id"] for _ in range(2)]
    said = cli.fails("flow-run", "inspect", "twin")
    assert all(run_id in said for run_id in twins)
    cli("flow-run", "delete", *twins)
    assert "not found" in cli.fails("flow-run", "delete", "twin")


def test_cancel(cli: OwnCli, runs: Runs, make_run: Callable[..., Json], ended: dict[str, str]) -> None:
    waiting, going = make_run("waiting"), make_run("going", "PENDING", "RUNNING")
    said = cli("flow-run", "cancel", "waiting", going["id"])
    assert "had not begun" in said
    assert [runs.flow_run(run["id"])["state_type"] for run in (waiting, going)] == ["CANCELLED", "CANCELLING"]
    assert "boom" in cli.fails("flow-run", "cancel", "broken"), "it has ended, and how is said"
    another = make_run("another")
    assert cli.json("flow-run", "cancel", "another")["state"] == runs.flow_run(another["id"])["state"]


def test_retry(cli: OwnCli, runs: Runs, flow: Json, ended: dict[str, str], nobody: str) -> None:
    deployment = runs.post("/deployments/", {"name": "d", "flow_id": flow["id"], "entrypoint": "f.py:f"})
    run = runs.post(f"/deployments/{deployment['id']}/create_flow_run", {"name": "to-retry"})
    for kind in ("PENDING", "RUNNING", "FAILED"):
        runs.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": kind}})
    cli("flow-run", "retry", "to-retry")
    again = runs.flow_run(run["id"])
    assert (again["state"]["type"], again["state"]["name"]) == ("SCHEDULED", "Scheduled")
    assert "cannot be retried" in cli.fails("flow-run", "retry", "to-retry"), "it has not ended"
    assert "no deployment" in cli.fails("flow-run", "retry", ended["flow-run"])
    assert nobody in cli.fails("flow-run", "retry", nobody)


def test_watch(
    cli: OwnCli, runs: Runs, api: httpx.Client, make_run: Callable[..., Json], ended: dict[str, str]
) -> None:
    assert "Failed" in cli.fails("flow-run", "watch", ended["flow-run"])
    run = make_run("seen", "PENDING", "RUNNING")
    assert "goes on" in cli.fails("flow-run", "watch", "seen", "--timeout", "0")

    def finish() -> None:
        log(api, run["id"], 7)
        runs.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "COMPLETED"}})

    later = threading.Timer(0.5, finish)
    later.start()
    shown = cli("flow-run", "watch", "seen", "--timeout", "30")
    later.join()
    assert shown.index("now RUNNING") < shown.index("Completed")
    assert "line 7" in shown
    assert cli.json("flow-run", "watch", "seen")["state_type"] == "COMPLETED"


def test_follow_logs(cli: OwnCli, runs: Runs, api: httpx.Client, make_run: Callable[..., Json]) -> None:
    run = make_run("followed", "PENDING", "RUNNING")
    log(api, run["id"], 1, 5)
    eventually(lambda: len(runs.logs(run["id"])) == 2, "two lines of log")

    def go_on() -> None:
        log(api, run["id"], 3, 9)  # the one of second 3 arrives late
        runs.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "COMPLETED"}})

    later = threading.Timer(0.5, go_on)
    later.start()
    shown = cli("flow-run", "logs", "followed", "--tail", "-n", "1", "--follow", "-o", "json")
    later.join()
    assert messages([json.loads(line) for line in shown.splitlines()]) == ["line 5", "line 3", "line 9"]


def test_flows(cli: OwnCli, runs: Runs, flow: Json) -> None:
    assert flow["id"] in cli("flow", "ls")
    assert [item["id"] for item in cli.json("flows", "ls", "--limit", "1")] == [flow["id"]]
    shown = cli.json("flow", "inspect", "runflow")
    assert (shown["id"], [item["name"] for item in shown["deployments"]]) == (flow["id"], ["d"])
    assert "runflow/d" in cli("flow", "inspect", flow["id"])
    assert "not found" in cli.fails("flow", "inspect", "missing")
    runs.post("/flows/", {"name": "short-lived"})
    assert cli.json("flow", "delete", "short-lived")["deleted"][0]["name"] == "short-lived"
    assert "not found" in cli.fails("flow", "delete", "short-lived")
