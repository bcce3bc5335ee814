"""What scripts do with the library beyond running flows: deployments in full, inputs, events, the API client."""

from __future__ import annotations

import httpx
import pytest

from tests.conformance import facts
from tests.conformance.facts import Facts
from tests.support.prefect_env import PrefectClient
from tests.support.runs import Runs, checked


@pytest.fixture(scope="module")
def reports(prefect: PrefectClient, api: httpx.Client) -> dict[str, Facts]:
    checked(api.post("/work_pools/", json={"name": "documented-pool", "type": "process"}))
    checked(api.post("/v2/concurrency_limits/", json={"name": "documented-limit", "limit": 1}))
    rate = {"name": "documented-rate", "limit": 2, "slot_decay_per_second": 2.0}
    checked(api.post("/v2/concurrency_limits/", json=rate))
    return facts.parse(prefect.script("documented.py", timeout=300))


def test_a_full_deployment_made_twice(reports: dict[str, Facts], runs: Runs) -> None:
    first, second = facts.of(reports, "deployments")["ids"]
    assert first == second
    made = runs.get(f"/deployments/{first}")
    assert (made["version"], made["tags"], made["description"]) == ("2", ["one", "two"], "everything")
    assert (made["work_pool_name"], made["work_queue_name"]) == ("documented-pool", "documented-queue")
    assert (made["parameters"], made["job_variables"]) == ({"count": 2}, {"env": {"A": "1"}})
    assert made["global_concurrency_limit"]["limit"] == 3
    assert made["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert made["enforce_parameter_schema"] is True
    assert set(made["parameter_openapi_schema"]["properties"]) == {"count", "label"}
    schedules = {item["slug"]: item for item in made["schedules"]}
    assert set(schedules) == {"daily", "often"}
    assert (schedules["daily"]["schedule"]["timezone"], schedules["daily"]["parameters"]) == (
        "Europe/Berlin",
        {"count": 7},
    )
    assert (schedules["often"]["schedule"]["interval"], schedules["often"]["active"]) == (7200.0, False)
    (automation,) = runs.get(f"/automations/related-to/prefect.deployment.{first}")
    assert automation["name"] == "documented-trigger"
    assert automation["actions"][0]["parameters"] == {"label": "{{ event.resource.id }}"}


def test_parameters_are_filled_in_and_checked(reports: dict[str, Facts]) -> None:
    hydrated = facts.of(reports, "hydrated")
    assert hydrated["parameters"] == {"count": 4, "label": "from a variable"}
    assert "409" in hydrated["refused"]
    assert "'many' is not of type 'integer'" in hydrated["refused"]


def test_inputs_between_runs(reports: dict[str, Facts], runs: Runs) -> None:
    inputs = facts.of(reports, "inputs")
    assert inputs["typed"] == ["first", "second"]
    assert runs.wait_state(inputs["run_id"], "Completed")


def test_runtime_context(reports: dict[str, Facts]) -> None:
    context = facts.of(reports, "context")
    assert context["inner"] == {"task": "named-3", "parameters": {"x": 3}, "flow": "run-3"}
    assert context["flow"] == ["run-3", "contextual", {"x": 3}, [], 1]
    assert context["deployment"] is None


def test_a_subscriber_gets_the_event_it_asked_for(reports: dict[str, Facts]) -> None:
    events = facts.of(reports, "events")
    assert (events["same"], events["payload"]) == (True, {"n": 1})
    assert "friend" in events["related"]


def test_reads_and_changes_by_the_client(reports: dict[str, Facts]) -> None:
    reads = facts.of(reports, "client_reads")
    expected = [f"documented-run-{number}" for number in (4, 3, 2, 1, 0)]
    assert reads["pages"] == [expected[:2], expected[2:4], expected[4:]]
    assert reads["by_name"] == ["documented-run-0"]
    assert "documented" in reads["flows"]
    assert reads["renamed"] == ["renamed", ["other"]]
    assert reads["set"] == ["ACCEPT", "SCHEDULED"]
    assert reads["rest"] == ["documented-run-1", "documented-run-2", "documented-run-3"]


def test_limits_from_coroutines(reports: dict[str, Facts], runs: Runs) -> None:
    limits = facts.of(reports, "limits")
    assert limits["held"] == [0, 1, 2]
    assert (limits["strict"], limits["lenient"]) == ("ConcurrencySlotAcquisitionError", "entered")
    assert runs.get("/v2/concurrency_limits/documented-limit")["active_slots"] == 0
