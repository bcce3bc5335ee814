"""What runs look like: exactly these keys, what is null and what is empty, what creating and changing them takes."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from sempre.server.services import db_vacuum
from tests.integration.orchestration.conftest import Api, Json


def _keys(text: str) -> frozenset[str]:
    return frozenset(text.split())


FLOW_RUN = _keys(
    """
    id created updated name flow_id state_id deployment_id deployment_version work_queue_id work_queue_name flow_version
    parameters idempotency_key context empirical_policy tags labels parent_task_run_id state_type state_name run_count
    expected_start_time next_scheduled_start_time start_time end_time total_run_time estimated_run_time
    estimated_start_time_delta auto_scheduled infrastructure_document_id infrastructure_pid created_by work_pool_id
    work_pool_name state job_variables
    """
)
TASK_RUN = _keys(
    """
    id created updated name flow_run_id task_key dynamic_key cache_key cache_expiration task_version empirical_policy
    tags labels state_id task_inputs state_type state_name run_count flow_run_run_count expected_start_time
    next_scheduled_start_time start_time end_time total_run_time estimated_run_time estimated_start_time_delta state
    """
)
DETAILS: Json = {
    "flow_run_id": None, "task_run_id": None, "child_flow_run_id": None, "scheduled_time": None, "cache_key": None,
    "cache_expiration": None, "deferred": False, "untrackable_result": False, "pause_timeout": None,
    "pause_reschedule": False, "pause_key": None, "run_input_keyset": None, "refresh_cache": None, "retriable": None,
    "transition_id": None, "task_parameters_id": None, "traceparent": None, "deployment_concurrency_lease_id": None,
}  # fmt: skip
INTEGRITY = (
    "Data integrity conflict. This usually means a unique or foreign key constraint was violated. See server logs for "
    "details."
)


async def test_a_bare_flow_run(api: Api) -> None:
    created = await api.flow_run()
    for run in (created, await api.reread(created), (await api.post("/flow_runs/filter", _only(created)))[0]):
        assert run.keys() == FLOW_RUN
        assert run["empirical_policy"] == {
            "max_retries": 0, "retry_delay_seconds": 0.0, "retries": None, "retry_delay": None, "pause_keys": [],
            "resuming": False, "retry_type": None,
        }  # fmt: skip
        assert run["state"].keys() == {"id", "type", "name", "timestamp", "message", "data", "state_details"}
        assert run["state"]["state_details"] == {**DETAILS, "flow_run_id": run["id"]}
        assert (run["job_variables"], run["parameters"], run["context"], run["tags"]) == ({}, {}, {}, [])
        assert run["labels"] == {"prefect.flow.id": run["flow_id"]}
        assert (run["state_type"], run["state_name"], run["run_count"]) == ("PENDING", "Pending", 0)


async def test_a_bare_task_run(api: Api) -> None:
    flow_run = await api.flow_run("RUNNING")
    created = await api.task_run(flow_run["id"])
    found = await api.post("/task_runs/filter", {"task_runs": {"id": {"any_": [created["id"]]}}})
    for run in (created, await api.reread(created), found[0]):
        assert run.keys() == TASK_RUN
        assert run["empirical_policy"] == {
            "max_retries": 0, "retry_delay_seconds": 0.0, "retries": None, "retry_delay": None,
            "retry_jitter_factor": None,
        }  # fmt: skip
        assert run["state"]["state_details"] == {**DETAILS, "flow_run_id": flow_run["id"], "task_run_id": run["id"]}
        assert run["labels"] == {"prefect.flow.id": flow_run["flow_id"], "prefect.flow-run.id": flow_run["id"]}


def _only(run: Json) -> Json:
    return {"flow_runs": {"id": {"any_": [run["id"]]}}}


@pytest.mark.parametrize("deployed", [False, True])
@pytest.mark.parametrize(
    ("sent", "key", "read"),
    [
        ({}, False, {}),
        ({"job_variables": None}, False, {}),
        ({"job_variables": None}, True, None),
        ({"job_variables": {"a": 1}}, True, {"a": 1}),
        ({"job_variables": {}}, True, {}),
    ],
)
async def test_no_job_variables(api: Api, deployed: bool, sent: Json, key: bool, read: Json | None) -> None:
    body = {**sent, "idempotency_key": str(uuid4())} if key else sent
    if deployed:
        run = await api.post(f"/deployments/{await api.deployment()}/create_flow_run", body, expect=201)
    else:
        run = await api.post("/flow_runs/", {"flow_id": (await api.flow())["id"], **body}, expect=201)
    assert run["job_variables"] == read
    assert (await api.reread(run))["job_variables"] == read


async def test_a_poll_does_not_name_the_queue(api: Api) -> None:
    pool = f"pool-{uuid4()}"
    await api.post("/work_pools/", {"name": pool, "type": "process"}, expect=201)
    deployment = await api.deployment(work_pool_name=pool)
    key = {"idempotency_key": str(uuid4()), "job_variables": None}
    run = await api.post(f"/deployments/{deployment}/create_flow_run", key, expect=201)
    assert (run["work_queue_name"], run["work_pool_name"]) == ("default", pool)
    (due,) = await api.post(f"/work_pools/{pool}/get_scheduled_flow_runs", {})
    assert due.keys() == {"work_pool_id", "work_queue_id", "flow_run"}
    given = due["flow_run"]
    assert (given["work_queue_name"], given["state"], given["job_variables"]) == (None, None, None)
    assert (given["state_name"], given["work_queue_id"]) == ("Scheduled", run["work_queue_id"])
    assert given.keys() == FLOW_RUN - {"work_pool_id", "work_pool_name"}


CREATIONS: dict[str, tuple[Json, int]] = {
    "unknown key": ({"x": 1}, 422),
    "its own id": ({"id": str(uuid4())}, 422),
    "lower case type": ({"state": {"type": "running"}}, 422),
    "a state's id": ({"state": {"type": "RUNNING", "id": str(uuid4())}}, 422),
    "no details": ({"state": {"type": "RUNNING", "state_details": None}}, 422),
    "unknown details": ({"state": {"type": "RUNNING", "state_details": {"zz": 1}}}, 201),
    "half a second of delay": ({"empirical_policy": {"retry_delay": 1.5}}, 422),
    "another retry type": ({"empirical_policy": {"retry_type": "x"}}, 422),
    "parameters too large": ({"parameters": {"a": "x" * 524288}}, 422),
    "unknown flow": ({"flow_id": str(uuid4())}, 409),
    "unknown parent": ({"parent_task_run_id": str(uuid4())}, 409),
    "unknown infrastructure": ({"infrastructure_document_id": str(uuid4())}, 409),
    "unknown deployment": ({"deployment_id": str(uuid4())}, 201),
    "unknown pool": ({"work_pool_name": "nope"}, 404),
    "a queue without a pool": ({"work_queue_name": "q"}, 201),
    "no labels": ({"labels": None}, 201),
    "no name": ({"name": None}, 201),
}


@pytest.mark.parametrize("case", CREATIONS)
async def test_creation(api: Api, case: str) -> None:
    sent, status = CREATIONS[case]
    answer = await api.post("/flow_runs/", {"flow_id": (await api.flow())["id"], **sent}, expect=status)
    if status == 409:
        assert answer == {"detail": INTEGRITY}
    if status == 201:
        assert answer["name"]
        assert answer["work_queue_name"] == sent.get("work_queue_name")


async def test_twenty_creations_on_two_replicas(api: Api, replica: Api) -> None:
    key = str(uuid4())
    flow = (await api.flow())["id"]
    bodies = [{"flow_id": flow, "idempotency_key": key, "name": f"n-{number}"} for number in range(20)]
    answers = await asyncio.gather(
        *((api, replica)[number % 2].client.post("/flow_runs/", json=body) for number, body in enumerate(bodies))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    runs = [answer.json() for answer in answers]
    assert len({run["id"] for run in runs}) == len({run["name"] for run in runs}) == 1
    assert await api.names(runs[0]) == ["Pending"]


async def test_a_first_state_may_carry_a_result(api: Api) -> None:
    data = {"value": 1, "artifact_key": "a-key", "artifact_type": "kind", "artifact_description": "text"}
    run = await api.flow_run({"type": "COMPLETED", "data": data})
    assert run["state"]["data"] == (await api.reread(run))["state"]["data"] == {"value": 1}
    (artifact,) = await api.post("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
    assert (artifact["key"], artifact["type"], artifact["description"]) == ("a-key", "kind", "text")
    unpersisted = await api.flow_run({"type": "COMPLETED", "data": {"type": "unpersisted"}})
    assert unpersisted["state"]["data"] is (await api.reread(unpersisted))["state"]["data"] is None


async def test_what_a_transition_says_of_its_data(api: Api) -> None:
    run = await api.flow_run("RUNNING")
    answer = await api.propose(run, {"type": "RUNNING", "data": {"value": 1, "artifact_key": "k"}})
    assert answer["state"]["data"] == {"value": 1}
    answer = await api.propose(run, {"type": "COMPLETED", "data": {"type": "unpersisted"}})
    assert answer["state"]["data"] == {"type": "unpersisted"}
    assert [state["data"] for state in await api.states(run)] == [None, {"value": 1}, None]


async def test_a_subflow_s_result_is_its_parent_s_too(api: Api) -> None:
    parent = await api.flow_run("RUNNING")
    task_run = await api.task_run(parent["id"], "PENDING")
    child = await api.flow_run("RUNNING", parent_task_run_id=task_run["id"])
    await api.propose(child, {"type": "COMPLETED", "data": {"value": 1}})
    mirrored = (await api.reread(task_run))["state"]
    assert (mirrored["type"], mirrored["data"]) == ("COMPLETED", {"value": 1})
    assert mirrored["state_details"]["child_flow_run_id"] == child["id"]
    for key, id in (("flow_run_id", child["id"]), ("task_run_id", task_run["id"])):
        assert await api.post("/artifacts/count", {"artifacts": {key: {"any_": [id]}}}) == 1


PATCHES: list[tuple[Json, int, Any]] = [
    ({"name": "other"}, 204, "other"),
    ({"name": None}, 204, None),
    ({"flow_version": "2"}, 204, "2"),
    ({"parameters": {"a": 1}}, 204, {"a": 1}),
    ({"tags": ["a"]}, 204, ["a"]),
    ({"infrastructure_pid": "7"}, 204, "7"),
    ({"job_variables": {"a": 1}}, 204, {"a": 1}),
    ({"job_variables": None}, 204, None),
    ({"tags": None}, 422, None),
    ({"parameters": None}, 422, None),
    ({"state": {}}, 422, None),
    ({"labels": {}}, 422, None),
]


async def test_changes(api: Api) -> None:
    run = await api.flow_run("SCHEDULED", deployment_id=await api.deployment())
    for body, status, value in PATCHES:
        assert await api.code("PATCH", f"/flow_runs/{run['id']}", body) == status, body
        (key,) = body
        if status == 204 and key != "name":
            assert (await api.reread(run))[key] == value
    policy = {"pause_keys": ["k"], "resuming": True, "retry_type": "in_process"}
    await api.call("PATCH", f"/flow_runs/{run['id']}", {"empirical_policy": policy}, expect=204)
    await api.call("PATCH", f"/flow_runs/{run['id']}", {"empirical_policy": {"retries": 3}}, expect=204)
    read = (await api.reread(run))["empirical_policy"]
    assert (read["retries"], read["pause_keys"], read["resuming"], read["retry_type"]) == (3, [], False, None)
    assert await api.call("PATCH", f"/flow_runs/{uuid4()}", {"name": "x"}, expect=404) == {
        "detail": "Flow run not found"
    }


async def test_when_job_variables_may_change(api: Api) -> None:
    deployment = await api.deployment()
    texts = []
    for state, fields in (("RUNNING", {"deployment_id": deployment}), ("SCHEDULED", {})):
        run = await api.flow_run(state, **fields)
        answer = await api.call("PATCH", f"/flow_runs/{run['id']}", {"job_variables": {"a": 1}}, expect=400)
        texts.append(answer["detail"])
    assert texts == [
        "Job variables for a flow run in state RUNNING cannot be updated",
        "A deployment for the flow run could not be found",
    ]


async def test_labels_are_merged(api: Api) -> None:
    run = await api.flow_run("PENDING", labels={"a": 1})
    path = f"/flow_runs/{run['id']}/labels"
    for body, status in (({"b": "x"}, 204), ({"a": 2.5}, 204), ({}, 204), ({"c": {"nested": 1}}, 422)):
        assert await api.code("PATCH", path, body) == status
    labels = (await api.reread(run))["labels"]
    assert labels == {"prefect.flow.id": run["flow_id"], "a": 2.5, "b": "x"}
    unknown = uuid4()
    assert await api.call("PATCH", f"/flow_runs/{unknown}/labels", {"a": 1}, expect=404) == {
        "exception_message": f"Flow run with id {unknown} not found"
    }


async def test_states_of_runs(api: Api) -> None:
    run = await api.flow_run("PENDING")
    await api.propose(run, "RUNNING")
    states = await api.states(run)
    assert [state["type"] for state in states] == ["PENDING", "RUNNING"]
    assert states[0]["timestamp"] < states[1]["timestamp"]
    assert await api.get(f"/flow_run_states/{states[0]['id']}") == states[0]
    for kind in ("flow", "task"):
        assert await api.get(f"/{kind}_run_states/?{kind}_run_id={uuid4()}") == []
        answer = await api.get(f"/{kind}_run_states/{uuid4()}", expect=404)
        assert answer == {"detail": "Flow run state not found"}


async def test_flow_retries(api: Api) -> None:
    run = await api.flow_run("PENDING", empirical_policy={"retries": 2, "retry_delay": 0})
    seen = []
    for _ in range(3):
        for state in ("RUNNING", "FAILED"):
            answer = await api.propose(run, {"type": state, "message": "why"}, expect=201)
            read = await api.reread(run)
            seen.append(
                (answer["state"]["name"], read["run_count"], read["empirical_policy"]["retry_type"], read["end_time"])
            )
    end = (await api.reread(run))["end_time"]
    assert seen == [
        ("Running", 1, None, None),
        ("AwaitingRetry", 1, "in_process", None),
        ("Running", 2, "in_process", None),
        ("AwaitingRetry", 2, "in_process", None),
        ("Running", 3, "in_process", None),
        ("Failed", 3, None, end),
    ]
    waiting = [state for state in await api.states(run) if state["name"] == "AwaitingRetry"]
    assert {state["message"] for state in waiting} == {"why"}


@pytest.mark.parametrize("delay", [5, 60])
async def test_a_retry_waits(api: Api, delay: int) -> None:
    run = await api.flow_run("RUNNING", empirical_policy={"retries": 1, "retry_delay": delay})
    failed = await api.propose(run, "FAILED", expect=201)
    assert (failed["status"], failed["details"]["reason"]) == ("REJECT", "Retrying")
    early = await api.propose(run, "RUNNING", expect=200)
    assert early["status"] == "WAIT"
    assert early["details"] == {
        "type": "wait_details", "delay_seconds": delay, "reason": "Scheduled time is in the future",
    }  # fmt: skip
    assert early["state"] == failed["state"]


async def test_input_that_does_not_do_leaves_the_pause(api: Api) -> None:
    keys = {"schema": "s", "response": "r", "description": "d"}
    run = await api.flow_run({"type": "PAUSED", "state_details": {"run_input_keyset": keys}})
    refused = await api.post(f"/flow_runs/{run['id']}/resume", {"run_input": {"n": 1}}, expect=200)
    assert refused["state"] == run["state"]
    assert (refused["status"], refused["details"]) == (
        "REJECT", {"type": "abort_details", "reason": "Run input schema not found."},
    )  # fmt: skip


async def test_expired_cache_entries_are_removed(api: Api) -> None:
    keys = {}
    for expiration in ("2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z", None):
        run = await api.task_run(None, "RUNNING")
        details = {"cache_key": run["id"], "cache_expiration": expiration}
        await api.propose(run, {"type": "COMPLETED", "state_details": details}, expect=201)
        keys[expiration] = run["id"]
    await db_vacuum.run(api.scope)
    left = await api.scope.db.fetch(
        "SELECT cache_key FROM task_run_cache WHERE cache_key = ANY($1)", list(keys.values())
    )
    assert {row["cache_key"] for row in left} == {keys["2040-01-01T00:00:00Z"], keys[None]}
