"""Creating runs of deployments."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.integration.deployments.conftest import Deployments, Json

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}, "n": {"type": "string"}}, "required": ["a"]}


async def test_a_run_takes_from_its_deployment(api: Deployments) -> None:
    pool = await api.pool()
    made = await api.deploy(
        work_pool_name=pool, version="3", tags=["d"], labels={"own": 1, "over": 1}, parameters={"a": 1, "b": 1},
        job_variables={"image": "x"},
    )  # fmt: skip
    run = await api.run(made["id"], tags=["r", "d"], labels={"over": 2}, parameters={"b": 2}, name=None)
    assert run["parameters"] == {"a": 1, "b": 2}
    assert sorted(run["tags"]) == ["d", "r"]
    assert run["labels"] == {
        "own": 1, "over": 2, "prefect.flow.id": made["flow_id"], "prefect.deployment.id": made["id"]
    }  # fmt: skip
    assert (run["deployment_version"], run["work_pool_name"], run["work_queue_name"]) == ("3", pool, "default")
    assert (run["state_type"], run["state_name"], run["auto_scheduled"]) == ("SCHEDULED", "Scheduled", False)
    assert run["job_variables"] == {}
    assert run["name"]
    assert run["state"]["state_details"]["scheduled_time"] == run["expected_start_time"]
    assert (await api.read(made["id"]))["parameters"] == {"a": 1, "b": 1}


async def test_a_key_makes_one_run(api: Deployments) -> None:
    made = await api.deploy()
    first = await api.run(made["id"], idempotency_key="k", parameters={"x": 1})
    second = await api.run(made["id"], 200, idempotency_key="k", parameters={"x": 2})
    assert second["id"] == first["id"]
    assert second["parameters"] == {"x": 1}


@pytest.mark.parametrize(
    ("body", "status", "single", "bulk"),
    [
        (
            {"parameters": {}},
            409,
            "Error creating flow run: Validation failed. Failure reason: 'a' is a required property",
            "Parameter validation failed: Validation failed. Failure reason: 'a' is a required property",
        ),
        (
            {"parameters": {"a": "x"}},
            409,
            "Error creating flow run: Validation failed for field 'a'. Failure reason: 'x' is not of type 'integer'",
            "Parameter validation failed: Validation failed for field 'a'. "
            "Failure reason: 'x' is not of type 'integer'",
        ),
        (
            {"parameters": {"a": {"__prefect_kind": "workspace_variable", "variable_name": "absent"}}},
            400,
            "Error hydrating flow run parameters: Variable 'absent' not found in workspace.",
            "Variable 'absent' not found in workspace.",
        ),
        (
            {"parameters": {"a": 1}, "work_queue_name": "q"},
            400,
            "Cannot create flow run in work queue q because deployment {id} is not associated with a work pool. "
            "Please remove work_pool_name and try again.",
            "Cannot create flow run in work queue q because deployment is not associated with a work pool.",
        ),
        (
            {"parameters": {"a": 1}, "parent_task_run_id": str(uuid4())},
            409,
            "Data integrity conflict. This usually means a unique or foreign key constraint was violated. "
            "See server logs for details.",
            "Data integrity conflict. This usually means a unique or foreign key constraint was violated. "
            "See server logs for details.",
        ),
    ],
)
async def test_refusals(api: Deployments, body: Json, status: int, single: str, bulk: str) -> None:
    made = await api.deploy(parameter_openapi_schema=SCHEMA)
    assert await api.run(made["id"], status, **body) == {"detail": single.replace("{id}", made["id"])}
    good = {"parameters": {"a": 1}}
    outcome = await api.post(f"/deployments/{made['id']}/create_flow_run/bulk", [good, body, good])
    assert [(result["status"], result["error"]) for result in outcome["results"]] == [
        ("CREATED", None), ("FAILED", bulk), ("CREATED", None)
    ]  # fmt: skip
    assert outcome["results"][1]["flow_run_id"] is None
    assert len(await api.runs(made["id"])) == 2


async def test_enforcement_may_be_waived_or_demanded(api: Deployments) -> None:
    made = await api.deploy(parameter_openapi_schema=SCHEMA)
    await api.run(made["id"], enforce_parameter_schema=False)
    lax = await api.deploy(parameter_openapi_schema=None, enforce_parameter_schema=False)
    await api.run(lax["id"])
    refused = await api.run(lax["id"], 409, enforce_parameter_schema=True)
    assert refused["detail"].startswith("Error updating deployment: Cannot update parameters")
    bulk = await api.post(f"/deployments/{lax['id']}/create_flow_run/bulk", [{"enforce_parameter_schema": True}])
    assert bulk["results"][0]["error"] == (
        "Parameter schema enforcement is enabled but deployment has no valid schema."
    )


async def test_variables_fill_parameters(api: Deployments) -> None:
    await api.scope.db.execute(
        "INSERT INTO variable (id, workspace_id, name, value) VALUES ($1, $2, 'v', $3)",
        uuid4(), api.scope.workspace_id, {"deep": [1]},
    )  # fmt: skip
    made = await api.deploy()
    run = await api.run(
        made["id"],
        parameters={
            "v": {"__prefect_kind": "workspace_variable", "variable_name": "v"},
            "j": {"__prefect_kind": "jinja", "template": "{{ 1 + 1 }}"},
            "gone": {"__prefect_kind": "json"},
        },
    )
    assert run["parameters"] == {"v": {"deep": [1]}, "j": "2"}


async def test_job_variables_are_complete_when_a_run_is_made(api: Deployments) -> None:
    variables = {"type": "object", "properties": {"image": {"type": "string"}}, "required": ["image"]}
    template = {"job_configuration": {"image": "{{ image }}"}, "variables": variables}
    made = await api.deploy(work_pool_name=await api.pool(base_job_template=template))
    refused = await api.run(made["id"], 422)
    assert refused["detail"] == (
        "Error creating flow run: Validation failed. Failure reason: 'image' is a required property"
    )
    run = await api.run(made["id"], job_variables={"image": "x"})
    assert run["job_variables"] == {"image": "x"}


async def test_a_queue_of_the_pool_is_made(api: Deployments) -> None:
    pool = await api.pool()
    made = await api.deploy(work_pool_name=pool)
    run = await api.run(made["id"], work_queue_name="urgent")
    assert (run["work_pool_name"], run["work_queue_name"]) == (pool, "urgent")
    assert (await api.run(made["id"], work_queue_name="default"))["work_queue_id"] == made["work_queue_id"]


async def test_bulk_bounds_and_keys(api: Deployments) -> None:
    made = await api.deploy()
    path = f"/deployments/{made['id']}/create_flow_run/bulk"
    assert await api.post(path, []) == {"results": []}
    nowhere = f"/deployments/{uuid4()}/create_flow_run"
    too_many: list[Any] = [{}] * 101
    refused = await api.post(f"{nowhere}/bulk", too_many, 400)
    assert refused == {"detail": "Cannot create more than 100 flow runs at once."}
    for answer in (await api.post(f"{nowhere}/bulk", [], 404), await api.post(nowhere, {}, 404)):
        assert answer == {"detail": "Deployment not found"}
    results = (await api.post(path, [{"idempotency_key": "k"}, {"idempotency_key": "k"}]))["results"]
    assert results[0] == results[1]
    assert (await api.runs(made["id"]))[0]["id"] == results[0]["flow_run_id"]
