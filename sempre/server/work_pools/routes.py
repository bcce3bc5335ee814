"""``/work_pools``: make, read, list, change and delete pools, and hand out what is due in them."""

from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from sempre.core import parameters
from sempre.db.pool import Record
from sempre.schemas.lists import PoolConcurrencyPage, PoolDueList, WorkPoolFilters, WorkPoolList
from sempre.schemas.work_pools import (
    WorkerFlowRunResponse,
    WorkPoolConcurrencyStatus,
    WorkPoolCreate,
    WorkPoolResponse,
    WorkPoolStorageConfiguration,
    WorkPoolUpdate,
)
from sempre.server import lists
from sempre.server.errors import INTEGRITY, Conflict, Forbidden, NotFound, Unprocessable
from sempre.server.events.emit import emit
from sempre.server.filters.relations import WORK_POOLS
from sempre.server.ids import new_id
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep
from sempre.server.work_pools import events, polling, queries
from sempre.server.work_pools.creation import NewPool, create_pool, lock_pool
from sempre.server.work_pools.job_variables import referenced_blocks
from sempre.server.work_pools.lookup import pool_not_found
from sempre.server.work_pools.rows import pool_to_wire, run_summary

__all__ = ["is_reserved", "router"]

router = Room(prefix="/work_pools", tags=["Work Pools"])

_RESERVED = "Work pools starting with 'Prefect' are reserved for internal use"
_CHANGEABLE_IF_RESERVED = frozenset({"is_paused", "concurrency_limit"})
_TRACKED = ("description", "base_job_template", "concurrency_limit", "storage_configuration")
_SHOWN_TO_WORKERS = frozenset({"base_job_template", "concurrency_limit", "is_paused", "storage_configuration"})
_EXCLUDED_FROM_COLUMNS = frozenset({"is_paused", "storage_configuration"})


@router.post("/{name}/get_scheduled_flow_runs", response_model=list[WorkerFlowRunResponse])
async def get_scheduled_flow_runs(
    request: Request,
    scope: ScopeDep,
    name: str,
    asked: PoolDueList,
) -> Response:
    """What is due in the pool, by priority of the queues and then by time. Whoever was polled becomes ready."""
    size = lists.bounded(scope, asked)
    poll = await polling.open_poll(scope.db, scope.workspace_id, name, asked.work_queue_names or [])
    due = await polling.due_runs(scope.db, poll, before=asked.scheduled_before, after=asked.scheduled_after, limit=size)
    request.app.state.runtime.readiness.mark_queues(poll.considered)
    return JSON([polling.to_wire(poll, row) for row in due])


@router.post("/", response_model=WorkPoolResponse, status_code=201)
async def create_work_pool(scope: ScopeDep, work_pool: WorkPoolCreate) -> Response:
    """Make a pool with its default queue."""
    if is_reserved(work_pool.name):
        raise Forbidden(f"{_RESERVED}.")
    try:
        blocks = await referenced_blocks(scope, work_pool.base_job_template)
        parameters.check_job_variable_defaults(work_pool.base_job_template, blocks)
    except ValueError as error:
        raise Unprocessable(str(error)) from error
    new = NewPool(
        name=work_pool.name,
        type=work_pool.type,
        description=work_pool.description,
        base_job_template=work_pool.base_job_template,
        is_paused=work_pool.is_paused,
        concurrency_limit=work_pool.concurrency_limit,
        storage_configuration=_storage(work_pool.storage_configuration),
    )
    async with scope.db.transaction() as transaction:
        created = await create_pool(transaction, scope.workspace_id, new)
    if created is None:
        raise Conflict("A work pool with this name already exists.")
    scope.doorbell.ring("events")
    slots = None if created["concurrency_limit"] is None else 0
    return JSON(pool_to_wire({**created, "active_slots": slots}, scope.client), 201)


@router.get("/{name}", response_model=WorkPoolResponse)
async def read_work_pool(scope: ScopeDep, name: str) -> Response:
    row = await queries.find(scope.db, scope.workspace_id, name)
    if row is None:
        raise pool_not_found(name)
    return JSON(pool_to_wire(row, scope.client))


@router.post("/filter", response_model=list[WorkPoolResponse])
async def read_work_pools(scope: ScopeDep, asked: WorkPoolList) -> Response:
    """The pools that match, by name."""
    rows = await queries.page(scope.db, scope.workspace_id, asked, lists.part_of(scope, asked))
    return JSON([pool_to_wire(row, scope.client) for row in rows])


@router.post("/count")
async def count_work_pools(scope: ScopeDep, asked: WorkPoolFilters) -> int:
    """How many pools the filter matches."""
    return await lists.count(scope.db, scope.workspace_id, WORK_POOLS, asked)


