"""Creating deployments and bringing them up to date by name."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from tests.integration.deployments.conftest import HOURLY, Deployments


async def test_a_bare_deployment_has_the_protocols_defaults(api: Deployments) -> None:
    flow_id = await api.flow()
    made = await api.deploy(flow_id=flow_id)
    expected = {
        "name": "d", "flow_id": flow_id, "paused": False, "schedules": [], "concurrency_limit": None,
        "global_concurrency_limit": None, "concurrency_options": None, "job_variables": {}, "parameters": {},
        "tags": [], "labels": {"prefect.flow.id": flow_id}, "work_queue_name": None, "work_queue_id": None,
        "work_pool_name": None, "last_polled": None, "parameter_openapi_schema": {}, "path": None, "pull_steps": [],
        "entrypoint": None, "description": None, "version": None, "storage_document_id": None,
        "infrastructure_document_id": None, "created_by": None, "updated_by": None, "status": "NOT_READY",
        "enforce_parameter_schema": True,
    }  # fmt: skip
    assert {key: made[key] for key in expected} == expected
    assert set(made) == {*expected, "id", "created", "updated"}
    assert await api.read(made["id"]) == made


async def test_an_update_keeps_what_it_does_not_mention(api: Deployments) -> None:
    flow_id = await api.flow()
    first = await api.deploy(
        flow_id=flow_id, paused=True, tags=["a"], version="1", description="text", parameters={"x": 1},
        labels={"own": 1}, schedules=[{"schedule": HOURLY}], pull_steps=[{"step": {}}],
        parameter_openapi_schema={"type": "object"}, job_variables={"image": "x"},
        version_info={"type": "t", "version": "1"},
    )  # fmt: skip
    second = await api.deploy(flow_id=flow_id, status=200)
    kept = ("id", "created", "paused", "tags", "version", "description", "pull_steps", "job_variables")
    assert {key: second[key] for key in kept} == {key: first[key] for key in kept}
    assert second["parameter_openapi_schema"] == {"type": "object"}
    assert second["parameters"] == {}
    assert second["labels"] == {"prefect.flow.id": flow_id}
    assert second["schedules"] == []
    assert second["updated"] > first["updated"]


async def test_schedules_are_replaced_and_lose_their_maximum(api: Deployments) -> None:
    flow_id = await api.flow()
    sent = [{"schedule": HOURLY, "slug": "a", "max_scheduled_runs": 5, "parameters": {"x": 1}, "active": False}]
    first = await api.deploy(flow_id=flow_id, schedules=sent)
    second = await api.deploy(flow_id=flow_id, schedules=sent, status=200)
    assert first["schedules"][0]["id"] != second["schedules"][0]["id"]
    schedule = second["schedules"][0]
    assert schedule["schedule"] == {**HOURLY, "interval": 3600.0}
    assert (schedule["slug"], schedule["active"], schedule["parameters"]) == ("a", False, {"x": 1})
    assert schedule["max_scheduled_runs"] is None
    doubled = await api.post("/deployments/", {"name": "d", "flow_id": flow_id, "schedules": sent * 2}, 409)
    assert doubled["detail"].startswith("Data integrity conflict.")
    assert [s["id"] for s in (await api.read(second["id"]))["schedules"]] == [schedule["id"]]


async def test_many_at_once_make_one_deployment(api: Deployments) -> None:
    flow_id = await api.flow()
    body = {"name": "d", "flow_id": flow_id, "schedules": [{"schedule": HOURLY}]}
    bodies = [{**body, "tags": [str(n)]} for n in range(8)]
    answers = await asyncio.gather(*(api.client.post("/deployments/", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    found = await api.read(answers[0].json()["id"])
    assert len(found["schedules"]) == 1
    names = await api.event_names(found["id"])
    assert names == ["created"] + ["updated"] * 7


async def test_update_events_say_what_changed(api: Deployments) -> None:
    flow_id = await api.flow()
    made = await api.deploy(flow_id=flow_id, tags=["a"])
    await api.deploy(flow_id=flow_id, tags=["a"], status=200)
    assert await api.event_names(made["id"]) == ["created"]
    await api.deploy(flow_id=flow_id, tags=["b"], job_variables={"x": 1}, status=200)
    event = (await api.events(made["id"]))[-1]
    assert event["payload"] == {
        "updated_fields": ["tags", "infra_overrides"],
        "updates": {"tags": {"from": ["a"], "to": ["b"]}, "infra_overrides": {"from": {}, "to": {"x": 1}}},
    }
    assert event["related"][0]["prefect.resource.id"] == f"prefect.flow.{flow_id}"


async def test_parameters_are_checked_only_on_request(api: Deployments) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a", "b"]}
    await api.deploy(parameter_openapi_schema=schema, parameters={"a": "text"})
    refused = await api.deploy(
        parameter_openapi_schema=schema, parameters={"a": "text"}, enforce_parameter_schema=True, status=422
    )
    assert "Validation failed for field 'a'" in refused["exception_detail"][0]["msg"]
    await api.deploy(parameter_openapi_schema=schema, parameters={"a": 1}, enforce_parameter_schema=True)


async def test_what_a_deployment_refers_to_must_exist(api: Deployments) -> None:
    absent = str(uuid4())
    assert await api.deploy(work_pool_name="no-pool", status=404) == {"detail": 'Work pool "no-pool" not found.'}
    assert await api.deploy(work_pool_name="default-agent-pool-x", status=404)
    assert await api.deploy(global_concurrency_limit_id=absent, status=404) == {"detail": "Concurrency limit not found"}
    for kind in ("infrastructure", "storage"):
        refused = await api.deploy(**{f"{kind}_document_id": absent}, status=409)
        assert refused["detail"].startswith(
            f"Error creating deployment. Could not find {kind} block with id: {absent}. This usually occurs"
        )
    assert (await api.deploy(flow_id=absent, status=409))["detail"].startswith("Data integrity conflict.")


async def test_queues_are_found_or_made(api: Deployments) -> None:
    pool = await api.pool()
    flow_id = await api.flow()
    default = await api.deploy(flow_id=flow_id, work_pool_name=pool)
    assert (default["work_pool_name"], default["work_queue_name"]) == (pool, "default")
    named = await api.deploy(flow_id=flow_id, work_pool_name=pool, work_queue_name="new", status=200)
    assert (named["work_pool_name"], named["work_queue_name"]) == (pool, "new")
    assert named["work_queue_id"] != default["work_queue_id"]
    kept = await api.deploy(flow_id=flow_id, work_pool_name=None, work_queue_name=None, status=200)
    assert kept["work_queue_id"] == named["work_queue_id"]
    legacy = await api.deploy(flow_id=flow_id, work_queue_name="old", status=200)
    assert (legacy["work_pool_name"], legacy["work_queue_name"]) == ("default-agent-pool", "old")


async def test_job_variables_must_suit_the_pool(api: Deployments) -> None:
    template = {
        "job_configuration": {"image": "{{ image }}"},
        "variables": {"type": "object", "properties": {"image": {"type": "string"}}, "required": ["image"]},
    }
    pool = await api.pool(base_job_template=template)
    await api.deploy(work_pool_name=pool)
    refused = await api.deploy(work_pool_name=pool, job_variables={"image": 1}, status=422)
    assert refused["detail"].startswith("Error creating deployment: Validation failed for field 'image'.")


async def test_a_limit_of_its_own_comes_and_goes(api: Deployments) -> None:
    flow_id = await api.flow()
    made = await api.deploy(flow_id=flow_id, concurrency_limit=2, concurrency_options={"collision_strategy": "ENQUEUE"})
    limit = made["global_concurrency_limit"]
    assert (limit["name"], limit["limit"], limit["active_slots"]) == (f"deployment:{made['id']}", 2, 0)
    assert limit["slot_decay_per_second"] == 0.0
    assert made["concurrency_options"] == {"collision_strategy": "ENQUEUE", "grace_period_seconds": None}
    assert made["concurrency_limit"] is None
    same = await api.deploy(flow_id=flow_id, concurrency_limit=2, status=200)
    assert same["global_concurrency_limit"] == limit
    larger = await api.deploy(flow_id=flow_id, concurrency_limit=3, status=200)
    assert (larger["global_concurrency_limit"]["id"], larger["global_concurrency_limit"]["limit"]) == (limit["id"], 3)
    untouched = await api.deploy(flow_id=flow_id, status=200)
    assert untouched["global_concurrency_limit"]["limit"] == 3
    none = await api.deploy(flow_id=flow_id, concurrency_limit=None, status=200)
    assert none["global_concurrency_limit"] is None
    assert not await api.scope.db.fetch("SELECT FROM concurrency_limit WHERE id = $1", limit["id"])


async def test_a_shared_limit_is_not_the_deployments_to_change(api: Deployments) -> None:
    flow_id = await api.flow()
    shared = uuid4()
    await api.scope.db.execute(
        "INSERT INTO concurrency_limit (id, workspace_id, name, slot_limit) VALUES ($1, $2, $3, 5)",
        shared, api.scope.workspace_id, f"shared-{shared}",
    )  # fmt: skip
    made = await api.deploy(flow_id=flow_id, global_concurrency_limit_id=str(shared), concurrency_limit=None)
    assert made["global_concurrency_limit"]["limit"] == 5
    redeployed = await api.deploy(flow_id=flow_id, concurrency_limit=None, status=200)
    assert redeployed["global_concurrency_limit"]["id"] == str(shared)
    own = await api.deploy(flow_id=flow_id, concurrency_limit=1, status=200)
    assert own["global_concurrency_limit"]["name"] == f"deployment:{made['id']}"
    back = await api.deploy(flow_id=flow_id, global_concurrency_limit_id=str(shared), status=200)
    assert back["global_concurrency_limit"]["id"] == str(shared)
    names = await api.scope.db.fetch("SELECT FROM concurrency_limit WHERE name = $1", f"deployment:{made['id']}")
    assert not names
    detached = await api.deploy(flow_id=flow_id, global_concurrency_limit_id=None, status=200)
    assert detached["global_concurrency_limit"] is None
    await api.patch(f"/deployments/{made['id']}", {"global_concurrency_limit_id": str(shared)})
    await api.delete(f"/deployments/{made['id']}")
    assert await api.scope.db.fetchval("SELECT slot_limit FROM concurrency_limit WHERE id = $1", shared) == 5
    both = await api.deploy(flow_id=flow_id, global_concurrency_limit_id=str(shared), concurrency_limit=1, status=422)
    assert "cannot have both" in both["exception_detail"][0]["msg"]


async def test_versions_are_kept_once(api: Deployments) -> None:
    flow_id = await api.flow()
    info = {"type": "prefect:simple", "version": "1", "branch": "main"}
    made = await api.deploy(flow_id=flow_id, version_info=info, entrypoint="a.py:f")
    await api.deploy(flow_id=flow_id, version_info=info, entrypoint="a.py:f", status=200)
    await api.deploy(flow_id=flow_id, version_info={**info, "version": "2"}, entrypoint="b.py:f", status=200)
    rows = await api.scope.db.fetch(
        "SELECT version_info, definition FROM deployment_version WHERE deployment_id = $1 ORDER BY created", made["id"]
    )
    assert [(row["version_info"]["version"], row["definition"]["entrypoint"]) for row in rows] == [
        ("1", "a.py:f"),
        ("2", "b.py:f"),
    ]


async def test_an_automation_is_named_as_the_creator(api: Deployments) -> None:
    id = str(uuid4())
    headers = {"prefect-automation-id": id, "prefect-automation-name": "bmlnaHRseQ=="}
    made = await api.post("/deployments/", {"name": "d", "flow_id": await api.flow()}, 201, **headers)
    assert made["created_by"] == {"id": id, "type": "AUTOMATION", "display_value": "nightly"}
