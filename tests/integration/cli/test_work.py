"""`sempre work-pool` and `work-queue`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.own_cli import OwnCli
from tests.support.runs import Json, Runs

TEMPLATE = {
    "variables": {"type": "object", "properties": {"command": {"type": "string"}, "z": {"default": 3}}},
    "job_configuration": {"command": "{{ command }}", "z": "{{ z }}"},
}
POOL = "queue-pool"


def test_pool(cli: OwnCli, runs: Runs, tmp_path: Path) -> None:
    file = tmp_path / "template.json"
    file.write_text(json.dumps(TEMPLATE))
    made = cli.json("work-pool", "create", "own", "--type", "process", "--base-job-template", str(file), "--paused")
    stored = runs.get("/work_pools/own")
    assert (stored["id"], stored["is_paused"], stored["base_job_template"]) == (made["id"], True, TEMPLATE)
    assert "already exists" in cli.fails("work-pool", "create", "own", "--type", "process")
    cli("work-pool", "resume", "own")
    assert runs.get("/work_pools/own")["is_paused"] is False
    cli("work-pool", "pause", "own")
    assert runs.get("/work_pools/own")["is_paused"] is True
    cli("work-pool", "update", "own", "--description", "ours", "--concurrency-limit", "9")
    changed = runs.get("/work_pools/own")
    assert (changed["description"], changed["concurrency_limit"]) == ("ours", 9)
    assert changed["base_job_template"] == TEMPLATE, "a field that was not named stays"
    cli("work-pool", "set-concurrency-limit", "own", "3")
    assert cli.json("work-pool", "slots", "own")
    assert cli.json("work-pool", "clear-concurrency-limit", "own")["concurrency_limit"] is None
    assert cli.json("work-pool", "create", "own", "--overwrite")["is_paused"] is False
    assert runs.get("/work_pools/own")["id"] == made["id"]
    assert "base_job_template" in cli("work-pool", "inspect", "own")
    assert "ours" in cli("work-pools", "ls", "-v")
    assert "no storage" in cli("work-pool", "storage", "inspect", "own")
    cli("work-pool", "delete", "own")
    assert runs.post("/work_pools/filter") == []


def test_templates(cli: OwnCli, runs: Runs, tmp_path: Path) -> None:
    catalogue = runs.get("/collections/views/aggregate-worker-metadata")
    shown = json.loads(cli("work-pool", "get-default-base-job-template", "--type", "process"))
    assert shown == catalogue["prefect"]["process"]["default_base_job_configuration"]
    file = tmp_path / "default.json"
    cli("work-pool", "get-default-base-job-template", "-t", "process", "-f", str(file))
    assert json.loads(file.read_text()) == shown
    assert "nosuch" in cli.fails("work-pool", "get-default-base-job-template", "--type", "nosuch")
    assert "Unknown work pool type" in cli.fails("work-pool", "create", "odd", "--type", "nosuch")
    assert "--type" in cli.fails("work-pool", "create", "odd")


def test_default_pool(cli: OwnCli) -> None:
    cli("work-pool", "create", "usual", "-t", "process", "--set-as-default")
    settings = cli.json("config", "view")["settings"]
    assert settings["SEMPRE_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME"]["value"] == "usual"
    cli("config", "unset", "-y", "SEMPRE_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME")
    cli("work-pool", "delete", "usual")


def test_pool_refusals(cli: OwnCli, runs: Runs) -> None:
    for command in (
        ("inspect", "missing"), ("pause", "missing"), ("resume", "missing"), ("delete", "missing"),
        ("set-concurrency-limit", "missing", "3"), ("clear-concurrency-limit", "missing"), ("slots", "missing"),
        ("update", "missing", "--description", "x"), ("storage", "inspect", "missing"), ("preview", "missing"),
    ):  # fmt: skip
        assert "'missing' not found" in cli.fails("work-pool", *command)
    cli.fails("work-pool", "create", "prefect-reserved", "--type", "process")
    cli.fails("work-pool", "set-concurrency-limit", "missing", "--", "-3", code=2)
    assert runs.post("/work_pools/filter") == []


@pytest.fixture(scope="module")
def pool(runs: Runs) -> Json:
    created: Json = runs.post("/work_pools/", {"name": POOL, "type": "process"})
    return created


def test_queue(cli: OwnCli, runs: Runs, pool: Json) -> None:
    path = f"/work_pools/{POOL}/queues/fast"
    made = cli.json("work-queue", "create", "fast", "--pool", POOL, "--limit", "4", "--priority", "1")
    stored = runs.get(path)
    assert (stored["id"], stored["concurrency_limit"], stored["priority"]) == (made["id"], 4, 1)
    assert "already exists" in cli.fails("work-queue", "create", "fast", "--pool", POOL)
    assert cli.json("work-queue", "inspect", made["id"])["name"] == "fast"
    cli("work-queue", "set-concurrency-limit", "fast", "6", "--pool", POOL)
    assert runs.get(path)["concurrency_limit"] == 6
    assert cli.json("work-queue", "slots", "fast", "--pool", POOL)
    cli("work-queue", "clear-concurrency-limit", "fast", "--pool", POOL)
    assert runs.get(path)["concurrency_limit"] is None
    cli("work-queue", "pause", "fast", "--pool", POOL)
    assert runs.get(path)["is_paused"] is True
    cli("work-queue", "resume", "fast", "--pool", POOL)
    assert runs.get(path)["is_paused"] is False
    assert [queue["name"] for queue in cli.json("work-queues", "ls", "--pool", POOL)] == ["fast", "default"]
    assert "fast" in cli("work-queue", "ls", "-v")
    cli("work-queue", "delete", "fast", "--pool", POOL)
    assert [queue["name"] for queue in runs.post(f"/work_pools/{POOL}/queues/filter")] == ["default"]


def test_upcoming_runs(cli: OwnCli, runs: Runs, pool: Json) -> None:
    flow = runs.post("/flows/", {"name": "queued"})
    body = {"name": "d", "flow_id": flow["id"], "work_pool_name": POOL, "work_queue_name": "waiting"}
    deployment = runs.post("/deployments/", body)
    now = runs.post(f"/deployments/{deployment['id']}/create_flow_run", {"name": "upcoming"})
    later = cli.json("deployment", "run", "queued/d", "--start-in", "3h")
    far = cli.json("deployment", "run", "queued/d", "--start-in", "50h")
    assert [run["id"] for run in cli.json("work-pool", "preview", POOL)] == [now["id"], later["id"]]
    assert [run["id"] for run in cli.json("work-queue", "preview", "waiting", "-p", POOL, "-h", "1")] == [now["id"]]
    assert far["id"] in cli("work-queue", "preview", "waiting", "-p", POOL, "--hours", "60")
    assert cli.json("work-queue", "preview", "default", "-p", POOL) == []
    assert "1 run of" in cli("work-queue", "read-runs", "waiting", "--pool", POOL)


def test_queue_without_pool(cli: OwnCli, runs: Runs) -> None:
    cli("work-queue", "create", "alone")
    assert runs.get("/work_queues/name/alone")["work_pool_name"] == "default-agent-pool"
    assert "alone" in cli("work-queue", "inspect", "alone")
    cli("work-queue", "delete", "alone")
    assert "--pool" in cli.fails("work-queue", "inspect", "alone")


def test_queue_refusals(cli: OwnCli, pool: Json) -> None:
    assert "missing" in cli.fails("work-queue", "create", "q", "--pool", "missing")
    for verb in ("inspect", "pause", "resume", "delete", "read-runs", "clear-concurrency-limit", "slots", "preview"):
        assert "'missing' of work pool" in cli.fails("work-queue", verb, "missing", "--pool", POOL)
