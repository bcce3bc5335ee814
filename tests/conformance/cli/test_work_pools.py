"""`prefect work-pool`: every verb except provisioning, which talks to clouds."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.runs import Runs
from tests.support.warm_cli import WarmCli

TEMPLATE = {
    "variables": {"type": "object", "properties": {"command": {"type": "string"}, "z": {"default": 3}}},
    "job_configuration": {"command": "{{ command }}", "z": "{{ z }}"},
}


def test_create_with_template_inspect_update_delete(cli: WarmCli, runs: Runs, project: Path) -> None:
    (project / "template.json").write_text(json.dumps(TEMPLATE))
    cli("work-pool", "create", "own", "--type", "process", "--base-job-template", "template.json", "--paused")
    created = runs.get("/work_pools/own")
    assert (created["type"], created["is_paused"], created["base_job_template"]) == ("process", True, TEMPLATE)
    assert cli.json("work-pool", "inspect", "own")["id"] == created["id"]
    assert "already exists" in cli.fails("work-pool", "create", "own", "--type", "process")
    cli("work-pool", "resume", "own")
    assert runs.get("/work_pools/own")["is_paused"] is False
    cli("work-pool", "pause", "own")
    assert runs.get("/work_pools/own")["is_paused"] is True
    cli("work-pool", "update", "own", "--description", "ours", "--concurrency-limit", "9")
    changed = runs.get("/work_pools/own")
    assert (changed["description"], changed["concurrency_limit"]) == ("ours", 9)
    assert changed["base_job_template"] == TEMPLATE, "a field that was not named stays"
    cli("work-pool", "create", "own", "--type", "process", "--overwrite")
    overwritten = runs.get("/work_pools/own")
    assert overwritten["id"] == created["id"]
    assert overwritten["is_paused"] is False
    cli("work-pool", "delete", "own")
    assert runs.post("/work_pools/filter") == []


def test_limits_and_slots(cli: WarmCli, runs: Runs) -> None:
    cli("work-pool", "create", "limited", "--type", "process")
    cli("work-pool", "set-concurrency-limit", "limited", "3")
    assert runs.get("/work_pools/limited")["concurrency_limit"] == 3
    assert "limited" in cli("work-pool", "slots", "limited")
    assert cli.json("work-pool", "slots", "limited")
    cli("work-pool", "clear-concurrency-limit", "limited")
    assert runs.get("/work_pools/limited")["concurrency_limit"] is None
    cli.stumbles("work-pool", "set-concurrency-limit", "limited", "-3")
    assert runs.get("/work_pools/limited")["concurrency_limit"] is None
    cli("work-pool", "delete", "limited")


def test_lists_and_preview(cli: WarmCli, runs: Runs) -> None:
    for name in ("first", "second"):
        cli("work-pool", "create", name, "--type", "process")
    assert {pool["name"] for pool in cli.json("work-pool", "ls")} >= {"first", "second"}
    cli("work-pool", "ls", "--verbose")
    listed = cli("work-pool", "ls")
    assert "first" in listed
    assert "second" in listed
    flow = runs.post("/flows/", {"name": "previewed"})
    dep = runs.post("/deployments/", {"name": "later", "flow_id": flow["id"], "work_pool_name": "first"})
    run = runs.post(f"/deployments/{dep['id']}/create_flow_run", {"name": "upcoming-run"})
    assert run["id"] in cli("work-pool", "preview", "first")
    assert [item["id"] for item in cli.json("work-pool", "preview", "first")] == [run["id"]]
    assert cli.json("work-pool", "preview", "second") == []


def test_default_templates(cli: WarmCli, runs: Runs, project: Path) -> None:
    catalogue = runs.get("/collections/views/aggregate-worker-metadata")
    expected = catalogue["prefect"]["process"]["default_base_job_configuration"]
    shown = json.loads(cli("work-pool", "get-default-base-job-template", "--type", "process"))
    # The client has this type's template itself and shows its own; texts may differ, names must not.
    assert shown["job_configuration"] == expected["job_configuration"]
    assert set(shown["variables"]["properties"]) == set(expected["variables"]["properties"])
    cli("work-pool", "get-default-base-job-template", "--type", "process", "--file", "default.json")
    assert json.loads((project / "default.json").read_text()) == shown
    assert "nosuch" in cli.fails("work-pool", "get-default-base-job-template", "--type", "nosuch")


def test_storage(cli: WarmCli) -> None:
    cli("work-pool", "create", "stored", "--type", "process")
    assert cli("work-pool", "storage", "inspect", "stored")
    command = ("work-pool", "storage", "configure", "s3", "stored", "--bucket", "b")
    cli.fails(*command, "--aws-credentials-block-name", "missing")


def test_refusals(cli: WarmCli, runs: Runs) -> None:
    for command in (
        ("inspect", "missing"),
        ("pause", "missing"),
        ("resume", "missing"),
        ("delete", "missing"),
        ("set-concurrency-limit", "missing", "3"),
        ("clear-concurrency-limit", "missing"),
        ("update", "missing", "--description", "x"),
        ("storage", "inspect", "missing"),
        ("slots", "missing"),
    ):
        cli.fails("work-pool", *command)
    assert "not found" in cli.fails("work-pool", "inspect", "missing")
    assert "Unknown work pool type" in cli.fails("work-pool", "create", "odd", "--type", "nosuch")
    cli.fails("work-pool", "create", "prefect-reserved", "--type", "process")
    names = {pool["name"] for pool in runs.post("/work_pools/filter")}
    assert not names & {"odd", "prefect-reserved"}
