"""Job variables against pools and deployments; and the templates that clients start from."""

from __future__ import annotations

from typing import Any

import pytest

from sempre.server.errors import NotFound, Unprocessable
from sempre.server.ids import new_id
from sempre.server.work_pools.job_variables import check_against_pool, check_job_variables
from tests.integration.work_pools.support import Pools


def _template(**properties: Any) -> dict[str, Any]:
    return {
        "job_configuration": {name: "{{ " + name + " }}" for name in properties},
        "variables": {"type": "object", "properties": properties, "required": ["image"]},
    }


IMAGE: dict[str, Any] = {"type": "string"}
CPUS: dict[str, Any] = {"type": "integer", "default": 1}


async def test_what_is_given_is_laid_over_deployment_and_defaults(pools: Pools) -> None:
    pool = await pools.pool(base_job_template=_template(image=IMAGE, cpus=CPUS))
    deployment_id = await pools.deployment("d", pool["default_queue_id"])
    with pytest.raises(Unprocessable) as missing:
        await check_job_variables(pools.scope, deployment_id, {}, required=True, prefix="Error creating flow run")
    assert missing.value.detail == (
        "Error creating flow run: Validation failed. Failure reason: 'image' is a required property"
    )
    await check_job_variables(pools.scope, deployment_id, {}, required=False, prefix="p")
    await pools.scope.db.execute("""UPDATE deployment SET job_variables = '{"image": "i", "cpus": "many"}'""")
    await check_job_variables(pools.scope, deployment_id, {"cpus": 2}, required=True, prefix="p")
    await check_job_variables(pools.scope, deployment_id, {"cpus": None}, required=True, prefix="p")
    with pytest.raises(Unprocessable, match=r"^p: Validation failed for field 'cpus'"):
        await check_job_variables(pools.scope, deployment_id, {}, required=True, prefix="p")


async def test_without_a_pool_there_is_nothing_to_check(pools: Pools) -> None:
    await check_job_variables(pools.scope, new_id(), {"anything": 1}, required=True, prefix="p")
    with pytest.raises(NotFound, match='Work pool "x" not found'):
        await check_against_pool(pools.scope, "x", {}, required=False, prefix="p")


async def test_blocks_stand_in_for_defaults(pools: Pools) -> None:
    block_type = await pools.post("/block_types/", {"name": "Login", "slug": "login"}, 201)
    schema = {
        "block_type_id": block_type["id"],
        "fields": {"type": "object", "title": "Login", "properties": {"user": {"type": "string"}}},
    }
    block_schema = await pools.post("/block_schemas/", schema, 201)
    document = await pools.post(
        "/block_documents/",
        {
            "name": "l",
            "data": {"user": "u"},
            "block_schema_id": block_schema["id"],
            "block_type_id": block_type["id"],
        },
        201,
    )
    login = {
        "type": "object",
        "properties": {"user": {"const": "u"}},
        "required": ["user"],
        "default": {"$ref": {"block_document_id": document["id"]}},
    }
    await pools.pool(base_job_template=_template(image=IMAGE, login=login))
    await check_against_pool(pools.scope, "p", {"image": "i"}, required=True, prefix="p")
    with pytest.raises(Unprocessable, match="'u' was expected"):
        await check_against_pool(pools.scope, "p", {"login": {"user": "v"}}, required=False, prefix="p")
    await pools.delete(f"/block_documents/{document['id']}")
    with pytest.raises(NotFound, match=r"^Block not found\.$"):
        await check_against_pool(pools.scope, "p", {"image": "i"}, required=True, prefix="p")


async def test_every_offered_template_makes_a_pool(pools: Pools) -> None:
    view = await pools.get("/collections/views/aggregate-worker-metadata")
    types = {name: entry for package in view.values() for name, entry in package.items()}
    clouds = {"azure-container-instance", "cloud-run", "cloud-run-v2", "ecs", "vertex-ai"}
    assert set(types) == {"process", "docker", "kubernetes"} | clouds
    for name, entry in types.items():
        assert entry["type"] == name
        await pools.pool(name, type=name, base_job_template=entry["default_base_job_configuration"])
    assert await pools.get("/collections/views/demo-flows") == {}
    assert await pools.get("/collections/views/x", 404) == {"detail": "View x not found in registry"}
