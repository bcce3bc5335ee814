"""Deployments: the statuses, texts and special cases of their operations that the room's own tests leave open."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.integration.protocol.facts import INTEGRITY, NOBODY, Fact, Invalid, detail, hold
from tests.support.rooms import Rooms

JsonObject = dict[str, Any]
MISSING, MISSING_DOT = detail("Deployment not found"), detail("Deployment not found.")
HOURLY = {"interval": 3600, "anchor_date": "2026-01-01T00:00:00Z"}
SCHEMA = {
    "type": "object", "required": ["a"],
    "properties": {"a": {"type": "integer"}, "b": {"type": "string", "default": "q"}, "c": {"type": "string"}},
}  # fmt: skip
KIND = "__prefect_kind"


async def a_deployment(rooms: Rooms, **fields: Any) -> JsonObject:
    flow = await rooms.post("/flows/", {"name": f"f-{uuid4()}"}, 201)
    made: JsonObject = await rooms.post("/deployments/", {"name": "d", "flow_id": flow["id"], **fields}, 201)
    return made


async def test_unknown_deployments(rooms: Rooms) -> None:
    gone = f"/deployments/{NOBODY}"
    await hold(
        rooms,
        [
            ("GET", gone, None, 404, MISSING),
            ("DELETE", gone, None, 404, MISSING),
            ("PATCH", gone, {}, 404, MISSING_DOT),
            ("GET", "/deployments/name/no/body", None, 404, MISSING),
            ("POST", f"{gone}/schedule", {}, 200, None),
            ("POST", f"{gone}/resume_deployment", None, 404, MISSING),
            ("POST", f"{gone}/pause_deployment", None, 404, MISSING),
            ("POST", f"{gone}/create_flow_run", {}, 404, MISSING),
            ("POST", f"{gone}/create_flow_run/bulk", [], 404, MISSING),
            ("POST", f"{gone}/create_flow_run/bulk", [{}] * 101, 400,
             detail("Cannot create more than 100 flow runs at once.")),
            ("GET", f"{gone}/work_queue_check", None, 404, MISSING),
            ("GET", f"{gone}/schedules", None, 404, MISSING_DOT),
            ("POST", f"{gone}/schedules", [{"schedule": HOURLY}], 404, MISSING_DOT),
            ("PATCH", f"{gone}/schedules/{NOBODY}", {}, 404, MISSING_DOT),
            ("DELETE", f"{gone}/schedules/{NOBODY}", None, 404, MISSING_DOT),
            ("POST", "/deployments/get_scheduled_flow_runs", {}, 422, Invalid("missing", "body.deployment_ids")),
            ("POST", "/deployments/get_scheduled_flow_runs", {"deployment_ids": None}, 422,
             Invalid("missing", "body.deployment_ids")),
        ],
    )  # fmt: skip


async def test_what_is_refused_on_creation(rooms: Rooms) -> None:
    flow = (await rooms.post("/flows/", {"name": f"f-{uuid4()}"}, 201))["id"]
    old = {"worker_pool_queue_id": NOBODY, "worker_pool_name": "x", "worker_pool_queue_name": "y",
           "work_pool_queue_name": "z"}  # fmt: skip
    bad: list[tuple[JsonObject, Invalid]] = [
        ({"name": "a/b"}, Invalid(place="body.name")), ({"name": None}, Invalid("string_type", "body.name")),
        ({"paused": None}, Invalid("bool_type", "body.paused")), ({"tags": None}, Invalid("list_type", "body.tags")),
        ({"job_variables": None}, Invalid("dict_type", "body.job_variables")),
        ({"schedules": None}, Invalid("list_type", "body.schedules")),
        ({"extra": 1}, Invalid("extra_forbidden", "body.extra")),
        ({"is_schedule_active": True}, Invalid("extra_forbidden")),
        ({"concurrency_limit": 0}, Invalid("greater_than", "body.concurrency_limit")),
        ({"concurrency_limit": 2, "global_concurrency_limit_id": NOBODY}, Invalid("value_error", "body")),
        ({"schedules": [{"schedule": HOURLY, "max_scheduled_runs": 51}]}, Invalid(place="max_scheduled_runs")),
        ({"schedules": [{"schedule": {"cron": "x"}}]}, Invalid(place="body.schedules.0.schedule")),
        ({"schedules": [{"schedule": {**HOURLY, "interval": 0}}]}, Invalid(place="body.schedules.0.schedule")),
        ({"version_info": {"type": "t"}}, Invalid("missing", "body.version_info.version")),
        ({"enforce_parameter_schema": True, "parameter_openapi_schema": SCHEMA, "parameters": {"a": "x"}},
         Invalid("value_error", "body", "Validation failed for field 'a'. Failure reason: ")),
    ]  # fmt: skip
    await hold(
        rooms,
        [Fact("POST", "/deployments/", {"name": "d", "flow_id": flow, **fields}, 422, wrong) for fields, wrong in bad]
        + [
            Fact("POST", "/deployments/", {"name": "d", "flow_id": NOBODY}, 409, INTEGRITY),
            Fact("POST", "/deployments/", {"name": "", "flow_id": flow, **old}, 201, lambda b: b["name"] == ""),
            Fact("POST", "/deployments/", {"name": "own", "flow_id": flow, "enforce_parameter_schema": True,
                                           "parameter_openapi_schema": SCHEMA, "parameters": {}}, 201),
        ],
    )  # fmt: skip


async def test_patching(rooms: Rooms) -> None:
    made = await a_deployment(rooms, parameter_openapi_schema=SCHEMA, parameters={"a": 1}, job_variables={"j": 1})
    path = f"/deployments/{made['id']}"

    def hydrating(value: Any, status: int, text: str | None) -> Fact:
        right = None if text is None else detail(f"Error hydrating deployment parameters: {text}")
        return Fact("PATCH", path, {"parameters": {"a": value}}, status, right)

    def starts(text: str) -> Any:
        return lambda b: b["detail"].startswith(text)

    await hold(
        rooms,
        [
            ("PATCH", path, {}, 204, None),
            ("PATCH", path, {"job_variables": None}, 204, None),
            ("GET", path, None, 200, lambda b: b["job_variables"] == {"j": 1}),
            ("PATCH", path, {"job_variables": {}}, 204, None),
            ("GET", path, None, 200, lambda b: b["job_variables"] == {}),
            ("PATCH", path, {"parameters": None}, 409, INTEGRITY),
            ("PATCH", path, {"enforce_parameter_schema": None}, 409, INTEGRITY),
            ("PATCH", path, {"tags": None}, 422, Invalid("list_type", "body.tags")),
            ("PATCH", path, {"name": "x"}, 422, Invalid("extra_forbidden", "body.name")),
            ("PATCH", path, {"parameters": {"a": "x"}}, 409,
             starts("Error updating deployment: Validation failed for field 'a'. Failure reason: ")),
            ("PATCH", path, {"parameter_openapi_schema": {"properties": {"a": {"type": "string"}}}}, 409,
             starts("Error updating deployment: Validation failed for field 'a'.")),
            ("PATCH", path, {"parameters": {}}, 204, None),
            hydrating({KIND: "json", "value": "3"}, 204, None),
            hydrating({KIND: "jinja"}, 400, "Missing 'template' key in __prefect object"),
            hydrating({KIND: "workspace_variable", "variable_name": "no"}, 400,
                      "Variable 'no' not found in workspace."),
            ("PATCH", path, {"work_pool_name": "nope"}, 404, detail('Work pool "nope" not found.')),
            ("PATCH", path, {"global_concurrency_limit_id": NOBODY}, 404, detail("Concurrency limit not found")),
            ("PATCH", path, {"infrastructure_document_id": NOBODY}, 409, INTEGRITY),
            ("PATCH", path, {"storage_document_id": NOBODY}, 409, INTEGRITY),
            ("GET", path, None, 200, lambda b: b["storage_document_id"] is None and b["parameters"] == {"a": 3}),
        ],
    )  # fmt: skip


async def test_patching_schedules(rooms: Rooms) -> None:
    made = await a_deployment(rooms, schedules=[{"schedule": HOURLY, "slug": s} for s in ("a", "b")])
    path = f"/deployments/{made['id']}"

    def slugs(*expected: str) -> Fact:
        return Fact("GET", f"{path}/schedules", None, 200, lambda b: sorted(s["slug"] for s in b) == sorted(expected))

    taken = "Cannot rename schedule from 'n' to 'b': a schedule with slug 'b' already exists."
    await hold(
        rooms,
        [
            ("PATCH", path, {"schedules": []}, 204, None),
            slugs("a", "b"),
            ("PATCH", path, {"schedules": [{"slug": "a", "active": False}]}, 204, None),
            ("GET", f"{path}/schedules", None, 200,
             lambda b: {s["slug"]: s["active"] for s in b} == {"a": False, "b": True}),
            ("PATCH", path, {"schedules": [{"active": False}]}, 422,
             detail("Please provide a slug for each schedule in your request to ensure schedules are updated "
                    "correctly.")),
            ("PATCH", path, {"schedules": [{"slug": "new"}]}, 422,
             detail("Unable to create new deployment schedules without a schedule configuration.")),
            ("PATCH", path, {"schedules": [{"slug": "new", "schedule": HOURLY}]}, 204, None),
            ("PATCH", path, {"schedules": [{"slug": "n", "replaces": "a"}]}, 204, None),
            slugs("n", "b", "new"),
            ("PATCH", path, {"schedules": [{"slug": "b", "replaces": "n"}]}, 422, detail(taken)),
            ("PATCH", path, {"schedules": [{"slug": s, "replaces": "n"} for s in ("x", "y")]}, 422,
             detail("Multiple schedules have 'replaces' targeting the same slug: n")),
            slugs("n", "b", "new"),
        ],
    )  # fmt: skip


async def test_routes_of_schedules(rooms: Rooms) -> None:
    made = await a_deployment(rooms)
    path = f"/deployments/{made['id']}/schedules"
    (schedule,) = await rooms.post(path, [{"schedule": HOURLY, "slug": "s", "max_scheduled_runs": 7}], 201)
    own, other = f"{path}/{schedule['id']}", (await a_deployment(rooms))["id"]
    await hold(
        rooms,
        [
            ("POST", path, [], 201, []),
            ("POST", path, {}, 422, Invalid("list_type", "body")),
            ("POST", path, [{}], 422, Invalid("missing", "body.0.schedule")),
            ("POST", path, [{"schedule": HOURLY, "slug": "s"}], 409,
             detail("Schedule slugs must be unique within a deployment.")),
            ("POST", path, [{"schedule": HOURLY, "slug": "t"}] * 2, 409),
            ("POST", path, [{"schedule": {"rrule": "FREQ=DAILY"}}], 201,
             lambda b: "DTSTART" in b[0]["schedule"]["rrule"]),
            ("POST", path, [{"schedule": HOURLY, "max_scheduled_runs": 50, "replaces": "s"}], 201),
            ("POST", path, [{"schedule": HOURLY, "max_scheduled_runs": 51}], 422, Invalid("value_error")),
            ("PATCH", own, {"active": None, "slug": None, "schedule": None, "max_scheduled_runs": None}, 204, None),
            ("GET", path, None, 200, lambda b: [(s["active"], s["max_scheduled_runs"]) for s in b
                                                if s["slug"] == "s"] == [(True, 7)]),
            ("PATCH", own, {"zz": 1}, 422, Invalid("extra_forbidden", "body.zz")),
            ("PATCH", f"{path}/{NOBODY}", {"active": True}, 404, detail("Schedule not found.")),
            ("PATCH", f"/deployments/{other}/schedules/{schedule['id']}", {"active": True}, 404,
             detail("Schedule not found.")),
            ("DELETE", f"{path}/{NOBODY}", None, 404, detail("Schedule not found.")),
            ("DELETE", own, None, 204, None),
            ("DELETE", own, None, 404, detail("Schedule not found.")),
        ],
    )  # fmt: skip


async def test_runs(rooms: Rooms) -> None:
    bare = (await a_deployment(rooms, parameters={"a": 1, "z": 0}, tags=["t"], version="v"))["id"]
    strict = (await a_deployment(rooms, parameter_openapi_schema=SCHEMA, enforce_parameter_schema=True))["id"]
    circular = {"$ref": "#/definitions/A", "definitions": {"A": {"$ref": "#/definitions/A"}}}
    turning = (await a_deployment(rooms, parameter_openapi_schema=circular))["id"]
    await rooms.post("/variables/", {"name": "var", "value": {"x": [1]}}, 201)

    def run(id: str, body: Any, status: int, answer: Any = None) -> Fact:
        return Fact("POST", f"/deployments/{id}/create_flow_run", body, status, answer or (lambda b: True))

    def hydrated(value: Any, expected: Any) -> Fact:
        return run(bare, {"parameters": {"a": value}}, 201, lambda b: b["parameters"] == {"z": 0, **expected})

    def unhydrated(value: Any, text: str) -> Fact:
        start = f"Error hydrating flow run parameters: {text}"
        return run(bare, {"parameters": {"a": value}}, 400, lambda b: b["detail"].startswith(start))

    def starts(text: str) -> Any:
        return lambda b: b["detail"].startswith(f"Error creating flow run: {text}")

    await hold(
        rooms,
        [
            run(bare, {}, 201, lambda b: (b["parameters"], b["tags"], b["deployment_version"], b["state"]["name"])
                == ({"a": 1, "z": 0}, ["t"], "v", "Scheduled")),
            run(bare, {"tags": ["t", "u"]}, 201, lambda b: sorted(b["tags"]) == ["t", "u"]),
            run(bare, {"idempotency_key": "k"}, 201), run(bare, {"idempotency_key": "k", "name": "n"}, 200),
            run(bare, {"flow_id": NOBODY}, 422, Invalid("extra_forbidden", "body.flow_id")),
            run(bare, {"parent_task_run_id": NOBODY}, 409, INTEGRITY),
            run(bare, {"work_queue_name": "q"}, 400, detail(
                f"Cannot create flow run in work queue q because deployment {bare} is not associated with a work "
                "pool. Please remove work_pool_name and try again.")),
            run(bare, {"enforce_parameter_schema": True, "parameters": {"a": "x"}}, 201),
            hydrated({KIND: "workspace_variable", "variable_name": "var"}, {"a": {"x": [1]}}),
            hydrated({KIND: "json", "value": "[1,2]"}, {"a": [1, 2]}),
            hydrated({KIND: "jinja", "template": "{{ 1 + 1 }}"}, {"a": "2"}),
            hydrated({KIND: "none", "value": {KIND: "json", "value": "1"}}, {"a": 1}),
            hydrated({KIND: "what", "value": 4}, {"a": 4}), hydrated({KIND: "what"}, {"a": None}),
            hydrated({KIND: "json"}, {}), hydrated({KIND: "workspace_variable"}, {}),
            unhydrated({KIND: "json", "value": "["}, "Invalid JSON: "),
            unhydrated({KIND: "jinja", "template": "{{ x"}, "Invalid jinja: "),
            unhydrated({KIND: "workspace_variable", "variable_name": "no"}, "Variable 'no' not found in workspace."),
            run(strict, {}, 409, starts("Validation failed")),
            run(strict, {"parameters": {"a": "x"}}, 409, starts("Validation failed for field 'a'. Failure reason: ")),
            run(strict, {"parameters": {"a": 1, "c": None}}, 201),
            run(strict, {"parameters": {"a": 1, "b": None}}, 409, starts("Validation failed for field 'b'.")),
            run(strict, {"parameters": {"a": "x"}, "enforce_parameter_schema": False}, 201),
            run(turning, {}, 422, detail("Invalid schema: Unable to validate schema with circular references.")),
        ],
    )  # fmt: skip


async def test_many_runs(rooms: Rooms) -> None:
    made = await a_deployment(rooms, parameter_openapi_schema=SCHEMA, enforce_parameter_schema=True)
    path = f"/deployments/{made['id']}/create_flow_run/bulk"
    good: JsonObject = {"parameters": {"a": 1}}
    await hold(
        rooms,
        [
            ("POST", path, [], 200, {"results": []}),
            ("POST", path, {}, 422, Invalid("list_type", "body")),
            ("POST", path, [{"extra": 1}], 422, Invalid("extra_forbidden", "body.0.extra")),
            ("POST", path, [good] * 101, 400, detail("Cannot create more than 100 flow runs at once.")),
        ],
    )
    bodies = [good, {}, {**good, "parent_task_run_id": NOBODY}, {**good, "name": "last"}]
    results = (await rooms.post(path, bodies))["results"]
    assert [result["status"] for result in results] == ["CREATED", "FAILED", "FAILED", "CREATED"]
    assert [(result["flow_run_id"] is None, result["error"] is None) for result in results] == [
        (False, True), (True, False), (True, False), (False, True),
    ]  # fmt: skip
    assert (await rooms.get(f"/flow_runs/{results[-1]['flow_run_id']}"))["name"] == "last"


async def test_queues_of_old_agents(rooms: Rooms) -> None:
    tagged, bare = await a_deployment(rooms, tags=["x"]), await a_deployment(rooms)
    for name, filter in (
        ("fits", {"tags": ["x"]}),
        ("more", {"tags": ["x", "y"]}),
        ("none", None),
        ("named", {"deployment_ids": [tagged["id"]]}),
        ("else", {"deployment_ids": [NOBODY]}),
    ):
        await rooms.post("/work_queues/", {"name": name, "filter": filter}, 201)
    found = await rooms.get(f"/deployments/{tagged['id']}/work_queue_check")
    assert {queue["name"] for queue in found} == {"fits", "named"}
    assert await rooms.get(f"/deployments/{bare['id']}/work_queue_check") == []
