"""Flow runs: every status, text and special case of their operations that the rooms' own tests leave open."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.integration.protocol.facts import INTEGRITY, NOBODY, Fact, Invalid, detail, hold, message
from tests.support.rooms import Rooms

JsonObject = dict[str, Any]
MISSING = detail("Flow run not found")
AUTOMATION = {"Prefect-Automation-ID": NOBODY, "Prefect-Automation-Name": "bmlnaHRseQ=="}


async def a_flow(rooms: Rooms, **fields: Any) -> str:
    return str((await rooms.post("/flows/", {"name": f"f-{uuid4()}", **fields}, 201))["id"])


async def a_run(rooms: Rooms, state: str = "PENDING", details: JsonObject | None = None, **fields: Any) -> JsonObject:
    body = {"flow_id": await a_flow(rooms), "state": {"type": state, "state_details": details or {}}, **fields}
    made: JsonObject = await rooms.post("/flow_runs/", body, 201)
    return made


async def test_unknown_runs(rooms: Rooms) -> None:
    gone = f"/flow_runs/{NOBODY}"
    key = detail("Flow run input not found")
    await hold(
        rooms,
        [
            ("GET", gone, None, 404, MISSING),
            ("DELETE", gone, None, 404, MISSING),
            ("PATCH", gone, {}, 404, MISSING),
            ("PATCH", gone, {"job_variables": {"a": 1}}, 404, MISSING),
            ("PATCH", f"{gone}/labels", {}, 404, message(f"Flow run with id {NOBODY} not found")),
            ("POST", f"{gone}/set_state", {"state": {"type": "RUNNING"}}, 404,
             message(f"Flow run with id {NOBODY} not found")),
            ("POST", f"{gone}/resume", {}, 404),
            ("GET", f"{gone}/graph", None, 404, message(f"Flow run with id {NOBODY} not found")),
            ("GET", f"{gone}/graph-v2", None, 404, message(f"Flow run {NOBODY} not found")),
            ("POST", f"{gone}/input", {"key": "k", "value": "v"}, 404, MISSING),
            ("POST", f"{gone}/input/filter", {"prefix": "k"}, 200, []),
            ("GET", f"{gone}/input/k", None, 404, key),
            ("DELETE", f"{gone}/input/k", None, 404, key),
            ("GET", f"/flow_run_states/{NOBODY}", None, 404, detail("Flow run state not found")),
            ("GET", f"/flow_run_states/?flow_run_id={NOBODY}", None, 200, []),
            ("GET", "/flow_run_states/", None, 422, Invalid("missing", "query.flow_run_id")),
            ("GET", "/flow_run_states/?flow_run_id=x", None, 422, Invalid("uuid_parsing", "query.flow_run_id")),
        ],
    )  # fmt: skip


async def test_creation(rooms: Rooms) -> None:
    flow = await a_flow(rooms)
    pool = f"p-{uuid4().hex[:8]}"
    await rooms.post("/work_pools/", {"name": pool, "type": "process"}, 201)
    bad: list[tuple[JsonObject, Invalid]] = [
        ({"state": {"type": "x"}}, Invalid("enum", "body.state.type")),
        ({"state": {}}, Invalid("missing", "body.state.type")),
        ({"state": {"type": "PENDING", "timestamp": "2026-01-01"}}, Invalid("extra_forbidden", "body.state.timestamp")),
        ({"parameters": None}, Invalid("dict_type", "body.parameters")),
        ({"tags": None}, Invalid("list_type", "body.tags")),
        ({"labels": {"x": [1]}}, Invalid(place="body.labels.x")),
        ({"created_by": {}}, Invalid("extra_forbidden", "body.created_by")),
        ({"auto_scheduled": True}, Invalid("extra_forbidden", "body.auto_scheduled")),
        ({"flow_id": "x"}, Invalid("uuid_parsing", "body.flow_id")),
    ]
    await hold(
        rooms,
        [Fact("POST", "/flow_runs/", {"flow_id": flow, **fields}, 422, wrong) for fields, wrong in bad]
        + [
            Fact("POST", "/flow_runs/", {"flow_id": NOBODY}, 409, INTEGRITY),
            Fact("POST", "/flow_runs/", {"flow_id": flow, "parent_task_run_id": NOBODY}, 409, INTEGRITY),
            Fact("POST", "/flow_runs/", {"flow_id": flow, "deployment_id": NOBODY}, 201,
                 lambda b: b["deployment_id"] == NOBODY),
            Fact("POST", "/flow_runs/", {"flow_id": flow, "work_pool_name": "nope"}, 404,
                 detail('Work pool "nope" not found.')),
            Fact("POST", "/flow_runs/", {"flow_id": flow, "work_pool_name": pool, "work_queue_name": "q"}, 404,
                 detail(f"Work pool queue '{pool}/q' not found.")),
            Fact("POST", "/flow_runs/", {"flow_id": flow, "work_pool_name": pool}, 201,
                 lambda b: (b["work_pool_name"], b["work_queue_name"]) == (pool, "default")),
            Fact("POST", "/flow_runs/", {"flow_id": flow, "work_pool_name": ""}, 201),
            Fact("POST", "/flow_runs/", {"flow_id": flow, "name": ""}, 201, lambda b: b["name"].count("-") == 1),
            Fact("POST", "/flow_runs/", {"flow_id": flow, "name": "a/b%"}, 201, lambda b: b["name"] == "a/b%"),
            Fact("POST", "/flow_runs/", {"flow_id": flow, "state": {"type": "PAUSED"}}, 201,
                 lambda b: b["state"]["name"] == "Paused"),
        ],
    )  # fmt: skip


async def test_times_come_back_in_utc_at_once(rooms: Rooms) -> None:
    run = await a_run(rooms, "SCHEDULED", {"scheduled_time": "2030-01-01T00:00:00+01:00"})
    for shown in (run, await rooms.get(f"/flow_runs/{run['id']}")):
        assert shown["expected_start_time"] == shown["next_scheduled_start_time"] == "2029-12-31T23:00:00Z"
        assert shown["state"]["state_details"]["scheduled_time"] == "2029-12-31T23:00:00Z"


@pytest.mark.parametrize(
    ("size", "status"), [(524288 - len('{"a":""}'), 201), (524289 - len('{"a":""}'), 422)]
)  # fmt: skip
async def test_the_size_of_parameters(rooms: Rooms, size: int, status: int) -> None:
    body = {"flow_id": await a_flow(rooms), "parameters": {"a": "x" * size}}
    answer = await rooms.post("/flow_runs/", body, status)
    if status == 422:
        text = "Flow run parameters must be less than 524,288 bytes when serialized (got 524,289 bytes)."
        assert answer["exception_detail"][0]["msg"] == f"Value error, {text}"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (AUTOMATION, {"id": NOBODY, "type": "AUTOMATION", "display_value": "nightly"}),
        ({"Prefect-Automation-ID": NOBODY}, None),
        ({"Prefect-Automation-Name": "bmlnaHRseQ=="}, None),
        ({**AUTOMATION, "Prefect-Automation-Name": "bmlnaHRseQ"}, None),
        ({**AUTOMATION, "Prefect-Automation-Name": "/////w=="}, None),
        ({**AUTOMATION, "Prefect-Automation-Name": ""}, None),
    ],
)
async def test_runs_of_automations(rooms: Rooms, headers: dict[str, str], expected: JsonObject | None) -> None:
    flow = await a_flow(rooms)
    deployment = await rooms.http.post("/api/deployments/", json={"name": "d", "flow_id": flow}, headers=headers)
    path = f"/api/deployments/{deployment.json()['id']}/create_flow_run"
    made = [
        deployment,
        await rooms.http.post("/api/flow_runs/", json={"flow_id": flow}, headers=headers),
        await rooms.http.post(path, json={}, headers=headers),
    ]
    assert [(answer.status_code, answer.json()["created_by"]) for answer in made] == [(201, expected)] * 3
    wrong = {**AUTOMATION, "Prefect-Automation-ID": "x"}
    answer = await rooms.http.post("/api/flow_runs/", json={"flow_id": flow}, headers=wrong)
    assert Invalid("uuid_parsing", "header")(answer.json())


async def test_proposals(rooms: Rooms) -> None:
    run = await a_run(rooms)
    path = f"/flow_runs/{run['id']}/set_state"
    running = {"type": "RUNNING"}
    await hold(
        rooms,
        [
            ("POST", path, {}, 422, Invalid("missing", "body.state")),
            ("POST", path, {"state": None}, 422, Invalid("missing", "body.state")),
            ("POST", path, {"state": {"type": "Running"}}, 422, Invalid("enum", "body.state.type")),
            ("POST", path, {"state": {**running, "zz": 1}}, 422, Invalid("extra_forbidden", "body.state.zz")),
            ("POST", path, {"state": running, "force": "maybe"}, 422, Invalid("bool_parsing", "body.force")),
            ("POST", path, {"state": running, "force": None, "unknown": 1}, 201,
             lambda b: b["status"] == "ACCEPT" and b["details"] == {"type": "accept_details"}),
            ("POST", path, {"state": {"type": "PENDING"}}, 200,
             lambda b: b["status"] == "ABORT" and b["details"]["type"] == "abort_details"),
            ("POST", path, {"state": running, "force": "true"}, 201, lambda b: b["status"] == "ACCEPT"),
            ("POST", path, {"state": {"type": "COMPLETED", "name": "Done", "message": "m", "data": {"a": 1}}}, 201,
             lambda b: (b["state"]["name"], b["state"]["message"], b["state"]["data"]) == ("Done", "m", {"a": 1})),
        ],
    )  # fmt: skip


async def test_inputs(rooms: Rooms) -> None:
    path = f"/flow_runs/{(await a_run(rooms))['id']}/input"

    def keys(*expected: str) -> Any:
        return lambda b: tuple(i["key"] for i in b) == expected

    await hold(
        rooms,
        [
            ("POST", path, {"key": "k", "value": "v"}, 201, None),
            ("POST", path, {"key": "k", "value": "w"}, 409,
             detail("A flow run input with this key already exists.")),
            ("POST", path, {"key": "k-2", "value": "", "sender": "s", "unknown": 1}, 201, None),
            ("POST", path, {"key": "k-3", "value": '{"a":1}', "sender": None}, 201, None),
            ("POST", path, {"key": "A b", "value": "v"}, 422, Invalid("value_error", "body.key")),
            ("POST", path, {"key": "x"}, 422, Invalid("missing", "body.value")),
            ("POST", path, {"key": "x", "value": None}, 422, Invalid("missing", "body.value")),
            ("POST", path, {"value": "x"}, 422, Invalid("missing", "body.key")),
            ("POST", f"{path}/filter", {"prefix": "k"}, 200, keys("k")),
            ("POST", f"{path}/filter", {"prefix": "k", "limit": 1000}, 200, keys("k", "k-2", "k-3")),
            ("POST", f"{path}/filter", {"prefix": "k", "limit": 0}, 200, []),
            ("POST", f"{path}/filter", {"prefix": "k", "limit": 9, "exclude_keys": ["k"]}, 200, keys("k-2", "k-3")),
            ("POST", f"{path}/filter", {"prefix": "k", "limit": 9, "exclude_keys": None}, 200,
             keys("k", "k-2", "k-3")),
            ("POST", f"{path}/filter", {"prefix": "k_", "limit": 9}, 200, keys("k-2", "k-3")),
            ("POST", f"{path}/filter", {"prefix": "%3", "limit": 9}, 200, keys("k-3")),
            ("POST", f"{path}/filter", {"prefix": "K", "limit": 9}, 200, []),
            ("POST", f"{path}/filter", {"limit": 9}, 422, Invalid("missing", "body.prefix")),
        ],
    )  # fmt: skip
    answer = await rooms.http.get(f"/api{path}/k-3")
    assert (answer.text, answer.headers["content-type"]) == ('{"a":1}', "text/plain; charset=utf-8")
    await rooms.delete(f"{path}/k")
    await hold(rooms, [("DELETE", f"{path}/k", None, 404, detail("Flow run input not found"))])


KEYS = {"schema": "s", "response": "r"}
SCHEMA = '{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}'


@pytest.mark.parametrize(
    ("schema", "given", "reason"),
    [
        (None, {"n": 1}, "Run input schema not found."),
        ("no json", {"n": 1}, "Run input schema is not valid JSON."),
        (SCHEMA, {"n": "x"}, "Reason: Validation failed for field 'n'. Failure reason: "),
        (SCHEMA, {}, "Reason: "),
        (SCHEMA, None, "Reason: "),
        (SCHEMA, {"n": {"__prefect_kind": "json", "value": "{"}}, "Error hydrating run input: Invalid JSON: "),
        (SCHEMA, {"n": {"__prefect_kind": "jinja", "template": "{{"}}, "Error hydrating run input: Invalid jinja: "),
        (SCHEMA, {"n": {"__prefect_kind": "workspace_variable", "variable_name": "nope"}},
         "Error hydrating run input: Variable 'nope' not found in workspace."),
    ],
)  # fmt: skip
async def test_input_that_does_not_do(rooms: Rooms, schema: str | None, given: Any, reason: str) -> None:
    run = await a_run(rooms, "PAUSED", {"run_input_keyset": KEYS, "pause_timeout": "2100-01-01T00:00:00Z"})
    if schema is not None:
        await rooms.post(f"/flow_runs/{run['id']}/input", {"key": "s", "value": schema}, 201)
    answer = await rooms.post(f"/flow_runs/{run['id']}/resume", {"run_input": given}, 200)
    assert (answer["status"], answer["details"]["type"]) == ("REJECT", "abort_details")
    assert answer["details"]["reason"].startswith(reason)
    assert (await rooms.get(f"/flow_runs/{run['id']}"))["state_type"] == "PAUSED"


async def test_resuming(rooms: Rooms) -> None:
    refused = await rooms.post(f"/flow_runs/{(await a_run(rooms))['id']}/resume", None, 200)
    assert refused == {
        "state": None, "status": "ABORT",
        "details": {"type": "abort_details", "reason": "Cannot resume a flow run that is not paused."},
    }  # fmt: skip
    later = "2100-01-01T00:00:00Z"
    run = await a_run(rooms, "PAUSED", {"pause_timeout": later})
    assert (await rooms.post(f"/flow_runs/{run['id']}/resume", None, 201))["state"]["name"] == "Running"
    run = await a_run(rooms, "PAUSED", {"pause_timeout": later, "run_input_keyset": KEYS})
    path = f"/flow_runs/{run['id']}"
    await rooms.post(f"{path}/input", {"key": "s", "value": SCHEMA}, 201)
    await rooms.post(f"{path}/resume", {"run_input": {"n": {"__prefect_kind": "json", "value": "7"}}}, 201)
    assert (await rooms.http.get(f"/api{path}/input/r")).json() == {"n": 7}


WINDOW = {"history_start": "2030-01-01T00:00:00Z", "history_end": "2030-01-01T00:00:05Z", "history_interval_seconds": 2}


@pytest.mark.parametrize("room", ["flow_runs", "task_runs"])
async def test_history(rooms: Rooms, room: str) -> None:
    short = detail("History interval must not be less than 1 second.")

    def ends(*seconds: str) -> Any:
        return lambda b: tuple(i["interval_end"][17:-1] for i in b) == seconds

    cases: list[tuple[JsonObject, int, Any]] = [
        ({}, 200, ends("02", "04", "06")),
        ({"history_interval_seconds": "2"}, 200, ends("02", "04", "06")),
        ({"history_interval_seconds": 1.5}, 200, ends("01.500000", "03", "04.500000", "06")),
        ({"history_interval_seconds": 0.5}, 422, short),
        ({"history_interval_seconds": 0}, 422, short),
        ({"history_interval_seconds": -1}, 422, short),
        ({"history_interval_seconds": "x"}, 422, Invalid(place="body.history_interval_seconds")),
        ({"history_interval_seconds": None}, 422, Invalid("missing", "body.history_interval_seconds")),
        ({"history_end": "2029-01-01"}, 200, []),
        ({"history_end": "2030-01-01T00:00:00Z"}, 200, []),
        ({"history_start": "2030-01-01T01:00:00+01:00"}, 200,
         lambda b: b[0]["interval_start"] == "2030-01-01T00:00:00Z"),
        ({"history_end": "2040-01-01"}, 200,
         lambda b: len(b) == 500 and b[0]["interval_start"] == "2030-01-01T00:00:00Z"),
        ({"work_queues": {}, "work_pool_queues": {"nope": 1}, "nope": 1}, 200, ends("02", "04", "06")),
    ]  # fmt: skip
    await hold(rooms, [Fact("POST", f"/{room}/history", {**WINDOW, **body}, *rest) for body, *rest in cases])


async def test_which_interval_a_run_is_in(rooms: Rooms) -> None:
    flow = await a_flow(rooms)
    for second in ("01", "01", "02", "05.5", "06"):
        details = {"scheduled_time": f"2030-01-01T00:00:{second}Z"}
        await rooms.post(
            "/flow_runs/", {"flow_id": flow, "state": {"type": "SCHEDULED", "state_details": details}}, 201
        )
    read = await rooms.post("/flow_runs/history", {**WINDOW, "flows": {"id": {"any_": [flow]}}})
    assert [[state["count_runs"] for state in interval["states"]] for interval in read] == [[2], [1], [1]]
    assert read[0]["states"] == [
        {"state_type": "SCHEDULED", "state_name": "Scheduled", "count_runs": 2, "sum_estimated_run_time": 0.0,
         "sum_estimated_lateness": 0.0},
    ]  # fmt: skip


async def test_lateness(rooms: Rooms) -> None:
    run = await a_run(rooms, "SCHEDULED", {"scheduled_time": "2020-01-01T00:00:00Z"})
    on_time = await a_run(rooms, "SCHEDULED", {"scheduled_time": "2100-01-01T00:00:00Z"})

    async def ask(*ids: str) -> Any:
        return await rooms.post("/flow_runs/lateness", {"flow_runs": {"id": {"any_": list(ids)}}})

    alone, both = await ask(run["id"]), await ask(run["id"], on_time["id"])
    assert alone > 5 * 365 * 86400
    assert alone / 2 <= both < alone / 2 + 60
    assert await ask() is None
    await hold(rooms, [("POST", "/flow_runs/lateness", {"flow_runs": {"nope": 1}}, 422, Invalid("extra_forbidden"))])


async def test_bulk_proposals(rooms: Rooms) -> None:
    runs = [await a_run(rooms, name="bulk") for _ in range(3)]
    wanted: JsonObject = {"flow_runs": {"name": {"any_": ["bulk"]}}}
    path = "/flow_runs/bulk_set_state"
    await hold(
        rooms,
        [
            ("POST", path, wanted, 422, Invalid("missing", "body.state")),
            ("POST", path, {**wanted, "state": {"type": "RUNNING"}, "limit": 51}, 422, Invalid("less_than_equal")),
            ("POST", path, {"state": {"type": "RUNNING"}, "flow_runs": {"id": {"any_": []}}}, 200, {"results": []}),
        ],
    )
    some = await rooms.post(path, {**wanted, "state": {"type": "RUNNING"}, "limit": 2})
    newest = sorted((run["id"] for run in runs), reverse=True)
    assert [(r["flow_run_id"], r["status"]) for r in some["results"]] == [(id, "ACCEPT") for id in newest[:2]]
    rest = await rooms.post(path, {**wanted, "state": {"type": "RUNNING"}})
    assert [result["status"] for result in rest["results"]] == ["ACCEPT"] * 3
    assert set(rest["results"][0]) == {"flow_run_id", "status", "state", "details"}


@pytest.mark.parametrize(("version", "retried"), [("0.8.2", True), ("0.8.3", False), ("0.8.4", False)])
async def test_the_oldest_clients_rely_on_the_server_to_retry_tasks(rooms: Rooms, version: str, retried: bool) -> None:
    headers = {"x-prefect-api-version": version}
    run = await a_run(rooms, "RUNNING", empirical_policy={"retries": 1, "retry_delay": 0})
    tasks = {}
    for end in ("FAILED", "COMPLETED", "CRASHED"):
        body = {"flow_run_id": run["id"], "task_key": "t", "dynamic_key": end, "state": {"type": "RUNNING"}}
        tasks[end] = (await rooms.post("/task_runs/", body, 201))["id"]
        await rooms.post(f"/task_runs/{tasks[end]}/set_state", {"state": {"type": end}}, 201)
    path = f"/api/flow_runs/{run['id']}/set_state"
    failed = await rooms.http.post(path, json={"state": {"type": "FAILED"}}, headers=headers)
    assert (failed.status_code, failed.json()["status"]) == (201, "REJECT")
    for end, id in tasks.items():
        task = await rooms.get(f"/task_runs/{id}")
        again = retried and end == "FAILED"
        assert task["state_type"] == ("SCHEDULED" if again else end)
        assert (task["state_name"] == "AwaitingRetry", task["run_count"]) == ((True, 0) if again else (False, 1))
