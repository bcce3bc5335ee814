"""`sempre deployment`: run, apply, delete; and its schedules, hundreds at once."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.own_cli import OwnCli
from tests.support.runs import Json, Runs, checked
from tests.support.wait import eventually

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}}


@pytest.fixture(scope="module")
def deployment(runs: Runs) -> Json:
    runs.post("/work_pools/", {"name": "pool", "type": "process"})
    flow = runs.post("/flows/", {"name": "etl"})
    body = {"name": "nightly", "flow_id": flow["id"], "work_pool_name": "pool", "parameter_openapi_schema": SCHEMA}
    made: Json = runs.post("/deployments/", {**body, "parameters": {"n": 1}, "enforce_parameter_schema": True})
    return made


def schedules(runs: Runs, deployment: Json) -> list[Json]:
    found: list[Json] = runs.get(f"/deployments/{deployment['id']}/schedules")
    return found


def test_reads(cli: OwnCli, runs: Runs, deployment: Json, nobody: str) -> None:
    assert "etl/nightly" in cli("deployment", "ls")
    assert [item["id"] for item in cli.json("deployments", "ls", "--flow-name", "etl")] == [deployment["id"]]
    assert cli.json("deployment", "ls", "--flow_name", "other") == []
    for called in ("etl/nightly", "nightly", deployment["id"]):
        assert cli.json("deployment", "inspect", called)["id"] == deployment["id"]
    assert "work_pool_name" in cli("deployment", "inspect", "etl/nightly")
    for called in ("etl/none", "none", nobody):
        assert f"{called!r} not found" in cli.fails("deployment", "inspect", called)


def test_run(cli: OwnCli, runs: Runs, deployment: Json, nobody: str) -> None:
    options = ("--job-variable", 'env={"C": "3"}', "--tag", "tt", "--start-in", "in 1 hour", "--flow-run-name", "mine")
    before = datetime.now(UTC)
    cli("deployment", "run", "etl/nightly", "--param", "n=4", "-p", "s=text", *options)
    (run,) = runs.flow_runs(name={"any_": ["mine"]})
    assert (run["parameters"], run["job_variables"]) == ({"n": 4, "s": "text"}, {"env": {"C": "3"}})
    assert ("tt" in run["tags"], run["work_pool_name"], run["state_type"]) == (True, "pool", "SCHEDULED")
    late = datetime.fromisoformat(run["next_scheduled_start_time"]) - before
    assert timedelta(minutes=59) < late < timedelta(minutes=62)
    made = cli.json("deployment", "run", "--id", deployment["id"], "--params", '{"n": 7}', "--start-at", "2040-01-02")
    assert made["parameters"]["n"] == 7
    assert made["next_scheduled_start_time"].startswith(("2040-01-01", "2040-01-02"))
    assert "nope" in cli.fails("deployment", "run", "etl/nightly", "--param", "nope=1")
    assert "n" in cli.fails("deployment", "run", "etl/nightly", "--params", '{"n": "not a number"}')
    assert "no/no" in cli.fails("deployment", "run", "no/no")
    assert nobody in cli.fails("deployment", "run", "--id", nobody)
    assert "not both" in cli.fails("deployment", "run", "etl/nightly", "--start-in", "1h", "--start-at", "now")
    assert "no duration" in cli.fails("deployment", "run", "etl/nightly", "--start-in", "soon")


@pytest.mark.parametrize(("end", "code"), [("COMPLETED", 0), ("FAILED", 1)])
def test_run_and_watch(cli: OwnCli, runs: Runs, deployment: Json, end: str, code: int) -> None:
    name = f"watched-{end}"

    def play() -> None:
        run = eventually(lambda: next(iter(runs.flow_runs(name={"any_": [name]})), None), "the run is created")
        for kind in ("PENDING", "RUNNING", end):
            runs.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": kind}})

    player = threading.Thread(target=play)
    player.start()
    options = ("--flow-run-name", name, "--watch", "--watch-interval", "0.2", "--watch-timeout", "30")
    assert cli.json("deployment", "run", "etl/nightly", *options, code=code)["state_type"] == end
    player.join()


def test_schedules(cli: OwnCli, runs: Runs, deployment: Json, nobody: str) -> None:
    name = "etl/nightly"
    made = cli.json("deployment", "schedule", "create", name, "--cron", "0 3 * * *", "--timezone", "Europe/Berlin")
    assert (made["schedule"]["cron"], made["schedule"]["timezone"]) == ("0 3 * * *", "Europe/Berlin")
    assert "Europe/Berlin" in cli("deployment", "schedule", "ls", name)
    cli("deployment", "schedule", "pause", name, made["id"])
    assert [item["active"] for item in schedules(runs, deployment)] == [False]
    assert "already" in cli.fails("deployment", "schedule", "pause", name, made["id"])
    cli("deployment", "schedule", "resume", name, made["id"])
    assert [item["active"] for item in schedules(runs, deployment)] == [True]
    cli("deployment", "schedule", "create", name, "--rrule", "FREQ=DAILY;COUNT=3", "--timezone", "Asia/Tokyo")
    assert len(cli.json("deployment", "schedule", "ls", name)) == 2
    for refused in (("--cron", "not a cron"), ("--interval", "-5"), ("--interval", "60", "--cron", "* * * * *"), ()):
        cli.fails("deployment", "schedule", "create", name, "--replace", *refused)
    assert len(schedules(runs, deployment)) == 2, "a refused schedule replaces nothing"
    anchored = ("--interval", "2 hours", "--anchor-date", "2030-01-01T00:00:00Z", "--no-active", "--replace", "-y")
    cli("deployment", "schedule", "create", name, *anchored)
    (only,) = schedules(runs, deployment)
    assert (only["schedule"]["interval"], only["active"]) == (7200.0, False)
    assert only["schedule"]["anchor_date"].startswith("2030-01-01T00:00:00")
    for verb in ("pause", "resume", "delete"):
        assert nobody in cli.fails("deployment", "schedule", verb, name, nobody)
    cli("deployment", "schedule", "delete", name, only["id"])
    cli("deployment", "schedule", "create", name, "--interval", "60")
    cli("deployment", "schedule", "clear", name, "-y")
    assert schedules(runs, deployment) == []
    assert "no/no" in cli.fails("deployment", "schedule", "clear", "no/no")


def test_all_schedules_at_once(cli: OwnCli, runs: Runs, api: httpx.Client) -> None:
    """More deployments than the API lists at once."""
    assert "No active schedules" in cli("deployment", "schedule", "pause", "--all")
    assert "with --all" in cli.fails("deployment", "schedule", "pause", "etl/nightly", "--all")
    assert "or use --all" in cli.fails("deployment", "schedule", "pause", "etl/nightly")
    flow = runs.post("/flows/", {"name": "many"})
    schedule = {"schedule": {"cron": "0 3 * * *"}, "active": True}
    for number in range(230):
        body = {"name": f"d{number:03}", "flow_id": flow["id"], "schedules": [schedule]}
        checked(api.post("/deployments/", json=body))
    assert len(cli.json("deployment", "ls", "--flow-name", "many")) == 230
    assert "Paused 230 schedules of 230 deployments" in cli("deployment", "schedule", "pause", "--all")
    everything = cli.json("deployment", "ls")
    assert {item["active"] for one in everything for item in one["schedules"]} == {False}
    assert "No active schedules found to pause." in cli("deployment", "schedule", "pause", "--all")
    assert len(cli.json("deployment", "schedule", "resume", "--all")) == 230
    assert "No inactive schedules found to resume." in cli("deployment", "schedule", "resume", "--all")


def test_apply(cli: OwnCli, runs: Runs, tmp_path: Path) -> None:
    wanted: dict[str, Any] = {
        "flow": "applied", "name": "one", "entrypoint": "f.py:f", "work_pool_name": "pool", "tags": ["a"],
        "schedules": [{"schedule": {"cron": "0 3 * * *", "timezone": "Europe/Berlin"}, "slug": "early"}],
    }  # fmt: skip
    file = tmp_path / "one.yaml"
    file.write_text(json.dumps([wanted]))
    assert "Created applied/one" in cli("deployment", "apply", str(file))
    made = runs.get("/deployments/name/applied/one")
    assert (made["entrypoint"], made["schedules"][0]["slug"]) == ("f.py:f", "early")
    assert "Unchanged applied/one" in cli("deployment", "apply", str(file))
    shown = tmp_path / "shown.json"
    shown.write_text(json.dumps({**cli.json("deployment", "inspect", "applied/one"), "description": "changed"}))
    assert "Changed applied/one" in cli("deployment", "apply", str(shown))
    again = runs.get("/deployments/name/applied/one")
    assert (again["id"], again["description"], again["entrypoint"]) == (made["id"], "changed", "f.py:f")
    assert [item["slug"] for item in again["schedules"]] == ["early"]
    file.write_text("name: nobody's")
    assert "needs `flow`" in cli.fails("deployment", "apply", str(file))
    file.write_text("[: no yaml")
    assert "no YAML" in cli.fails("deployment", "apply", str(file))
    assert "cannot be read" in cli.fails("deployment", "apply", str(tmp_path / "missing.yaml"))


def test_delete(cli: OwnCli, runs: Runs, deployment: Json, nobody: str) -> None:
    cli("deployment", "delete", "etl/nightly")
    assert "etl/nightly" in cli.fails("deployment", "delete", "etl/nightly")
    assert nobody in cli.fails("deployment", "delete", "--id", nobody)
    assert "one of" in cli.fails("deployment", "delete")
    assert len(cli.json("deployment", "delete", "--all")["deleted"]) == 231
    assert runs.post("/deployments/count") == 0
    assert "No deployments found." in cli("deployment", "schedule", "pause", "--all")
