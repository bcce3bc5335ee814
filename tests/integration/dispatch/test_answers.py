"""Statuses and texts that clients compare, one line per call."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.support.rooms import Rooms

INTEGRITY = (
    "Data integrity conflict. This usually means a unique or foreign key constraint was violated. "
    "See server logs for details."
)
NOBODY = "11111111-1111-4111-8111-111111111111"
HOURLY = {"interval": 3600, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"}
LIMIT = "Invalid limit: must be less than or equal to 200."


async def flow(rooms: Rooms) -> str:
    return str((await rooms.post("/flows/", {"name": f"flow-{uuid4()}"}, 201))["id"])


async def pool(rooms: Rooms, **more: Any) -> str:
    return str((await rooms.post("/work_pools/", {"name": f"pool-{uuid4()}", "type": "process", **more}, 201))["name"])


async def deployment(rooms: Rooms, status: int = 201, **fields: Any) -> Any:
    return await rooms.post("/deployments/", {"name": "d", "flow_id": await flow(rooms), **fields}, status)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "answer"),
    [
        ("GET", f"/flows/{NOBODY}", None, 404, "Flow not found"),
        ("GET", "/flows/no-uuid", None, 404, "Not Found"),
        ("GET", "/flows/name/nobody", None, 404, "Flow not found"),
        ("PATCH", f"/flows/{NOBODY}", {"tags": []}, 404, "Flow not found"),
        ("DELETE", f"/flows/{NOBODY}", None, 404, "Flow not found"),
        ("POST", "/flows/filter", {"limit": 201}, 422, LIMIT),
        ("POST", "/flows/filter", {"limit": -1}, 422, "Invalid limit: must be greater than or equal to 0."),
        ("GET", f"/deployments/{NOBODY}", None, 404, "Deployment not found"),
        ("GET", "/deployments/name/a/b", None, 404, "Deployment not found"),
        ("PATCH", f"/deployments/{NOBODY}", {}, 404, "Deployment not found."),
        ("DELETE", f"/deployments/{NOBODY}", None, 404, "Deployment not found"),
        ("POST", f"/deployments/{NOBODY}/pause_deployment", None, 404, "Deployment not found"),
        ("POST", f"/deployments/{NOBODY}/create_flow_run", {}, 404, "Deployment not found"),
        (
            "POST",
            f"/deployments/{NOBODY}/create_flow_run/bulk",
            [{}] * 101,
            400,
            "Cannot create more than 100 flow runs at once.",
        ),
        ("POST", f"/deployments/{NOBODY}/create_flow_run/bulk", [], 404, "Deployment not found"),
        ("GET", f"/deployments/{NOBODY}/schedules", None, 404, "Deployment not found."),
        ("GET", f"/deployments/{NOBODY}/work_queue_check", None, 404, "Deployment not found"),
        ("POST", "/deployments/paginate", {"limit": 201}, 422, LIMIT),
        ("POST", f"/deployments/{NOBODY}/schedule", {}, 200, None),
        ("GET", "/work_pools/none", None, 404, 'Work pool "none" not found.'),
        ("POST", "/work_pools/none/get_scheduled_flow_runs", {}, 404, 'Work pool "none" not found.'),
        ("GET", "/work_pools/none/queues/q", None, 404, "Work pool queue 'none/q' not found."),
        ("PATCH", "/work_pools/none/queues/q", {}, 404, 'Work pool "none" not found.'),
        (
            "POST",
            "/work_pools/",
            {"name": "preFECT-x", "type": "process"},
            403,
            "Work pools starting with 'Prefect' are reserved for internal use.",
        ),
        ("PATCH", "/work_pools/Prefect-managed", {"description": "x"}, 403, None),
        ("POST", "/work_pools/", {"name": " ", "type": "process"}, 422, "name cannot be an empty string"),
        ("GET", f"/work_queues/{NOBODY}", None, 404, "work queue not found"),
        ("GET", "/work_queues/name/none", None, 404, "work queue not found"),
        ("PATCH", f"/work_queues/{NOBODY}", {}, 404, f"Work Queue {NOBODY} not found"),
        ("POST", f"/work_queues/{NOBODY}/get_runs", {}, 404, None),
        ("GET", f"/v2/concurrency_limits/{NOBODY}", None, 404, "Concurrency Limit not found"),
        ("DELETE", "/v2/concurrency_limits/none", None, 404, "Concurrency Limit not found"),
        ("GET", f"/concurrency_limits/{NOBODY}", None, 404, "Concurrency limit not found"),
        ("GET", "/concurrency_limits/tag/none", None, 404, "Concurrency limit not found"),
        ("POST", "/v2/concurrency_limits/increment", {"names": ["none"], "slots": 1}, 200, []),
        ("POST", "/v2/concurrency_limits/decrement", {"names": ["none"], "slots": 1}, 200, []),
        ("POST", "/v2/concurrency_limits/decrement-with-lease", {"lease_id": NOBODY}, 204, None),
        (
            "POST",
            f"/v2/concurrency_limits/leases/{NOBODY}/renew",
            {"lease_duration": 300},
            410,
            "Lease not found - it may have expired or been revoked",
        ),
        (
            "POST",
            "/v2/concurrency_limits/increment-with-lease",
            {"names": [], "slots": 1, "lease_duration": 59},
            422,
            None,
        ),
    ],
)
async def test_what_is_not_there(rooms: Rooms, method: str, path: str, body: Any, status: int, answer: Any) -> None:
    got = await rooms.call(method, path, body, status=status)
    if isinstance(answer, str):
        texts = [got.get("detail"), *(str(each["msg"]) for each in got.get("exception_detail", ()))]
        assert any(text == answer or str(text).endswith(f", {answer}") for text in texts), got
    elif answer is not None:
        assert got == answer


async def test_missing_references_of_a_deployment(rooms: Rooms) -> None:
    id = await flow(rooms)
    body = {"name": "d", "flow_id": id}
    for more, status, text in (
        ({"work_pool_name": "none"}, 404, 'Work pool "none" not found.'),
        ({"work_pool_name": "default-agent-pool"}, 404, 'Work pool "default-agent-pool" not found.'),
        ({"global_concurrency_limit_id": NOBODY}, 404, "Concurrency limit not found"),
        ({"flow_id": NOBODY}, 409, INTEGRITY),
        ({"schedules": [{"schedule": HOURLY, "slug": "a"}, {"schedule": HOURLY, "slug": "a"}]}, 409, INTEGRITY),
    ):
        answer = await rooms.post("/deployments/", {**body, **more}, status)
        assert answer == {"detail": text}
    for kind in ("infrastructure", "storage"):
        answer = await rooms.post("/deployments/", {**body, f"{kind}_document_id": NOBODY}, 409)
        assert answer["detail"].startswith(f"Error creating deployment. Could not find {kind} block with id: {NOBODY}")
    assert await rooms.post("/deployments/count", {"flows": {"id": {"any_": [id]}}}) == 0


async def test_bodies_that_are_refused(rooms: Rooms) -> None:
    body = {"name": "d", "flow_id": await flow(rooms)}
    both = await rooms.post(
        "/deployments/", {**body, "concurrency_limit": 1, "global_concurrency_limit_id": NOBODY}, 422
    )
    text = "A deployment cannot have both a concurrency limit and a global concurrency limit."
    assert text in both["exception_detail"][0]["msg"]
    large = await rooms.post("/deployments/", {**body, "parameters": {"x": "y" * 524288}}, 422)
    text = "Flow run parameters must be less than 524,288 bytes when serialized (got 524,296 bytes)."
    assert text in large["exception_detail"][0]["msg"]
    for extra in ({"nonsense": 1}, {"concurrency_limit": 0}, {"concurrency_options": {"collision_strategy": "WAIT"}},
                  {"concurrency_options": {"collision_strategy": "ENQUEUE", "grace_period_seconds": 59}}):  # fmt: skip
        refused = await rooms.post("/deployments/", {**body, **extra}, 422)
        assert refused["exception_message"] == "Invalid request received."
        assert refused["request_body"]["name"] == "d"
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["b"]}
    strict = {**body, "enforce_parameter_schema": True, "parameter_openapi_schema": schema}
    wrong = await rooms.post("/deployments/", {**strict, "parameters": {"a": "x"}}, 422)
    assert "Validation failed for field 'a'. Failure reason: " in wrong["exception_detail"][0]["msg"]
    broken = await rooms.post("/deployments/", {**strict, "parameter_openapi_schema": {"type": 3}}, 422)
    assert "The provided schema is not a valid json schema. Schema error: " in broken["exception_detail"][0]["msg"]
    lenient = {**body, "parameter_openapi_schema": schema, "parameters": {"a": {"__prefect_kind": "json"}}}
    old_names = ("worker_pool_queue_id", "worker_pool_name", "worker_pool_queue_name", "work_pool_queue_name")
    old_keys = dict.fromkeys(old_names, 1)
    made = await rooms.post("/deployments/", {**lenient, **old_keys}, 201)
    assert made["parameters"] == {"a": {"__prefect_kind": "json"}}
    assert made["enforce_parameter_schema"] is True
    changes: tuple[dict[str, Any], ...] = ({"name": "x"}, {"flow_id": NOBODY}, {"labels": {}})
    for unknown in changes:
        await rooms.patch(f"/deployments/{made['id']}", unknown, 422)
    refused = await rooms.patch(f"/deployments/{made['id']}", {}, 409)
    assert refused["detail"].startswith("Error updating deployment: Validation failed for field 'a'. Failure reason: ")


async def test_which_queue_a_deployment_gets(rooms: Rooms) -> None:
    name = await pool(rooms)
    made = await deployment(rooms, work_pool_name=name)
    assert (made["work_pool_name"], made["work_queue_name"]) == (name, "default")
    again = {"name": "d", "flow_id": made["flow_id"]}
    moved = await rooms.post("/deployments/", {**again, "work_pool_name": name, "work_queue_name": "fast"})
    assert (moved["work_queue_name"], moved["status"]) == ("fast", "NOT_READY")
    assert (await rooms.get(f"/work_pools/{name}/queues/fast"))["priority"] == 2
    for body in ({}, {"work_pool_name": None}):
        kept = await rooms.post("/deployments/", {**again, **body})
        assert (kept["work_pool_name"], kept["work_queue_name"]) == (name, "fast")
    await rooms.patch(f"/deployments/{made['id']}", {"work_pool_name": None})
    cleared = await rooms.get(f"/deployments/{made['id']}")
    assert (cleared["work_pool_name"], cleared["work_queue_id"], cleared["work_queue_name"]) == (None, None, "fast")
    await rooms.patch(f"/deployments/{made['id']}", {"work_queue_name": "legacy"})
    assert (await rooms.get(f"/deployments/{made['id']}"))["work_pool_name"] == "default-agent-pool"
    queues = await rooms.post("/work_pools/default-agent-pool/queues/filter", {})
    assert [(queue["name"], queue["priority"]) for queue in queues] == [("legacy", 1), ("default", 2)]


async def test_a_plain_redeploy_of_the_stock_client(rooms: Rooms) -> None:
    made = await deployment(
        rooms, tags=["t"], description="x", version="1", parameters={"a": 1}, labels={"l": 1}, paused=True,
        pull_steps=[{"s": {}}], concurrency_limit=3, job_variables={"i": 1},
        schedules=[{"schedule": HOURLY, "max_scheduled_runs": 9, "parameters": {"p": 1}, "slug": "s"}],
    )  # fmt: skip
    limit = made["global_concurrency_limit"]
    assert (limit["name"], limit["limit"], limit["active_slots"]) == (f"deployment:{made['id']}", 3, 0)
    assert made["concurrency_limit"] is None
    assert made["schedules"][0]["max_scheduled_runs"] is None
    again = await rooms.post(
        "/deployments/", {"name": "d", "flow_id": made["flow_id"], "concurrency_limit": None, "tags": []}
    )
    kept = ("id", "created", "description", "version", "paused", "pull_steps", "job_variables")
    assert [again[key] for key in kept] == [made[key] for key in kept]
    assert (again["schedules"], again["parameters"], again["tags"]) == ([], {}, [])
    assert again["labels"] == {"prefect.flow.id": made["flow_id"]}
    assert again["global_concurrency_limit"] is None
    assert again["updated"] > made["updated"]
    await rooms.get(f"/v2/concurrency_limits/{limit['id']}", 404)
    assert (made["created_by"], made["updated_by"]) == (None, None)
    assert (await deployment(rooms, parameter_openapi_schema={}))["parameter_openapi_schema"] == {
        "type": "object", "properties": {}
    }  # fmt: skip
    bare = await deployment(rooms)
    assert (bare["parameter_openapi_schema"], bare["pull_steps"]) == ({}, [])
    assert (await deployment(rooms, parameter_openapi_schema=None))["parameter_openapi_schema"] is None


async def test_deployments_are_found_by_what_surrounds_them(rooms: Rooms) -> None:
    name = await pool(rooms)
    made = await deployment(rooms, work_pool_name=name, tags=["x"])
    for filters in (
        {"flows": {"id": {"any_": [made["flow_id"]]}}},
        {"work_pools": {"name": {"any_": [name]}}},
        {"work_pool_queues": {"id": {"any_": [made["work_queue_id"]]}}},
        {"deployments": {"id": {"any_": [made["id"]]}, "tags": {"all_": ["x"]}}},
    ):
        assert [each["id"] for each in await rooms.post("/deployments/filter", filters)] == [made["id"]]
        page = await rooms.post("/deployments/paginate", {**filters, "page": 1, "limit": 10})
        assert (page["count"], page["pages"], page["limit"], page["page"]) == (1, 1, 10, 1)
    assert (await rooms.post("/deployments/paginate", {"limit": 0}))["pages"] == 0
