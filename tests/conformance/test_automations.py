"""Automations of the stock client: made, set off by its events, acting, told of over its subscriptions."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.conformance import facts
from tests.conformance.facts import Facts
from tests.support.prefect_env import PrefectClient
from tests.support.processes import ManagedProcess
from tests.support.receiver import Receiver, receiving
from tests.support.runs import Json, Runs
from tests.support.wait import eventually

POOL = "automations-pool"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.fixture(scope="module")
def reports(prefect: PrefectClient, receiver: Receiver) -> dict[str, Facts]:
    return facts.parse(prefect.script("automations.py", receiver.url, timeout=240))


@pytest.fixture(scope="module")
def serving(prefect: PrefectClient, runs: Runs) -> Iterator[ManagedProcess]:
    runs.post("/work_pools/", {"name": POOL, "type": "process"})
    process = prefect.start_script("serve_triggers.py", POOL)
    wanted = {"on assess.stored", "on assess.served"}
    made = lambda: wanted <= {automation["name"] for automation in runs.post("/automations/filter")}  # noqa: E731
    process.wait_for(made, "makes its automations", 90)
    yield process
    process.terminate(10)


@pytest.mark.parametrize(
    ("name", "posture", "cause"), [("reactive", "Reactive", -1), ("compound", None, -1), ("sequence", None, -1)]
)
def test_an_automation_fires_on_what_the_client_sends(
    reports: dict[str, Facts], name: str, posture: str | None, cause: int
) -> None:
    fired = facts.of(reports, name)
    assert fired["cause"] == fired["sent"][cause]
    assert fired["posture"] == posture
    assert fired["labels"] == {}


def test_an_automation_fires_on_what_does_not_come(reports: dict[str, Facts]) -> None:
    """Two of five events within ten seconds."""
    fired = facts.of(reports, "proactive")
    assert fired["cause"] in fired["sent"]
    assert fired["posture"] == "Proactive"
    assert fired["labels"] == {"prefect.resource.id": "assess.source"}
    assert fired["seconds"] >= 10


@pytest.mark.parametrize(
    ("name", "state", "message"),
    [("cancel", "Cancelling", "Cancelled by Automation "), ("suspend", "Suspended", "Suspended by Automation ")],
)
def test_actions_change_the_run_of_the_event(reports: dict[str, Facts], name: str, state: str, message: str) -> None:
    acted = facts.of(reports, name)
    assert acted["event"] == "prefect.automation.action.executed", acted
    assert acted["state"] == state
    assert acted["message"].startswith(message)
    assert acted["roles"] == ["target", "automation-triggered-event", "triggering-event"]


def test_an_action_resumes_the_run(reports: dict[str, Facts]) -> None:
    acted = facts.of(reports, "resume")
    assert acted["event"] == "prefect.automation.action.executed", acted
    assert acted["state"] == "Resuming"


def test_an_action_pauses_another_automation(reports: dict[str, Facts]) -> None:
    acted = facts.of(reports, "pause-automation")
    assert acted == {"event": "prefect.automation.action.executed", "enabled": False}


def test_messages_arrive(reports: dict[str, Facts], receiver: Receiver) -> None:
    told = facts.of(reports, "messages")
    assert [event for event, _ in told["events"]] == ["prefect.automation.action.executed"] * 2, told
    got = {request.path: request for request in receiver.requests}
    assert json.loads(got["/slack"].body) == {"text": "*messages*\nn is 7"}
    assert (got["/webhook"].method, got["/webhook"].headers["X-Key"]) == ("PUT", "k")
    assert json.loads(got["/webhook"].body) == {"n": 7}


@pytest.mark.parametrize("kind", ["served", "stored"])
def test_a_deployment_with_triggers_runs_on_events(
    serving: ManagedProcess, prefect: PrefectClient, runs: Runs, kind: str
) -> None:
    deployment = runs.get(f"/deployments/name/triggered/{kind}")
    related = runs.get(f"/automations/related-to/prefect.deployment.{deployment['id']}")
    assert [automation["name"] for automation in related] == [f"on assess.{kind}"]
    prefect.script("emit_events.py", f"assess.{kind}", "2", "0")

    def both() -> list[Json]:
        found = runs.flow_runs(deployment_id={"any_": [deployment["id"]]})
        assert len(found) == 2, found
        return found

    made = eventually(both, f"two runs of {kind}", 60, detail=serving.tail)
    assert sorted(run["parameters"]["number"] for run in made) == [0, 1]
    for run in made:
        assert run["created_by"] == {"id": related[0]["id"], "type": "AUTOMATION", "display_value": f"on assess.{kind}"}
    shown = prefect.cli("flow-run", "inspect", made[0]["id"], "--output", "json")
    assert '"AUTOMATION"' in shown
    if kind == "served":
        for run in made:
            runs.wait_state(run["id"], "COMPLETED", timeout=90)


def test_an_action_cancels_a_run_in_its_process(serving: ManagedProcess, prefect: PrefectClient, runs: Runs) -> None:
    deployment = runs.get("/deployments/name/lingering/served")
    run = runs.post(f"/deployments/{deployment['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
    runs.wait_state(run["id"], "RUNNING", timeout=90)
    trigger = {"type": "event", "posture": "Reactive", "expect": ["assess.too-long"], "threshold": 1, "within": 0}
    automation = {"name": "too long", "trigger": trigger, "actions": [{"type": "cancel-flow-run"}]}
    runs.post("/automations/", automation)
    prefect.script("emit_events.py", "assess.too-long", "1", "0", run["id"])
    ended = runs.wait_state(run["id"], "CANCELLED", timeout=60)
    assert ended["state"]["name"] == "Cancelled"
    assert "Cancelling" in runs.history(run["id"])
