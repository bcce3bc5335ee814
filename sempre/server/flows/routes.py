"""``/flows``: get-or-create by name, read, list, tag, delete."""

from typing import Annotated
from uuid import UUID

from fastapi import Body
from starlette.responses import Response

from sempre.db.pool import Record
from sempre.schemas.filters.deployments import DeploymentFilter
from sempre.schemas.filters.flow_runs import FlowRunFilter
from sempre.schemas.filters.flows import FlowFilter
from sempre.schemas.filters.task_runs import TaskRunFilter
from sempre.schemas.filters.work_pools import WorkPoolFilter
from sempre.schemas.flows import Flow, FlowCreate, FlowUpdate
from sempre.schemas.responses import FlowBulkDeleteResponse, FlowPaginationResponse
from sempre.schemas.sorting import FlowSort
from sempre.server import lists
from sempre.server.errors import NotFound
from sempre.server.events.emit import ServerEvent, emit, resource
from sempre.server.filters.relations import Filters
from sempre.server.flow_runs.deletion import delete_runs_of_flows
from sempre.server.flows import queries
from sempre.server.lists import Limit, Offset, PageNumber
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import Scope, ScopeDep

__all__ = ["router"]

router = Room(prefix="/flows", tags=["Flows"])

_NOT_FOUND = "Flow not found"


@router.post("/", response_model=Flow)
async def create_flow(scope: ScopeDep, flow: FlowCreate) -> Response:
    """Get or create a flow by name: 201 for a new one, 200 for the existing one, which stays as it is."""
    existing = await queries.find_by_name(scope.db, scope.workspace_id, flow.name)
    if existing is None:
        async with scope.db.transaction() as transaction:
            created = await queries.create(transaction, scope.workspace_id, flow.name, flow.tags, flow.labels or {})
            if created is not None:
                await emit(transaction, scope.workspace_id, _event("created", created))
        if created is not None:
            scope.doorbell.ring("events")
            return JSON(dict(created), 201)
        existing = await queries.find_by_name(scope.db, scope.workspace_id, flow.name)
    return _found(existing)


@router.patch("/{id:uuid}", status_code=204)
async def update_flow(scope: ScopeDep, id: UUID, flow: FlowUpdate) -> Response:
    """Replace the flow's tags."""
    async with scope.db.transaction() as transaction:
        updated = await queries.update_tags(transaction, scope.workspace_id, id, flow.tags)
        if updated is None:
            raise NotFound(_NOT_FOUND)
        await emit(transaction, scope.workspace_id, _event("updated", updated))
    scope.doorbell.ring("events")
    return no_content()


@router.post("/count")
async def count_flows(
    scope: ScopeDep,
    flows: FlowFilter | None = None,
    flow_runs: FlowRunFilter | None = None,
    task_runs: TaskRunFilter | None = None,
    deployments: DeploymentFilter | None = None,
    work_pools: WorkPoolFilter | None = None,
) -> int:
    """How many flows the filters match."""
    return await queries.total(
        scope.db, scope.workspace_id, Filters(flows, flow_runs, task_runs, deployments, work_pools)
    )


@router.get("/name/{name}", response_model=Flow)
async def read_flow_by_name(scope: ScopeDep, name: str) -> Response:
    return _found(await queries.find_by_name(scope.db, scope.workspace_id, name))


@router.get("/{id:uuid}", response_model=Flow)
async def read_flow(scope: ScopeDep, id: UUID) -> Response:
    return _found(await queries.find(scope.db, scope.workspace_id, id))


@router.post("/filter", response_model=list[Flow])
async def read_flows(
    scope: ScopeDep,
    limit: Limit = None,
    offset: Offset = 0,
    flows: FlowFilter | None = None,
    flow_runs: FlowRunFilter | None = None,
    task_runs: TaskRunFilter | None = None,
    deployments: DeploymentFilter | None = None,
    work_pools: WorkPoolFilter | None = None,
    sort: Annotated[FlowSort, Body()] = FlowSort.NAME_ASC,
) -> Response:
    """The flows that match, sorted, one page of them."""
    filters = Filters(flows, flow_runs, task_runs, deployments, work_pools)
    rows = await queries.page(
        scope.db, scope.workspace_id, filters, sort=sort, limit=lists.bounded(scope, limit), offset=offset
    )
    return JSON([dict(row) for row in rows])


@router.post("/paginate", response_model=FlowPaginationResponse)
async def paginate_flows(
    scope: ScopeDep,
    page: PageNumber = 1,
    limit: Limit = None,
    flows: FlowFilter | None = None,
    flow_runs: FlowRunFilter | None = None,
    task_runs: TaskRunFilter | None = None,
    deployments: DeploymentFilter | None = None,
    work_pools: WorkPoolFilter | None = None,
    sort: Annotated[FlowSort, Body()] = FlowSort.NAME_ASC,
) -> Response:
    """One numbered page of the flows that match, with their total."""
    filters = Filters(flows, flow_runs, task_runs, deployments, work_pools)
    size = lists.bounded(scope, limit)
    rows = await queries.page(scope.db, scope.workspace_id, filters, sort=sort, limit=size, offset=(page - 1) * size)
    total = await queries.total(scope.db, scope.workspace_id, filters)
    return JSON(lists.page_of([dict(row) for row in rows], total=total, limit=size, page=page))


@router.delete("/{id:uuid}", status_code=204)
async def delete_flow(scope: ScopeDep, id: UUID) -> Response:
    """Delete the flow with its deployments and all of its runs."""
    if not await _delete(scope, [id]):
        raise NotFound(_NOT_FOUND)
    return no_content()


@router.post("/bulk_delete", response_model=FlowBulkDeleteResponse)
async def bulk_delete_flows(
    scope: ScopeDep, flows: FlowFilter | None = None, limit: Annotated[int, Body(ge=1, le=50)] = 50
) -> Response:
    """Delete the first ``limit`` flows that match, by name."""
    found = await queries.page(
        scope.db, scope.workspace_id, Filters(flows), sort=FlowSort.NAME_ASC, limit=limit, offset=0
    )
    return JSON({"deleted": await _delete(scope, [row["id"] for row in found])})


async def _delete(scope: Scope, ids: list[UUID]) -> list[UUID]:
    async with scope.db.transaction() as transaction:
        # Deployments go first: from then on no scheduler adds runs, and those it has added are seen.
        deleted = await queries.delete(transaction, scope.workspace_id, ids)
        await delete_runs_of_flows(transaction, scope.workspace_id, ids)
        await emit(transaction, scope.workspace_id, *(_event("deleted", row) for row in deleted))
    scope.doorbell.ring("events")
    return [row["id"] for row in deleted]


def _found(row: Record | None) -> Response:
    if row is None:
        raise NotFound(_NOT_FOUND)
    return JSON(dict(row))


def _event(change: str, flow: Record) -> ServerEvent:
    return ServerEvent(
        event=f"prefect.flow.{change}",
        resource=resource("flow", flow["id"], flow["name"]),
        payload={"name": flow["name"], "tags": flow["tags"], "labels": flow["labels"]},
    )
