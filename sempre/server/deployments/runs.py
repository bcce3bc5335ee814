"""Creating runs of a deployment, one or many."""

import logging
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from sempre.core.hydration import HydrationError
from sempre.core.parameters import CircularSchema, InvalidSchema, InvalidValue, validate
from sempre.core.states import StateType
from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Record
from sempre.schemas.flow_runs import DeploymentFlowRunCreate
from sempre.schemas.states import StateCreate
from sempre.server.deployments import queries
from sempre.server.deployments.patch import NO_SCHEMA
from sempre.server.deployments.placeholders import hydrated
from sempre.server.errors import INTEGRITY, BadRequest, Conflict, NotFound, ServiceError, Unprocessable
from sempre.server.flow_runs.creation import NewRun, create_flow_run
from sempre.server.scope import Scope
from sempre.server.work_pools.creation import ensure_queue
from sempre.server.work_pools.job_variables import check_job_variables

__all__ = ["MAX_RUNS_AT_ONCE", "create_run", "create_runs"]

log = logging.getLogger("sempre.server.deployments")

MAX_RUNS_AT_ONCE = 100

_BAD_VALUES = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.ProgramLimitExceededError)

_NOW = StateCreate(type=StateType.SCHEDULED)


class _Refused(Exception):
    """A run that cannot be created: the error of the single call, and the shorter text in a list of results."""

    def __init__(self, error: ServiceError, text: str) -> None:
        super().__init__(text)
        self.error = error
        self.text = text


async def create_run(
    scope: Scope, deployment_id: UUID, body: DeploymentFlowRunCreate, created_by: dict[str, Any] | None = None
) -> tuple[dict[str, Any], bool]:
    """``(flow run on the wire, whether it is new)``. Raises NotFound, BadRequest, Conflict, Unprocessable."""
    deployment = await _deployment(scope, deployment_id)
    try:
        return await _create(scope, deployment, body, created_by)
    except _Refused as refused:
        raise refused.error from refused


async def create_runs(
    scope: Scope, deployment_id: UUID, bodies: list[DeploymentFlowRunCreate], created_by: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """One result per body, in order; what becomes of one says nothing about the next. Raises NotFound."""
    deployment = await _deployment(scope, deployment_id)
    results: list[dict[str, Any]] = []
    for body in bodies:
        try:
            run, _ = await _create(scope, deployment, body, created_by)
        except (_Refused, ServiceError, *_BAD_VALUES) as error:
            results.append(_failed(error))
        except DatabaseUnavailable as error:
            # The caller may repeat the whole call only as long as it has done nothing.
            if not any(result["status"] == "CREATED" for result in results):
                raise
            log.warning("a run of deployment %s was not created: %s", deployment_id, error)
            results.append({"flow_run_id": None, "status": "FAILED", "error": "Service Unavailable"})
        else:
            results.append({"flow_run_id": run["id"], "status": "CREATED", "error": None})
    return results


def _failed(error: Exception) -> dict[str, Any]:
    if isinstance(error, ServiceError):
        text = error.detail
    elif isinstance(error, asyncpg.IntegrityConstraintViolationError):
        text = INTEGRITY
    else:
        text = str(error)
    return {"flow_run_id": None, "status": "FAILED", "error": text}


async def _deployment(scope: Scope, id: UUID) -> Record:
    deployment = await queries.find(scope.db, scope.workspace_id, id)
    if deployment is None:
        raise NotFound("Deployment not found")
    return deployment


async def _create(
    scope: Scope, deployment: Record, body: DeploymentFlowRunCreate, created_by: dict[str, Any] | None
) -> tuple[dict[str, Any], bool]:
    parameters = await _parameters(scope, deployment, body)
    job_variables = body.job_variables if "job_variables" in body.model_fields_set else {}
    if deployment["work_queue_id"] is not None:
        await check_job_variables(
            scope, deployment["id"], job_variables or {}, required=True, prefix="Error creating flow run"
        )
    queue_id, queue_name = await _queue(scope, deployment, body.work_queue_name)
    return await create_flow_run(
        scope,
        NewRun(
            flow_id=deployment["flow_id"],
            name=body.name,
            proposal=(body.state or _NOW).to_proposal(datetime.now(UTC)),
            policy=body.empirical_policy.to_core(),
            parameters=parameters,
            context=body.context,
            tags=list(dict.fromkeys([*deployment["tags"], *body.tags])),
            labels=body.labels or {},
            idempotency_key=body.idempotency_key,
            deployment_id=deployment["id"],
            deployment_version=deployment["version"],
            work_queue_id=queue_id,
            work_queue_name=queue_name,
            parent_task_run_id=body.parent_task_run_id,
            infrastructure_document_id=body.infrastructure_document_id or deployment["infrastructure_document_id"],
            job_variables=job_variables,
            created_by=created_by or scope.created_by,
        ),
    )


async def _parameters(scope: Scope, deployment: Record, body: DeploymentFlowRunCreate) -> dict[str, Any]:
    """The deployment's parameters overlaid by the request's, hydrated and, where that is asked for, checked."""
    try:
        parameters = await hydrated(scope, {**deployment["parameters"], **body.parameters})
    except HydrationError as error:
        raise _Refused(BadRequest(f"Error hydrating flow run parameters: {error}"), str(error)) from error
    enforced = body.enforce_parameter_schema
    if not (deployment["enforce_parameter_schema"] if enforced is None else enforced):
        return parameters
    schema = deployment["parameter_openapi_schema"]
    if not isinstance(schema, dict):
        text = "Parameter schema enforcement is enabled but deployment has no valid schema."
        raise _Refused(Conflict(NO_SCHEMA), text)
    try:
        validate(parameters, schema)
    except InvalidValue as error:
        text = f"Parameter validation failed: {error}"
        raise _Refused(Conflict(f"Error creating flow run: {error}"), text) from error
    except CircularSchema as error:
        raise _Refused(Unprocessable(str(error)), "Invalid schema: circular references detected.") from error
    except InvalidSchema as error:
        raise _Refused(Unprocessable(str(error)), str(error)) from error
    return parameters


async def _queue(scope: Scope, deployment: Record, name: str | None) -> tuple[UUID | None, str | None]:
    """The deployment's queue, or the named one of its pool, made if it is missing."""
    if not name or name == deployment["queue_name"]:
        return deployment["work_queue_id"], name or deployment["work_queue_name"]
    if deployment["work_pool_name"] is None:
        raise _Refused(
            BadRequest(
                f"Cannot create flow run in work queue {name} because deployment {deployment['id']} is not associated "
                "with a work pool. Please remove work_pool_name and try again."
            ),
            f"Cannot create flow run in work queue {name} because deployment is not associated with a work pool.",
        )
    async with scope.db.transaction() as transaction:
        queue = await ensure_queue(transaction, scope.workspace_id, deployment["work_pool_name"], name)
    scope.doorbell.ring("events")
    return queue
