"""``/work_pools/{work_pool_name}/queues``: the queues of one pool."""

from uuid import UUID

from starlette.responses import Response

from sempre.db.pool import Record
from sempre.schemas.lists import WorkQueueList
from sempre.schemas.work_pools import WorkQueueCreate, WorkQueueResponse, WorkQueueUpdate
from sempre.server import lists
from sempre.server.errors import Conflict
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import Scope, ScopeDep
from sempre.server.work_pools import queries, queue_queries
from sempre.server.work_pools.creation import NewQueue, create_queue, lock_pool
from sempre.server.work_pools.lookup import pool_not_found, queue_not_found
from sempre.server.work_pools.queue_changes import change_queue, delete_queue
from sempre.server.work_pools.rows import queue_to_wire

__all__ = ["new_queue", "router"]

router = Room(prefix="/work_pools", tags=["Work Pools"])

# The braces are the protocol's: its clients have never seen the name.
_TAKEN = "A work queue with this name already exists in work pool {work_pool_name!r}."


def new_queue(queue: WorkQueueCreate) -> NewQueue:
    return NewQueue(
        name=queue.name,
        description=queue.description or "",
        is_paused=queue.is_paused,
        concurrency_limit=queue.concurrency_limit,
        priority=queue.priority,
        filter=None if queue.filter is None else queue.filter.model_dump(mode="json"),
    )


@router.post("/{work_pool_name}/queues", response_model=WorkQueueResponse, status_code=201)
async def create_work_queue(scope: ScopeDep, work_pool_name: str, work_queue: WorkQueueCreate) -> Response:
    """Make a queue: with the lowest priority number that is free, or with the one given, where others make room."""
    async with scope.db.transaction() as transaction:
        pool = await lock_pool(transaction, scope.workspace_id, work_pool_name)
        if pool is None:
            raise pool_not_found(work_pool_name)
        created = await create_queue(transaction, pool, new_queue(work_queue))
    if created is None:
        raise Conflict(_TAKEN)
    scope.doorbell.ring("events")
    slots = None if created["concurrency_limit"] is None else 0
    return JSON(queue_to_wire({**created, "work_pool_name": work_pool_name, "active_slots": slots}), 201)


@router.get("/{work_pool_name}/queues/{name}", response_model=WorkQueueResponse)
async def read_work_queue(scope: ScopeDep, work_pool_name: str, name: str) -> Response:
    row = await queue_queries.find(scope.db, scope.workspace_id, work_pool_name, name)
    if row is None:
        raise queue_not_found(work_pool_name, name)
    return JSON(queue_to_wire(row))


@router.post("/{work_pool_name}/queues/filter", response_model=list[WorkQueueResponse])
async def read_work_queues(scope: ScopeDep, work_pool_name: str, asked: WorkQueueList) -> Response:
    """The queues of the pool that match, by priority."""
    part = lists.part_of(scope, asked)
    pool = await _pool(scope, work_pool_name)
    rows = await queue_queries.page(scope.db, scope.workspace_id, asked, part, pool_id=pool["id"])
    return JSON([queue_to_wire(row) for row in rows])


@router.patch("/{work_pool_name}/queues/{name}", status_code=204)
async def update_work_queue(scope: ScopeDep, work_pool_name: str, name: str, work_queue: WorkQueueUpdate) -> Response:
    """Write the fields that were sent. Queues that stand at a new priority make room."""
    queue_id = await _queue_id(scope, work_pool_name, name)
    if not await change_queue(scope, queue_id, work_queue, reorder=True):
        raise queue_not_found(work_pool_name, name)
    return no_content()


@router.delete("/{work_pool_name}/queues/{name}", status_code=204)
async def delete_work_queue(scope: ScopeDep, work_pool_name: str, name: str) -> Response:
    """Delete a queue that is not the pool's default one. Deployments and runs keep its name only."""
    queue_id = await _queue_id(scope, work_pool_name, name)
    if not await delete_queue(scope, queue_id):
        raise queue_not_found(work_pool_name, name)
    return no_content()


async def _queue_id(scope: Scope, pool_name: str, name: str) -> UUID:
    row = await queue_queries.find(scope.db, scope.workspace_id, pool_name, name)
    if row is None:
        await _pool(scope, pool_name)
        raise queue_not_found(pool_name, name)
    id: UUID = row["id"]
    return id


async def _pool(scope: Scope, name: str) -> Record:
    pool = await queries.find(scope.db, scope.workspace_id, name)
    if pool is None:
        raise pool_not_found(name)
    return pool
