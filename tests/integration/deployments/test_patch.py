"""Changing deployments field by field, and the schedules within."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.deployments.conftest import HOURLY, Deployments, Json

DAILY = {"cron": "0 9 * * *", "timezone": "UTC", "day_or": True}


async def test_only_what_is_sent_changes(api: Deployments) -> None:
    made = await api.deploy(tags=["a"], description="text", version="1", parameters={"x": 1}, job_variables={"i": 1})
    await api.patch(f"/deployments/{made['id']}", {"version": None, "paused": True, "job_variables": None})
    changed = await api.read(made["id"])
    assert (changed["version"], changed["paused"]) == (None, True)
    kept = ("tags", "description", "parameters", "job_variables", "labels", "pull_steps")
    assert {key: changed[key] for key in kept} == {key: made[key] for key in kept}
    await api.patch(f"/deployments/{made['id']}", {"job_variables": {}, "parameter_openapi_schema": None,
                                                   "enforce_parameter_schema": False})  # fmt: skip
    changed = await api.read(made["id"])
    assert (changed["job_variables"], changed["parameter_openapi_schema"]) == ({}, None)
    await api.patch(f"/deployments/{made['id']}", {"parameters": None}, 409)
    for unknown in ("name", "flow_id", "labels"):
        await api.patch(f"/deployments/{made['id']}", {unknown: None}, 422)
    assert await api.patch(f"/deployments/{uuid4()}", {}, 404) == {"detail": "Deployment not found."}


async def test_every_patch_moves_updated_and_tells_only_of_changes(api: Deployments) -> None:
    made = await api.deploy(tags=["a"])
    await api.patch(f"/deployments/{made['id']}", {"tags": ["a"]})
    assert (await api.read(made["id"]))["updated"] > made["updated"]
    assert await api.event_names(made["id"]) == ["created"]
    await api.patch(f"/deployments/{made['id']}", {"paused": True})
    assert (await api.events(made["id"]))[-1]["payload"]["updates"] == {"paused": {"from": False, "to": True}}


async def test_parameters_are_hydrated_and_checked(api: Deployments) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "n": {"type": "string"}}, "required": ["a"]}
    made = await api.deploy(parameter_openapi_schema=schema)
    path = f"/deployments/{made['id']}"
    await api.patch(path, {"parameters": {"a": {"__prefect_kind": "json", "value": "3"}, "n": None}})
    assert (await api.read(made["id"]))["parameters"] == {"a": 3, "n": None}
    refused = await api.patch(path, {"parameters": {"a": "x"}}, 409)
    assert refused["detail"] == (
        "Error updating deployment: Validation failed for field 'a'. Failure reason: 'x' is not of type 'integer'"
    )
    refused = await api.patch(path, {"parameters": {"a": {"__prefect_kind": "json", "value": "{"}}}, 400)
    assert refused["detail"].startswith("Error hydrating deployment parameters: Invalid JSON: ")
    refused = await api.patch(
        path, {"parameters": {"a": {"__prefect_kind": "workspace_variable", "variable_name": "v"}}}, 400
    )
    assert refused["detail"] == "Error hydrating deployment parameters: Variable 'v' not found in workspace."
    refused = await api.patch(path, {"parameter_openapi_schema": {"properties": {"a": {"type": "string"}}}}, 409)
    assert refused["detail"].startswith("Error updating deployment: Validation failed for field 'a'")
    circular = {"$ref": "#/$defs/x", "$defs": {"x": {"$ref": "#/$defs/x"}}}
    refused = await api.patch(path, {"parameter_openapi_schema": circular}, 422)
    assert refused == {"detail": "Invalid schema: Unable to validate schema with circular references."}


async def test_enforcement_needs_a_schema_at_every_patch(api: Deployments) -> None:
    made = await api.deploy(parameter_openapi_schema=None)
    refused = await api.patch(f"/deployments/{made['id']}", {}, 409)
    assert refused["detail"] == (
        "Error updating deployment: Cannot update parameters because parameter schema enforcement is enabled and the "
        "deployment does not have a valid parameter schema."
    )
    await api.patch(f"/deployments/{made['id']}", {"enforce_parameter_schema": False})


async def test_moving_between_pools(api: Deployments) -> None:
    pool = await api.pool()
    made = await api.deploy(work_pool_name=pool, work_queue_name="q")
    path = f"/deployments/{made['id']}"
    await api.patch(path, {"work_pool_name": None})
    out = await api.read(made["id"])
    assert (out["work_queue_id"], out["work_pool_name"], out["work_queue_name"]) == (None, None, "q")
    await api.patch(path, {"work_pool_name": pool})
    assert (await api.read(made["id"]))["work_queue_name"] == "default"
    assert await api.patch(path, {"work_pool_name": "none"}, 404) == {"detail": 'Work pool "none" not found.'}


async def test_job_variables_are_checked_where_a_pool_is_named(api: Deployments) -> None:
    variables = {"type": "object", "properties": {"image": {"type": "string"}}, "required": ["image"]}
    template = {"job_configuration": {"image": "{{ image }}"}, "variables": variables}
    pool = await api.pool(base_job_template=template)
    made = await api.deploy(work_pool_name=pool)
    path = f"/deployments/{made['id']}"
    refused = await api.patch(path, {"work_pool_name": pool, "job_variables": {"image": 1}}, 409)
    assert refused["detail"] == """Error creating deployment: <ValidationError: "1 is not of type 'string'">"""
    await api.patch(path, {"job_variables": {"image": 1}})


async def test_limits(api: Deployments) -> None:
    made = await api.deploy()
    path = f"/deployments/{made['id']}"
    await api.patch(path, {"concurrency_limit": 4})
    limit = (await api.read(made["id"]))["global_concurrency_limit"]
    assert limit["limit"] == 4
    await api.scope.db.execute(
        "INSERT INTO concurrency_slot (limit_id, slot, workspace_id) VALUES ($1, 1, $2)",
        limit["id"],
        api.scope.workspace_id,
    )
    assert (await api.read(made["id"]))["global_concurrency_limit"]["active_slots"] == 1
    await api.patch(path, {"description": "x"})
    assert (await api.read(made["id"]))["global_concurrency_limit"] is not None
    await api.patch(path, {"concurrency_limit": None})
    assert (await api.read(made["id"]))["global_concurrency_limit"] is None
    assert not await api.scope.db.fetch("SELECT FROM concurrency_slot WHERE limit_id = $1", limit["id"])
    refused = await api.patch(path, {"global_concurrency_limit_id": str(uuid4())}, 404)
    assert refused == {"detail": "Concurrency limit not found"}


async def test_concurrent_patches_all_count(api: Deployments) -> None:
    made = await api.deploy()
    fields: list[Json] = [{"description": "x"}, {"version": "2"}, {"path": "p"}, {"entrypoint": "e"}, {"tags": ["t"]}]
    await asyncio.gather(*(api.patch(f"/deployments/{made['id']}", field) for field in fields))
    changed = await api.read(made["id"])
    for field in fields:
        assert {**changed, **field} == changed
    steps = [event["payload"] for event in (await api.events(made["id"]))[1:]]
    told = sorted(step["updated_fields"][0] for step in steps)
    assert told == ["description", "entrypoint", "path", "tags", "version"]


def _by_slug(deployment: Json) -> dict[str, Json]:
    return {schedule["slug"]: schedule for schedule in deployment["schedules"]}


@pytest.fixture
async def slugged(api: Deployments) -> Json:
    sent = [{"schedule": HOURLY, "slug": slug, "parameters": {"x": slug}} for slug in ("a", "b", "c")]
    return await api.deploy(schedules=sent)


async def test_slugged_schedules_are_matched_by_slug(api: Deployments, slugged: Json) -> None:
    path = f"/deployments/{slugged['id']}"
    before = _by_slug(slugged)
    sent = [
        {"slug": "a", "active": False},
        {"slug": "b2", "replaces": "b", "schedule": DAILY, "parameters": {}, "max_scheduled_runs": 7},
        {"slug": "d", "schedule": DAILY},
    ]
    await api.patch(path, {"schedules": sent})
    after = _by_slug(await api.read(slugged["id"]))
    assert set(after) == {"a", "b2", "c", "d"}
    assert (after["a"]["id"], after["a"]["active"], after["a"]["parameters"]) == (
        before["a"]["id"],
        False,
        before["a"]["parameters"],
    )
    assert (after["b2"]["id"], after["b2"]["schedule"], after["b2"]["parameters"]) == (before["b"]["id"], DAILY, {})
    assert after["b2"]["max_scheduled_runs"] == 7
    assert after["c"] == before["c"]
    assert after["d"]["active"] is True
    await api.patch(path, {"schedules": []})
    assert _by_slug(await api.read(slugged["id"])) == after


async def test_slugs_may_change_places(api: Deployments, slugged: Json) -> None:
    before = _by_slug(slugged)
    swap = [{"slug": "a", "replaces": "b"}, {"slug": "b", "replaces": "a"}]
    await api.patch(f"/deployments/{slugged['id']}", {"schedules": swap})
    after = _by_slug(await api.read(slugged["id"]))
    assert (after["a"]["id"], after["b"]["id"]) == (before["b"]["id"], before["a"]["id"])


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (
            [{"schedule": HOURLY}],
            "Please provide a slug for each schedule in your request to ensure schedules are updated correctly.",
        ),
        ([{"slug": "z"}], "Unable to create new deployment schedules without a schedule configuration."),
        (
            [{"slug": "x", "replaces": "a"}, {"slug": "y", "replaces": "a"}],
            "Multiple schedules have 'replaces' targeting the same slug: a",
        ),
        (
            [{"slug": "b", "replaces": "a"}],
            "Cannot rename schedule from 'a' to 'b': a schedule with slug 'b' already exists.",
        ),
    ],
)
async def test_ambiguous_schedules_are_refused(api: Deployments, slugged: Json, sent: list[Any], text: str) -> None:
    assert await api.patch(f"/deployments/{slugged['id']}", {"schedules": sent}, 422) == {"detail": text}
    assert (await api.read(slugged["id"]))["schedules"] == slugged["schedules"]


async def test_unslugged_schedules_are_replaced(api: Deployments) -> None:
    made = await api.deploy(schedules=[{"schedule": HOURLY}, {"schedule": HOURLY, "slug": "a"}])
    path = f"/deployments/{made['id']}"
    await api.patch(path, {"description": "x"})
    assert len((await api.read(made["id"]))["schedules"]) == 2
    await api.patch(path, {"schedules": [{"schedule": DAILY, "max_scheduled_runs": 4}, {"active": True}]})
    (schedule,) = (await api.read(made["id"]))["schedules"]
    assert (schedule["schedule"], schedule["active"], schedule["max_scheduled_runs"]) == (DAILY, True, None)
    await api.patch(path, {"schedules": []})
    assert (await api.read(made["id"]))["schedules"] == []