@router.patch("/{name}", status_code=204)
async def update_work_pool(scope: ScopeDep, name: str, work_pool: WorkPoolUpdate) -> Response:
    """Write the fields that were sent. Pausing and resuming sets the pool's status."""
    sent = work_pool.sent()
    if is_reserved(name) and not set(sent) <= _CHANGEABLE_IF_RESERVED:
        raise Forbidden(f"{_RESERVED} and can only be updated to set concurrency limits or pause.")
    if "base_job_template" in sent and work_pool.base_job_template is None:
        missing = {
            "type": "dict_type",
            "loc": ("body", "base_job_template"),
            "msg": "Input should be a valid dictionary",
        }
        raise RequestValidationError([{**missing, "input": None}], body=sent)
    if any(key in sent and sent[key] is None for key in _EXCLUDED_FROM_COLUMNS):
        raise Conflict(INTEGRITY)
    changes = {key: value for key, value in sent.items() if key not in _EXCLUDED_FROM_COLUMNS}
    if "storage_configuration" in sent:
        changes["storage_configuration"] = _storage(work_pool.storage_configuration)
    status_event = new_id()
    async with scope.db.transaction() as transaction:
        before = await lock_pool(transaction, scope.workspace_id, name)
        if before is None:
            raise pool_not_found(name)
        after = await queries.update(
            transaction, before["id"], changes, paused=work_pool.is_paused, status_event=status_event
        )
        made = []
        if work_pool.is_paused is not None and after["status"] is not None:
            last = before["last_status_event_id"], before["last_transitioned_status_at"]
            follows = events.follows(*last, now=datetime.now(UTC))
            made.append(events.pool_status(after, id=status_event, follows=follows))
        if payload := events.changed_fields(before, after, _TRACKED):
            made.append(events.pool_changed("updated", after, payload=payload))
        await emit(transaction, scope.workspace_id, *made)
    scope.doorbell.ring("events", f"work:{after['id']}")
    if not _SHOWN_TO_WORKERS.isdisjoint(sent):
        scope.doorbell.ring(f"work_pool:{after['id']}")
    return no_content()


@router.delete("/{name}", status_code=204)
async def delete_work_pool(scope: ScopeDep, name: str) -> Response:
    """Delete a pool with its queues and workers. Deployments and runs in it keep the name of their queue only."""
    if is_reserved(name):
        raise Forbidden(f"{_RESERVED} and can not be deleted.")
    async with scope.db.transaction() as transaction:
        pool = await lock_pool(transaction, scope.workspace_id, name)
        if pool is None:
            raise pool_not_found(name)
        queues = await queries.queues_of(transaction, pool["id"])
        await queries.forget_queues(transaction, [queue["id"] for queue in queues])
        await queries.delete(transaction, pool["id"])
        gone = [events.queue_changed("deleted", queue, pool) for queue in queues]
        await emit(transaction, scope.workspace_id, *gone, events.pool_changed("deleted", pool))
    scope.doorbell.ring("events", f"work_pool:{pool['id']}")
    return no_content()


@router.post("/{name}/concurrency_status", response_model=WorkPoolConcurrencyStatus)
async def read_work_pool_concurrency_status(scope: ScopeDep, name: str, asked: PoolConcurrencyPage) -> Response:
    """Which runs hold the pool's slots, queue by queue: one page of queues, the first runs of each."""
    part = lists.part_of(scope, asked)
    status = await queries.slots_in_use(scope.db, scope.workspace_id, name)
    if status is None:
        raise NotFound(f"Work pool '{name}' not found.")
    queues = await queries.concurrency_page(scope.db, status["id"], limit=part.limit, offset=part.offset)
    runs = await queries.in_flight(scope.db, [queue["id"] for queue in queues], asked.flow_run_limit)
    paged = lists.page_of([], total=status["queue_count"], part=part, page=asked.page)
    del paged["results"]
    return JSON(
        {
            "active_slots": status["active_slots"],
            "concurrency_limit": status["concurrency_limit"],
            "queues": [_queue_status(queue, runs) for queue in queues],
            **paged,
        }
    )


def _queue_status(queue: Record, runs: list[Record]) -> dict[str, Any]:
    return {
        "queue_id": queue["id"],
        "queue_name": queue["name"],
        "active_slots": queue["active_slots"],
        "concurrency_limit": queue["concurrency_limit"],
        "flow_runs": [run_summary(run) for run in runs if run["work_queue_id"] == queue["id"]],
        "flow_run_count": queue["active_slots"],
    }


def is_reserved(name: str) -> bool:
    return name.lower().startswith("prefect")


def _storage(configuration: WorkPoolStorageConfiguration | None) -> dict[str, Any]:
    """The column's value: only what is set."""
    return {} if configuration is None else configuration.model_dump(mode="json", exclude_none=True)
