"""`sempre automation`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.support.own_cli import OwnCli
from tests.support.runs import Json, Runs

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


def test_yaml_pause_resume_delete(cli: OwnCli, runs: Runs, tmp_path: Path) -> None:
    file = tmp_path / "automation.yaml"
    file.write_text(YAML)
    made = cli.json("automation", "create", "--from-file", str(file))
    assert made == by_name(runs)["from-yaml"]
    assert (made["enabled"], made["description"]) == (True, "written by hand")
    assert "prefect.flow-run.Failed" in cli("automations", "ls")
    assert cli.json("automation", "inspect", "from-yaml") == made
    assert json.loads(cli("automation", "inspect", "--id", made["id"], "--json")) == made
    shown = cli("automation", "inspect", "from-yaml", "--yaml")
    assert yaml.safe_load(shown) == made
    cli("automation", "pause", "from-yaml")
    assert by_name(runs)["from-yaml"]["enabled"] is False
    cli("automation", "enable", "from-yaml")
    assert by_name(runs)["from-yaml"]["enabled"] is True
    cli("automation", "delete", "from-yaml")
    assert by_name(runs) == {}
    file.write_text(shown)
    assert cli.json("automation", "create", "-f", str(file))["trigger"]["expect"] == made["trigger"]["expect"]


def test_several_and_update(cli: OwnCli, runs: Runs) -> None:
    several = [body("one", posture="Proactive", within=60), body("two")]
    assert len(cli.json("automation", "create", "--from-json", json.dumps(several))) == 2
    one = by_name(runs)["one"]
    changed = body("one-more", expect=["y"], threshold=2)
    cli("automation", "update", "--id", one["id"], "--from-json", json.dumps(changed))
    stored = by_name(runs)
    assert set(stored) == {"one-more", "two"}
    assert stored["one-more"]["id"] == one["id"]
    assert (stored["one-more"]["trigger"]["threshold"], stored["one-more"]["trigger"]["expect"]) == (2, ["y"])
    cli("automation", "disable", "--id", one["id"])
    assert by_name(runs)["one-more"]["enabled"] is False
    cli("automation", "delete", "--id", one["id"])
    assert set(by_name(runs)) == {"two"}
    cli("automation", "delete", "--all")
    assert by_name(runs) == {}
    assert "No automations" in cli("automation", "delete", "--all")


def test_refusals(cli: OwnCli, runs: Runs, nobody: str) -> None:
    for verb in ("inspect", "pause", "resume", "delete"):
        assert "'missing' not found" in cli.fails("automation", verb, "missing")
        assert nobody in cli.fails("automation", verb, "--id", nobody)
        assert "either" in cli.fails("automation", verb)
    assert nobody in cli.fails("automation", "update", "--id", nobody, "--from-json", json.dumps(body("x")))
    assert "no JSON" in cli.fails("automation", "create", "--from-json", "{not json")
    assert "trigger" in cli.fails("automation", "create", "--from-json", '{"name": "neither trigger nor actions"}')
    short = body("short", posture="Proactive", within=1)
    said = cli.fails("automation", "create", "--from-json", json.dumps([body("good"), short]))
    assert "'short' was not created" in said
    assert "Created before it: good" in said
    assert set(by_name(runs)) == {"good"}
