"""``/flows``: get-or-create by name, read, list, tag, delete."""

from uuid import UUID

from starlette.responses import Response

from sempre.db.pool import Record
from sempre.schemas.flows import Flow, FlowCreate, FlowUpdate
from sempre.schemas.lists import FlowBulk, FlowList, FlowPage, PoolFilters
from sempre.schemas.responses import FlowBulkDeleteResponse, FlowPaginationResponse
from sempre.schemas.sorting import FlowSort
from sempre.server import lists
from sempre.server.errors import NotFound
from sempre.server.events.emit import ServerEvent, emit, resource
from sempre.server.filters.relations import FLOWS
from sempre.server.flow_runs.deletion import delete_runs_of_flows
from sempre.server.flows import queries
from sempre.server.lists import Part
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
    """Replace the flow's tags, if any were sent."""
    if "tags" not in flow.model_fields_set:
        _found(await queries.find(scope.db, scope.workspace_id, id))
        return no_content()
    async with scope.db.transaction() as transaction:
        updated = await queries.update_tags(transaction, scope.workspace_id, id, flow.tags)
        if updated is None:
            raise NotFound(_NOT_FOUND)
        await emit(transaction, scope.workspace_id, _event("updated", updated))
    scope.doorbell.ring("events")
    return no_content()


@router.post("/count")
async def count_flows(scope: ScopeDep, asked: PoolFilters) -> int:
    """How many flows the filters match."""
    return await lists.count(scope.db, scope.workspace_id, FLOWS, asked)


@router.get("/name/{name}", response_model=Flow)
async def read_flow_by_name(scope: ScopeDep, name: str) -> Response:
    return _found(await queries.find_by_name(scope.db, scope.workspace_id, name))


@router.get("/{id:uuid}", response_model=Flow)
async def read_flow(scope: ScopeDep, id: UUID) -> Response:
    return _found(await queries.find(scope.db, scope.workspace_id, id))


@router.post("/filter", response_model=list[Flow])
async def read_flows(scope: ScopeDep, asked: FlowList) -> Response:
    """The flows that match, sorted, one page of them."""
    rows = await queries.page(scope.db, scope.workspace_id, asked, asked.sort, lists.part_of(scope, asked))
    return JSON([dict(row) for row in rows])


@router.post("/paginate", response_model=FlowPaginationResponse)
async def paginate_flows(scope: ScopeDep, asked: FlowPage) -> Response:
    """One numbered page of the flows that match, with their total."""
    part = lists.part_of(scope, asked)
    rows = await queries.page(scope.db, scope.workspace_id, asked, asked.sort, part)
    total = await lists.count(scope.db, scope.workspace_id, FLOWS, asked)
    return JSON(lists.page_of([dict(row) for row in rows], total=total, part=part, page=asked.page))


@router.delete("/{id:uuid}", status_code=204)
async def delete_flow(scope: ScopeDep, id: UUID) -> Response:
    """Delete the flow with its deployments and all of its runs."""
    if not await _delete(scope, [id]):
        raise NotFound(_NOT_FOUND)
    return no_content()


@router.post("/bulk_delete", response_model=FlowBulkDeleteResponse)
async def bulk_delete_flows(scope: ScopeDep, asked: FlowBulk) -> Response:
    """Delete the first ``limit`` flows that match, by name."""
    found = await queries.page(scope.db, scope.workspace_id, asked, FlowSort.NAME_ASC, Part(asked.limit))
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
