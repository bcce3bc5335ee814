"""`sempre canary serve`: scheduled deployments whose runs and events tell how the canaries are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sempre.canary.every import CANARIES
from sempre.schemas.automations import AutomationCreate
from tests.integration.canary.suite import Suite
from tests.support.prefect_env import ROOT
from tests.support.servers import SempreServer
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def suite(server: SempreServer, workdir: Path) -> Suite:
    return Suite(server.api_url, workdir / "canary-home")


def _runs(suite: Suite, name: str, state: str) -> list[dict[str, Any]]:
    criteria = {"deployments": {"name": {"any_": [name]}}, "flow_runs": {"state": {"name": {"any_": [state]}}}}
    found: list[dict[str, Any]] = suite.post("/flow_runs/filter", criteria)
    return found


def _told(suite: Suite, name: str, event: str) -> list[dict[str, Any]]:
    criteria = {"event": {"name": [event]}, "resource": {"id": [f"sempre.canary.{name}"]}}
    found: list[dict[str, Any]] = suite.post("/events/filter", {"filter": criteria})["events"]
    return found


def test_runs_and_events_tell_how_canaries_are(suite: Suite) -> None:
    # Three seconds are too little for a trigger of ten, so this one fails every time.
    process = suite.start("serve", "--only", "secret-block,automation-proactive", "--every", "5", "--timeout", "3")
    try:
        eventually(lambda: _runs(suite, "secret-block", "Completed"), "a canary has passed", 60)
        eventually(lambda: _told(suite, "secret-block", "sempre.canary.passed"), "an event tells of it")
        failed = eventually(lambda: _runs(suite, "automation-proactive", "Failed"), "a canary has failed", 60)
        assert "did not fire within 3 s" in failed[0]["state"]["message"]
        told = eventually(lambda: _told(suite, "automation-proactive", "sempre.canary.failed"), "an event tells of it")
        assert told[0]["payload"]["result"] == "failed"
        assert "did not fire" in told[0]["payload"]["message"]
    finally:
        process.terminate()
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, f"{output}\n{errors}"
    deployments = suite.post("/deployments/filter", {})
    assert {each["name"]: each["paused"] for each in deployments} == {
        "secret-block": True,
        "automation-proactive": True,
    }


def test_the_alerts_of_the_documentation_are_automations() -> None:
    text = (ROOT / "docs" / "canary.md").read_text()
    (block,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    some_id = "00000000-0000-4000-8000-000000000000"
    for document in json.loads(block.replace("ID OF A NOTIFICATION BLOCK", some_id)):
        AutomationCreate.model_validate(document)


def test_the_documentation_has_every_canary() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", (ROOT / "docs" / "canary.md").read_text(), re.MULTILINE))
    assert rows == {canary.name: canary.about for canary in CANARIES.values()}
