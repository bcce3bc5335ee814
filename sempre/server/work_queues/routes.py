"""``/work_queues``: queues by id, for clients that know no pools. Queues they make live in a pool of their own."""

from typing import Annotated
from uuid import UUID

from fastapi import Header, Request
from starlette.responses import Response

from sempre.db.pool import Record
from sempre.schemas.flow_runs import FlowRunResponse
from sempre.schemas.lists import DueList, NumberedPage, WorkQueueList
from sempre.schemas.work_pools import (
    WorkQueueConcurrencyStatus,
    WorkQueueCreate,
    WorkQueueResponse,
    WorkQueueStatusDetail,
    WorkQueueUpdate,
)
from sempre.server import lists
from sempre.server.errors import Conflict, NotFound, ObjectNotFound
from sempre.server.flow_runs import rows as flow_run_rows
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep
from sempre.server.work_pools import queries as pool_queries
from sempre.server.work_pools import queue_queries
from sempre.server.work_pools.creation import AGENT_POOL, agent_pool, create_queue, lock_pool
from sempre.server.work_pools.queue_changes import change_queue, delete_queue
from sempre.server.work_pools.queue_routes import new_queue
from sempre.server.work_pools.rows import queue_to_wire, run_summary
from sempre.server.work_queues import queries
from sempre.server.work_queues.health import status_of

__all__ = ["router"]

router = Room(prefix="/work_queues", tags=["Work Queues"])

_NOT_FOUND = "work queue not found"


@router.post("/", response_model=WorkQueueResponse, status_code=201)
async def create_work_queue(scope: ScopeDep, work_queue: WorkQueueCreate) -> Response:
    """Make a queue in the agents' pool, which is made if it is missing."""
    async with scope.db.transaction() as transaction:
        existed = await lock_pool(transaction, scope.workspace_id, AGENT_POOL) is not None
        pool = await agent_pool(transaction, scope.workspace_id)
        made = await create_queue(transaction, pool, new_queue(work_queue))
        if made is None and existed:
            raise Conflict("A work queue with this name already exists.")
        # Otherwise it came with the pool a moment ago.
        created = await queue_queries.find(transaction, scope.workspace_id, AGENT_POOL, work_queue.name)
    scope.doorbell.ring("events")
    return _found(created, 201)


@router.patch("/{id:uuid}", status_code=204)
async def update_work_queue(scope: ScopeDep, id: UUID, work_queue: WorkQueueUpdate) -> Response:
    """Write the fields that were sent. A new priority leaves the other queues where they are."""
    if not await change_queue(scope, id, work_queue, reorder=False):
        raise NotFound(f"Work Queue {id} not found")
    return no_content()


@router.get("/name/{name}", response_model=WorkQueueResponse)
async def read_work_queue_by_name(scope: ScopeDep, name: str) -> Response:
    """The agents' queue of this name; where there is no pool for agents, a queue of any pool."""
    if await pool_queries.find(scope.db, scope.workspace_id, AGENT_POOL) is not None:
        return _found(await queue_queries.find(scope.db, scope.workspace_id, AGENT_POOL, name))
    return _found(await queue_queries.find_in_any_pool(scope.db, scope.workspace_id, name))


@router.get("/{id:uuid}", response_model=WorkQueueResponse)
async def read_work_queue(scope: ScopeDep, id: UUID) -> Response:
    return _found(await queue_queries.find_by_id(scope.db, scope.workspace_id, id))


@router.post("/{id:uuid}/get_runs", response_model=list[FlowRunResponse])
async def read_work_queue_runs(
    request: Request,
    scope: ScopeDep,
    id: UUID,
    asked: DueList,
    x_prefect_ui: Annotated[bool | None, Header()] = False,
) -> Response:
    """Due runs by time, within the queue's limit. The poll counts, unless a user interface looks."""
    size = lists.bounded(scope, asked)
    queue = await queue_queries.find_by_id(scope.db, scope.workspace_id, id)
    if queue is None:
        raise ObjectNotFound(f"Work queue with id {id} not found.")
    due: list[Record] = []
    if not queue["is_paused"]:
        bounds = {"before": asked.scheduled_before, "slots": queue["concurrency_limit"], "limit": size}
        if queue["filter"] is None:
            due = await queries.runs_of_name(scope.db, scope.workspace_id, queue["name"], **bounds)
        else:
            due = await queries.runs_of_filter(scope.db, scope.workspace_id, queue["filter"], **bounds)
    if not x_prefect_ui:
        request.app.state.runtime.readiness.mark_queues([id])
    return JSON([flow_run_rows.to_wire(row) for row in due])


@router.post("/filter", response_model=list[WorkQueueResponse])
async def read_work_queues(scope: ScopeDep, asked: WorkQueueList) -> Response:
    """The queues of all pools that match, by name."""
    rows = await queue_queries.page(scope.db, scope.workspace_id, asked, lists.part_of(scope, asked))
    return JSON([queue_to_wire(row) for row in rows])


@router.delete("/{id:uuid}", status_code=204)
async def delete_work_queue(scope: ScopeDep, id: UUID) -> Response:
    if not await delete_queue(scope, id):
        raise NotFound(_NOT_FOUND)
    return no_content()


@router.post("/{id:uuid}/concurrency_status", response_model=WorkQueueConcurrencyStatus)
async def read_work_queue_concurrency_status(scope: ScopeDep, id: UUID, asked: NumberedPage) -> Response:
    """Which runs hold the queue's slots, one page of them."""
    part = lists.part_of(scope, asked)
    queue = await queue_queries.find_by_id(scope.db, scope.workspace_id, id)
    if queue is None:
        raise NotFound("Work queue not found.")
    runs, total = await queries.in_flight(
        scope.db, scope.workspace_id, queue["name"], limit=part.limit, offset=part.offset
    )
    paged = lists.page_of([run_summary(run) for run in runs], total=total, part=part, page=asked.page)
    return JSON(
        {
            "active_slots": total,
            "concurrency_limit": queue["concurrency_limit"],
            "flow_runs": paged.pop("results"),
            **paged,
        }
    )


@router.get("/{id:uuid}/status", response_model=WorkQueueStatusDetail)
async def read_work_queue_status(scope: ScopeDep, id: UUID) -> Response:
    """Healthy: polled lately, and nothing in it is late."""
    queue = await queue_queries.find_by_id(scope.db, scope.workspace_id, id)
    if queue is None:
        raise ObjectNotFound(f"Work queue with id {id} not found")
    return JSON(await status_of(scope, queue))


def _found(row: Record | None, status_code: int = 200) -> Response:
    if row is None:
        raise NotFound(_NOT_FOUND)
    return JSON(queue_to_wire(row), status_code)
