"""Pausing, suspending and resuming flow runs, with and without input."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from sempre.server.scope import Scope
from tests.integration.runs.conftest import Api, Json, outcome_of

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
KEYSET = {"description": "paused-1-description", "response": "paused-1-response", "schema": "paused-1-schema"}


def paused(**details: Any) -> Json:
    return {"type": "PAUSED", "name": "Paused", "state_details": {"pause_timeout": "2100-01-01T00:00:00Z", **details}}


def suspended(**details: Any) -> Json:
    return {**paused(pause_reschedule=True, **details), "name": "Suspended"}


@pytest.fixture
async def deployment_id(scope: Scope, api: Api) -> str:
    flow = await api.flow()
    id = uuid4()
    await scope.db.execute(
        "INSERT INTO deployment (id, workspace_id, name, flow_id) VALUES ($1, $2, 'd', $3)",
        id,
        scope.workspace_id,
        flow["id"],
    )
    return str(id)


async def test_a_blocking_pause_counts_the_first_resume_as_an_attempt(api: Api) -> None:
    run = await api.flow_run("RUNNING")
    for attempts in (2, 2):
        assert outcome_of(await api.propose(run, paused(pause_key=str(uuid4())))) == ("ACCEPT", "PAUSED")
        result = await api.post(f"/flow_runs/{run['id']}/resume", expect=201)
        assert outcome_of(result) == ("ACCEPT", "RUNNING")
        read = await api.reread(run)
        assert (read["run_count"], read["empirical_policy"]["resuming"]) == (attempts, True)


async def test_a_suspended_run_is_scheduled_again(api: Api, deployment_id: str) -> None:
    run = await api.flow_run("RUNNING", deployment_id=deployment_id)
    assert outcome_of(await api.propose(run, suspended(pause_key="k"))) == ("ACCEPT", "PAUSED")
    result = await api.post(f"/flow_runs/{run['id']}/resume", expect=201)
    assert (result["status"], result["state"]["type"], result["state"]["name"]) == ("ACCEPT", "SCHEDULED", "Resuming")
    await api.propose(run, "PENDING")
    assert outcome_of(await api.propose(run, "RUNNING")) == ("ACCEPT", "RUNNING")
    read = await api.reread(run)
    assert (read["run_count"], read["empirical_policy"]["resuming"]) == (1, False)
    # The run is back at the call that suspended it.
    again = await api.propose(run, suspended(pause_key="k"), expect=200)
    assert outcome_of(again) == ("REJECT", "RUNNING")
    assert again["details"]["reason"] == "This suspend has already fired."


async def test_who_may_not_suspend(api: Api) -> None:
    run = await api.flow_run("RUNNING")
    result = await api.propose(run, suspended(), expect=200)
    assert (result["status"], result["details"]["reason"]) == (
        "ABORT",
        "Cannot suspend flows without a deployment.",
    )
    pending = await api.flow_run("PENDING")
    result = await api.propose(pending, paused(), expect=200)
    assert result["details"]["reason"] == "Cannot pause flows that are not currently running."


async def test_an_expired_pause_can_only_fail(api: Api) -> None:
    run = await api.flow_run(paused(pause_timeout="2020-01-01T00:00:00Z"))
    result = await api.post(f"/flow_runs/{run['id']}/resume", expect=201)
    assert outcome_of(result) == ("REJECT", "FAILED")
    assert result["details"] == {
        "type": "reject_details",
        "reason": "The flow run pause has timed out and can no longer resume.",
    }


async def test_resuming_what_is_not_paused(api: Api) -> None:
    run = await api.flow_run("RUNNING")
    result = await api.post(f"/flow_runs/{run['id']}/resume", {"run_input": None}, expect=200)
    assert result == {
        "state": None,
        "status": "ABORT",
        "details": {"type": "abort_details", "reason": "Cannot resume a flow run that is not paused."},
    }
    answer = await api.post(f"/flow_runs/{uuid4()}/resume", expect=404)
    assert answer == {"detail": "Flow run not found"}


async def waiting_for_input(api: Api, schema: str | None) -> Json:
    run = await api.flow_run("RUNNING")
    await api.propose(run, paused(run_input_keyset=KEYSET))
    if schema is not None:
        await api.post(f"/flow_runs/{run['id']}/input", {"key": KEYSET["schema"], "value": schema}, expect=201)
    return run


async def test_input_is_there_when_the_run_goes_on(api: Api) -> None:
    run = await waiting_for_input(api, json.dumps(SCHEMA))
    await api.post(f"/flow_runs/{run['id']}/resume", {"run_input": {"n": 4}}, expect=201)
    response = await api.client.get(f"/flow_runs/{run['id']}/input/{KEYSET['response']}")
    assert response.text == '{"n":4}'
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("schema", "given", "reason"),
    [
        (json.dumps(SCHEMA), {}, "Reason: Validation failed. Failure reason: 'n' is a required property"),
        (
            json.dumps(SCHEMA),
            {"n": "x"},
            "Reason: Validation failed for field 'n'. Failure reason: 'x' is not of type 'integer'",
        ),
        (None, {"n": 1}, "Run input schema not found."),
        ("{", {"n": 1}, "Run input schema is not valid JSON."),
        (
            json.dumps(SCHEMA),
            {"n": {"__prefect_kind": "workspace_variable", "variable_name": "nope"}},
            "Error hydrating run input: Variable 'nope' not found in workspace.",
        ),
    ],
)
async def test_input_that_does_not_do(api: Api, schema: str | None, given: Json, reason: str) -> None:
    run = await waiting_for_input(api, schema)
    result = await api.post(f"/flow_runs/{run['id']}/resume", {"run_input": given}, expect=200)
    assert (result["status"], result["details"]) == ("REJECT", {"type": "abort_details", "reason": reason})
    assert (await api.reread(run))["state_type"] == "PAUSED"
    await api.get(f"/flow_runs/{run['id']}/input/{KEYSET['response']}", expect=404)


async def test_variables_in_input(api: Api, scope: Scope) -> None:
    await scope.db.execute(
        "INSERT INTO variable (id, workspace_id, name, value) VALUES (gen_random_uuid(), $1, 'four', $2)",
        scope.workspace_id,
        4,
    )
    run = await waiting_for_input(api, json.dumps(SCHEMA))
    given = {"n": {"__prefect_kind": "workspace_variable", "variable_name": "four"}}
    await api.post(f"/flow_runs/{run['id']}/resume", {"run_input": given}, expect=201)
    assert await api.get(f"/flow_runs/{run['id']}/input/{KEYSET['response']}") == {"n": 4}


async def test_of_many_resumes_one_goes_through(api: Api) -> None:
    run = await waiting_for_input(api, json.dumps(SCHEMA))
    answers = await asyncio.gather(
        *(api.post(f"/flow_runs/{run['id']}/resume", {"run_input": {"n": number}}) for number in range(10))
    )
    winners = [number for number, answer in enumerate(answers) if answer["status"] == "ACCEPT"]
    assert len(winners) == 1
    assert {answer["status"] for answer in answers} == {"ACCEPT", "ABORT"}
    assert await api.get(f"/flow_runs/{run['id']}/input/{KEYSET['response']}") == {"n": winners[0]}
    assert await api.names(run) == ["Running", "Paused", "Running"]


async def test_inputs(api: Api) -> None:
    run = await api.flow_run("RUNNING")
    path = f"/flow_runs/{run['id']}/input"
    for number in range(3):
        await api.post(path, {"key": f"a-{number}", "value": f"v{number}", "sender": "s"}, expect=201)
    await api.post(path, {"key": "b", "value": ""}, expect=201)
    answer = await api.post(path, {"key": "b", "value": "again"}, expect=409)
    assert answer == {"detail": "A flow run input with this key already exists."}
    for key in ("UP.per_x", "bad key!"):
        await api.post(path, {"key": key, "value": ""}, expect=422)
    assert await api.post(f"/flow_runs/{uuid4()}/input", {"key": "a", "value": ""}, expect=404) == {
        "detail": "Flow run not found"
    }
    assert [found["key"] for found in await api.post(f"{path}/filter", {"prefix": "a-"})] == ["a-0"]
    found = await api.post(f"{path}/filter", {"prefix": "a", "limit": 5, "exclude_keys": ["a-1"]})
    assert [(one["key"], one["value"], one["sender"]) for one in found] == [("a-0", "v0", "s"), ("a-2", "v2", "s")]
    assert set(found[0]) == {"id", "created", "updated", "flow_run_id", "key", "value", "sender"}
    await api.call("DELETE", f"{path}/b", expect=204)
    for method in ("DELETE", "GET"):
        assert await api.call(method, f"{path}/b", expect=404) == {"detail": "Flow run input not found"}
    assert await api.post(f"/flow_runs/{uuid4()}/input/filter", {"prefix": ""}) == []
