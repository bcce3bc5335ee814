"""`sempre canary serve`: scheduled deployments whose runs and events tell how the canaries are."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from sempre.canary.every import CANARIES
from sempre.canary.serving import alerts
from sempre.schemas.automations import AutomationCreate
from tests.integration.canary.suite import Suite
from tests.support.prefect_env import ROOT
from tests.support.receiver import receiving
from tests.support.servers import SempreServer
from tests.support.wait import eventually

BLOCK = "ID OF A NOTIFICATION BLOCK"


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


def _make_block(suite: Suite, name: str, url: str) -> None:
    """A notification block of Slack's type that sends to this address."""
    kind = httpx.get(f"{suite.api_url}/block_types/slug/slack-webhook", timeout=20).json()
    criteria = {"block_schemas": {"block_type_id": {"any_": [kind["id"]]}}}
    schema = suite.post("/block_schemas/filter", criteria)[0]
    body = {"name": name, "data": {"url": url}, "block_type_id": kind["id"], "block_schema_id": schema["id"]}
    suite.post("/block_documents/", body)


def test_runs_events_and_alerts_tell_how_canaries_are(suite: Suite) -> None:
    with receiving() as on_call:
        _make_block(suite, "on-call", on_call.url)
        # Two seconds are too little for a trigger of ten, so one of them fails every time.
        names, alert = "secret-block,automation-proactive", "slack-webhook/on-call"
        process = suite.start("serve", "--only", names, "--every", "2", "--timeout", "2", "--alert", alert)
        try:
            eventually(lambda: _runs(suite, "secret-block", "Completed"), "a canary has passed", 60)
            eventually(lambda: _told(suite, "secret-block", "sempre.canary.passed"), "an event tells of it")
            failed = eventually(lambda: _runs(suite, "automation-proactive", "Failed"), "a canary has failed", 60)
            assert "did not fire within 2 s" in failed[0]["state"]["message"]
            told = eventually(
                lambda: _told(suite, "automation-proactive", "sempre.canary.failed"), "an event tells of it"
            )
            assert told[0]["payload"]["result"] == "failed"
            assert "did not fire" in told[0]["payload"]["message"]
            sent = eventually(lambda: on_call.requests, "whoever is on call is told", 60)
            assert "Canary automation-proactive failed" in json.loads(sent[0].body)["text"]
        finally:
            process.terminate()
            output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, f"{output}\n{errors}"
    deployments = suite.post("/deployments/filter", {})
    assert {each["name"]: each["paused"] for each in deployments} == {
        "secret-block": True,
        "automation-proactive": True,
    }
    made = [each for each in suite.post("/automations/filter", {}) if each["name"].startswith("a canary")]
    assert {each["name"] for each in made} == {"a canary failed", "a canary has not passed"}


def test_of_missed_runs_only_the_latest_plays(suite: Suite) -> None:
    arguments = ("serve", "--only", "secret-block", "--every", "86400")
    deployment = suite.post("/deployments/filter", {"deployments": {"name": {"any_": ["secret-block"]}}})[0]
    now = datetime.now(UTC)
    missed = []
    for number in (3, 2, 1):  # after whatever the test before has played
        due = (now - timedelta(milliseconds=number)).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
        run = suite.post(f"/deployments/{deployment['id']}/create_flow_run", {"state": state})
        missed.append(run["id"])

    def ended() -> list[str] | None:
        runs = suite.post("/flow_runs/filter", {"flow_runs": {"id": {"any_": missed}}})
        names = {run["id"]: run["state"]["name"] for run in runs}
        found = [names[id] for id in missed]
        return found if set(found) <= {"Completed", "Cancelled", "Failed", "Crashed"} else None

    process = suite.start(*arguments)
    try:
        assert eventually(ended, "all of them have ended", 60) == ["Cancelled", "Cancelled", "Completed"]
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_a_block_that_there_is_not_is_said(suite: Suite) -> None:
    process = suite.start("serve", "--only", "hello", "--alert", "slack-webhook/nobody")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "There is no block slack-webhook/nobody" in errors


def test_the_alerts_of_the_documentation_are_those_that_are_made() -> None:
    text = (ROOT / "docs" / "canary.md").read_text()
    (block,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert json.loads(block) == alerts(BLOCK, 300)
    for document in alerts("00000000-0000-4000-8000-000000000000", 1):
        AutomationCreate.model_validate(document)


def test_the_documentation_has_every_canary() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", (ROOT / "docs" / "canary.md").read_text(), re.MULTILINE))
    assert rows == {canary.name: canary.about for canary in CANARIES.values()}
