"""`prefect automation`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.runs import Json, Runs
from tests.support.warm_cli import WarmCli

YAML = """
name: from-yaml
description: written by hand
enabled: true
trigger:
  type: event
  posture: Reactive
  expect: [prefect.flow-run.Failed]
  threshold: 1
  within: 0
actions:
- type: do-nothing
"""


def body(name: str, **trigger: object) -> Json:
    fields = {"type": "event", "posture": "Reactive", "expect": ["a.b"], "within": 0, "threshold": 1, **trigger}
    return {"name": name, "trigger": fields, "actions": [{"type": "do-nothing"}]}


def by_name(runs: Runs) -> dict[str, Json]:
    return {item["name"]: item for item in runs.post("/automations/filter")}


@pytest.fixture(autouse=True)
def no_automations(runs: Runs) -> None:
    for automation in runs.post("/automations/filter"):
        runs.api.delete(f"/automations/{automation['id']}")


def test_yaml_pause_resume_delete(cli: WarmCli, runs: Runs, project: Path) -> None:
    (project / "automation.yaml").write_text(YAML)
    cli("automation", "create", "--from-file", "automation.yaml")
    created = by_name(runs)["from-yaml"]
    assert (created["enabled"], created["description"]) == (True, "written by hand")
    assert created["trigger"]["expect"] == ["prefect.flow-run.Failed"]
    assert "from-yaml" in cli("automation", "ls")
    inspected = cli.json("automation", "inspect", "from-yaml")
    assert created["id"] in json.dumps(inspected)
    assert "prefect.flow-run.Failed" in cli("automation", "inspect", "from-yaml", "--yaml")
    cli("automation", "pause", "from-yaml")
    assert by_name(runs)["from-yaml"]["enabled"] is False
    cli("automation", "resume", "from-yaml")
    assert by_name(runs)["from-yaml"]["enabled"] is True
    cli("automation", "delete", "from-yaml")
    assert by_name(runs) == {}


def test_several_from_json_and_update(cli: WarmCli, runs: Runs) -> None:
    several = [body("one", posture="Proactive", within=60), body("two")]
    cli("automation", "create", "--from-json", json.dumps(several))
    one = by_name(runs)["one"]
    changed = body("one-more", expect=["y"], threshold=2)
    cli("automation", "update", "--id", one["id"], "--from-json", json.dumps(changed))
    stored = by_name(runs)
    assert set(stored) == {"one-more", "two"}
    assert stored["one-more"]["id"] == one["id"]
    assert (stored["one-more"]["trigger"]["threshold"], stored["one-more"]["trigger"]["expect"]) == (2, ["y"])
    cli("automation", "pause", "--id", one["id"])
    assert by_name(runs)["one-more"]["enabled"] is False
    cli("automation", "enable", "--id", one["id"])
    assert by_name(runs)["one-more"]["enabled"] is True
    cli("automation", "delete", "--id", one["id"])
    assert set(by_name(runs)) == {"two"}
    cli("automation", "delete", "--all")
    assert by_name(runs) == {}


def test_refusals(cli: WarmCli, runs: Runs, nobody: str) -> None:
    for verb in ("inspect", "pause", "resume", "delete"):
        assert "not found" in cli.fails("automation", verb, "missing")
    for verb in ("inspect", "pause", "resume"):
        assert nobody in cli.fails("automation", verb, "--id", nobody)
    assert "Automation not found" in cli.stumbles("automation", "delete", "--id", nobody)
    assert nobody in cli.fails("automation", "update", "--id", nobody, "--from-json", json.dumps(body("x")))
    cli.fails("automation", "create", "--from-json", "{not json")
    cli.fails("automation", "create", "--from-json", '{"name": "neither trigger nor actions"}')
    cli.fails("automation", "create", "--from-json", json.dumps(body("short", posture="Proactive", within=1)))
    assert by_name(runs) == {}
