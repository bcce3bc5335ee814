"""Creating a deployment, or bringing the one of that name up to date."""

from datetime import UTC, datetime
from typing import Any

from sempre.db.pool import Record
from sempre.schemas.deployments import DeploymentCreate
from sempre.server.deployments import queries
from sempre.server.deployments.references import check_blocks, check_limit, check_pool, look_up
from sempre.server.deployments.schedule_plan import SchedulePlan, new_schedule
from sempre.server.deployments.writing import Change, settle, stored_schema
from sempre.server.errors import INTEGRITY, Conflict
from sempre.server.scope import Scope
from sempre.server.work_pools.creation import AGENT_POOL
from sempre.server.work_pools.job_variables import check_against_pool

__all__ = ["upsert"]

# Written from the request where it has them; an update leaves the others as they are.
_PLAIN = (
    "paused", "enforce_parameter_schema", "tags", "pull_steps", "storage_document_id", "infrastructure_document_id",
    "description", "path", "version", "entrypoint", "job_variables",
)  # fmt: skip


async def upsert(scope: Scope, body: DeploymentCreate, created_by: dict[str, Any] | None) -> tuple[Record, bool]:
    """``(deployment, whether it is new)``. Two at once make one: the later of them updates what the earlier made."""

    async def decide() -> tuple[Record | None, Change]:
        before = await queries.find_in_flow(scope.db, scope.workspace_id, body.flow_id, body.name)
        labels = await _check(scope, body)
        return before, _change(body, labels, created_by if before is None else None, new=before is None)

    return await settle(scope, body.name, decide)


async def _check(scope: Scope, body: DeploymentCreate) -> dict[str, Any]:
    """Check what the request refers to; returns the flow's labels."""
    found = await look_up(
        scope,
        flow_id=body.flow_id,
        pool_name=body.work_pool_name,
        limit_id=body.global_concurrency_limit_id,
        infrastructure_id=body.infrastructure_document_id,
        storage_id=body.storage_document_id,
    )
    check_pool(found, body.work_pool_name)
    if body.work_pool_name and body.work_pool_name != AGENT_POOL and body.job_variables:
        await check_against_pool(
            scope, body.work_pool_name, body.job_variables, required=False, prefix="Error creating deployment"
        )
    check_limit(found, body.global_concurrency_limit_id)
    check_blocks(found, infrastructure_id=body.infrastructure_document_id, storage_id=body.storage_document_id)
    if found["flow_id"] is None:
        raise Conflict(INTEGRITY)
    labels: dict[str, Any] = found["flow_labels"]
    return labels


def _change(
    body: DeploymentCreate, flow_labels: dict[str, Any], created_by: dict[str, Any] | None, *, new: bool
) -> Change:
    sent = body.sent()
    columns = {name: getattr(body, name) for name in _PLAIN if name in sent}
    # Parameters and labels are the request's alone, whatever was there before.
    columns["parameters"] = body.parameters
    columns["labels"] = {**flow_labels, "prefect.flow.id": str(body.flow_id), **(body.labels or {})}
    if "parameter_openapi_schema" in sent:
        columns["parameter_openapi_schema"] = stored_schema(body.parameter_openapi_schema)
    if "concurrency_options" in sent:
        options = body.concurrency_options
        columns["concurrency_options"] = options.model_dump(mode="json") if options else None
    if "global_concurrency_limit_id" in sent:
        columns["concurrency_limit_id"] = body.global_concurrency_limit_id
    if new:
        columns.update(name=body.name, flow_id=body.flow_id, created_by=created_by)
        columns.setdefault("pull_steps", [])
        columns.setdefault("parameter_openapi_schema", {})
    now = datetime.now(UTC)
    return Change(
        columns=columns,
        pool_name=body.work_pool_name,
        queue_name=body.work_queue_name,
        schedules=SchedulePlan(True, [new_schedule(s, now, keep_maximum=False) for s in body.schedules]),
        sets_limit="concurrency_limit" in sent,
        concurrency_limit=body.concurrency_limit,
        version_info=body.version_info.model_dump(mode="json") if body.version_info else None,
    )
