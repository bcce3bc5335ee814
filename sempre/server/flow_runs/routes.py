"""``/flow_runs``: create, read, list, change, delete, and propose states."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Body, Header
from starlette.responses import Response

from sempre.core.states import StateDetails, StateType
from sempre.core.transitions.model import Policy, Proposal
from sempre.schemas.base import Labels
from sempre.schemas.flow_runs import FlowRunCreate, FlowRunResponse, FlowRunUpdate
from sempre.schemas.lists import FlowRunList, FlowRunPage, QueueFilters
from sempre.schemas.responses import FlowRunPaginationResponse, OrchestrationResult
from sempre.schemas.states import StateCreate
from sempre.server import lists
from sempre.server.errors import NotFound, ObjectNotFound
from sempre.server.filters.relations import FLOW_RUNS
from sempre.server.flow_runs import queries, rows
from sempre.server.flow_runs.changes import changes_of
from sempre.server.flow_runs.creation import NewRun, create_flow_run
from sempre.server.flow_runs.deletion import delete_runs
from sempre.server.flow_runs.old_clients import retry_failed_task_runs
from sempre.server.flow_runs.orchestration import policy_to_json, set_flow_run_state
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import Scope, ScopeDep
from sempre.server.work_pools.lookup import queue_named

__all__ = ["automation_of", "router"]

router = Room(prefix="/flow_runs", tags=["Flow Runs"])

_NOT_FOUND = "Flow run not found"
_PENDING = Proposal(StateType.PENDING, "Pending")

AutomationId = Annotated[UUID | None, Header(alias="prefect-automation-id", include_in_schema=False)]
AutomationName = Annotated[str | None, Header(alias="prefect-automation-name", include_in_schema=False)]


def automation_of(id: UUID | None, name: str | None) -> dict[str, Any] | None:
    """``created_by`` of what an automation does, from its request headers (the name is base64); ``None`` without a
    name that can be read."""
    if id is None or not name:
        return None
    try:
        decoded = base64.b64decode(name, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return {"id": str(id), "type": "AUTOMATION", "display_value": decoded}


@router.post("/{id:uuid}/set_state", response_model=OrchestrationResult, name="set_flow_run_state")
async def set_state(
    scope: ScopeDep,
    id: UUID,
    state: Annotated[StateCreate, Body()],
    force: Annotated[bool | None, Body()] = False,
) -> Response:
    """Propose a state. 201 when one was written (also a substitute), 200 when the run stays as it is."""
    proposal = state.to_proposal(datetime.now(UTC))
    outcome = await set_flow_run_state(scope, id, proposal, Policy.FORCED if force else Policy.CORE)
    await retry_failed_task_runs(scope, id, outcome)
    return JSON(outcome.to_wire(), 201 if outcome.written else 200)


@router.post("/", response_model=FlowRunResponse, name="create_flow_run")
async def create(
    scope: ScopeDep,
    flow_run: FlowRunCreate,
    prefect_automation_id: AutomationId = None,
    prefect_automation_name: AutomationName = None,
) -> Response:
    """Create a flow run: 201, or 200 with the run that has the same idempotency key."""
    queue_id = None
    if flow_run.work_pool_name:
        queue_id, _ = await queue_named(scope, flow_run.work_pool_name, flow_run.work_queue_name)
    run, new = await create_flow_run(
        scope,
        NewRun(
            flow_id=flow_run.flow_id,
            name=flow_run.name,
            proposal=flow_run.state.to_proposal(datetime.now(UTC)) if flow_run.state else _PENDING,
            policy=flow_run.empirical_policy.to_core(),
            parameters=flow_run.parameters,
            context=flow_run.context,
            tags=flow_run.tags,
            labels=flow_run.labels or {},
            idempotency_key=flow_run.idempotency_key,
            flow_version=flow_run.flow_version,
            deployment_id=flow_run.deployment_id,
            work_queue_id=queue_id,
            work_queue_name=flow_run.work_queue_name,
            parent_task_run_id=flow_run.parent_task_run_id,
            infrastructure_document_id=flow_run.infrastructure_document_id,
            job_variables=flow_run.job_variables,
            created_by=automation_of(prefect_automation_id, prefect_automation_name),
        ),
    )
    return JSON(run, 201 if new else 200)


@router.get("/{id:uuid}", response_model=FlowRunResponse)
async def read_flow_run(scope: ScopeDep, id: UUID) -> Response:
    row = await queries.find(scope.db, scope.workspace_id, id)
    if row is None:
        raise NotFound(_NOT_FOUND)
    return JSON(rows.to_wire(row))


@router.patch("/{id:uuid}", status_code=204)
async def update_flow_run(scope: ScopeDep, id: UUID, flow_run: FlowRunUpdate) -> Response:
    """Write the fields that were sent."""
    changes = await changes_of(scope, id, flow_run)
    if "infrastructure_pid" in changes and await _has_lost(scope, id):
        del changes["infrastructure_pid"]  # what a worker started for a claim that it lost is not the run's
    if flow_run.empirical_policy and "empirical_policy" in changes:
        changes["empirical_policy"] = policy_to_json(flow_run.empirical_policy.to_core())
    if not await queries.update(scope.db, scope.workspace_id, id, changes):
        raise NotFound(_NOT_FOUND)
    return no_content()


async def _has_lost(scope: Scope, id: UUID) -> bool:
    """Whether the worker that asks claimed the run once, and another one, or nobody, has it now."""
    worker = scope.client.worker
    if worker is None:
        return False
    details = StateDetails.from_json(await queries.state_details(scope.db, scope.workspace_id, id))
    lost = any(worker.is_same(claimant) for claimant in details.taken_back)
    return lost and (details.claim is None or details.claim.differs(worker))


@router.patch("/{id:uuid}/labels", status_code=204)
async def update_flow_run_labels(scope: ScopeDep, id: UUID, labels: Annotated[Labels, Body()]) -> Response:
    """Merge labels over those the run has; the body is the map itself."""
    if not await queries.merge_labels(scope.db, scope.workspace_id, id, labels):
        raise ObjectNotFound(f"Flow run with id {id} not found")
    return no_content()


@router.delete("/{id:uuid}", status_code=204)
async def delete_flow_run(scope: ScopeDep, id: UUID) -> Response:
    """Delete the run with its states, task runs, inputs and logs; its slot is free at once."""
    async with scope.db.transaction() as transaction:
        deleted = await delete_runs(transaction, scope.workspace_id, [id])
    if not deleted:
        raise NotFound(_NOT_FOUND)
    return no_content()


@router.post("/filter", response_model=list[FlowRunResponse])
async def read_flow_runs(scope: ScopeDep, asked: FlowRunList) -> Response:
    """The runs that match, sorted, one page of them."""
    found = await queries.page(scope.db, scope.workspace_id, asked, asked.sort, lists.part_of(scope, asked))
    return JSON([rows.to_wire(row) for row in found])


@router.post("/count")
async def count_flow_runs(scope: ScopeDep, asked: QueueFilters) -> int:
    """How many runs the filters match."""
    return await lists.count(scope.db, scope.workspace_id, FLOW_RUNS, asked)


@router.post("/paginate", response_model=FlowRunPaginationResponse)
async def paginate_flow_runs(scope: ScopeDep, asked: FlowRunPage) -> Response:
    """One numbered page of the runs that match, with their total."""
    part = lists.part_of(scope, asked)
    total = await lists.count(scope.db, scope.workspace_id, FLOW_RUNS, asked)
    found = await queries.page(scope.db, scope.workspace_id, asked, asked.sort, part, few=total <= lists.FEW)
    return JSON(lists.page_of([rows.to_wire(row) for row in found], total=total, part=part, page=asked.page))
