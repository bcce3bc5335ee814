"""Changing a deployment field by field."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sempre.core.hydration import HydrationError
from sempre.core.parameters import InvalidSchema, InvalidValue, validate
from sempre.db.pool import Record
from sempre.schemas.deployments import DeploymentUpdate
from sempre.server.deployments import queries
from sempre.server.deployments.placeholders import hydrated
from sempre.server.deployments.references import check_limit, look_up
from sempre.server.deployments.schedule_plan import plan_update
from sempre.server.deployments.writing import Change, settle, stored_schema
from sempre.server.errors import INTEGRITY, BadRequest, Conflict, NotFound, Unprocessable
from sempre.server.scope import Scope
from sempre.server.work_pools.lookup import pool_not_found

__all__ = ["NO_SCHEMA", "patch"]

NO_SCHEMA = (
    "Error updating deployment: Cannot update parameters because parameter schema enforcement is enabled and the "
    "deployment does not have a valid parameter schema."
)

_PLAIN = (
    "version", "tags", "description", "paused", "parameter_openapi_schema", "enforce_parameter_schema", "path",
    "entrypoint", "pull_steps", "storage_document_id", "infrastructure_document_id",
)  # fmt: skip


async def patch(scope: Scope, id: UUID, body: DeploymentUpdate) -> None:
    """Write what was sent. Raises NotFound, and the errors of each check in the protocol's order."""

    async def decide() -> tuple[Record | None, Change]:
        before = await queries.find(scope.db, scope.workspace_id, id)
        if before is None:
            raise NotFound("Deployment not found.")
        return before, await _change(scope, before, body)

    await settle(scope, id, decide)


async def _change(scope: Scope, before: Record, body: DeploymentUpdate) -> Change:
    sent = body.sent()
    plan = plan_update(before["schedules"], body.schedules, sent="schedules" in sent, now=datetime.now(UTC))
    if body.work_pool_name:
        await _check_job_variables(scope, body.work_pool_name, body.job_variables or {})
    columns = {name: sent[name] for name in _PLAIN if name in sent}
    if "parameter_openapi_schema" in columns:
        columns["parameter_openapi_schema"] = stored_schema(columns["parameter_openapi_schema"])
    if "parameters" in sent:
        columns["parameters"] = await _parameters(scope, body.parameters)
    _check_parameters(before, columns)
    await _check_references(scope, body)
    if "global_concurrency_limit_id" in sent:
        columns["concurrency_limit_id"] = body.global_concurrency_limit_id
    if "concurrency_options" in sent:
        options = body.concurrency_options
        columns["concurrency_options"] = options.model_dump(mode="json") if options else None
    if sent.get("job_variables") is not None:
        columns["job_variables"] = body.job_variables
    if "work_pool_name" in sent and body.work_pool_name is None:
        columns["work_queue_id"] = None
    return Change(
        columns=columns,
        pool_name=body.work_pool_name,
        queue_name=body.work_queue_name,
        schedules=plan,
        sets_limit="concurrency_limit" in sent,
        concurrency_limit=body.concurrency_limit,
        version_info=body.version_info.model_dump(mode="json") if body.version_info else None,
    )


async def _check_references(scope: Scope, body: DeploymentUpdate) -> None:
    limit, infrastructure = body.global_concurrency_limit_id, body.infrastructure_document_id
    storage = body.storage_document_id
    if limit is None and infrastructure is None and storage is None:
        return
    found = await look_up(scope, limit_id=limit, infrastructure_id=infrastructure, storage_id=storage)
    check_limit(found, limit)
    if (infrastructure and not found["infrastructure_found"]) or (storage and not found["storage_found"]):
        raise Conflict(INTEGRITY)


async def _check_job_variables(scope: Scope, pool_name: str, job_variables: Mapping[str, Any]) -> None:
    """The request's own job variables against the pool's schema as it stands, whatever is required there."""
    template = await scope.db.fetchval(
        "SELECT base_job_template FROM work_pool WHERE workspace_id = $1 AND name = $2", scope.workspace_id, pool_name
    )
    if template is None:
        raise pool_not_found(pool_name)
    schema = template.get("variables")
    if not schema or not job_variables:
        return
    try:
        validate(job_variables, schema, required=False, allow_null=False)
    except InvalidValue as error:
        raise Conflict(f"Error creating deployment: <ValidationError: {error.reason!r}>") from error
    except InvalidSchema as error:
        raise Unprocessable(str(error)) from error


async def _parameters(scope: Scope, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    if parameters is None:
        return None
    try:
        return await hydrated(scope, parameters)
    except HydrationError as error:
        raise BadRequest(f"Error hydrating deployment parameters: {error}") from error


def _check_parameters(before: Record, columns: Mapping[str, Any]) -> None:
    """What the deployment's parameters will be against what its schema will be, if that is enforced."""
    enforced = columns.get("enforce_parameter_schema")
    if not (before["enforce_parameter_schema"] if enforced is None else enforced):
        return
    schema = columns.get("parameter_openapi_schema") or before["parameter_openapi_schema"]
    if not isinstance(schema, dict):
        raise Conflict(NO_SCHEMA)
    parameters = columns.get("parameters")
    try:
        validate(before["parameters"] if parameters is None else parameters, schema, required=False)
    except InvalidValue as error:
        raise Conflict(f"Error updating deployment: {error}") from error
    except InvalidSchema as error:
        raise Unprocessable(str(error)) from error
