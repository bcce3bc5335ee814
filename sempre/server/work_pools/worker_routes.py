"""``/work_pools/{work_pool_name}/workers``: heartbeats, and who is there."""

from typing import Annotated
from uuid import UUID

from fastapi import Body
from sqlalchemy import func, select
from starlette.responses import Response

from sempre.db import tables
from sempre.schemas.lists import WorkerList
from sempre.schemas.work_pools import LONGEST_HEARTBEAT_SECONDS, WorkerResponse
from sempre.server import lists
from sempre.server.errors import NotFound
from sempre.server.filters.relations import WORKERS, matching
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import Scope, ScopeDep
from sempre.server.work_pools import queries
from sempre.server.work_pools.heartbeats import record_heartbeat
from sempre.server.work_pools.lookup import pool_not_found
from sempre.server.work_pools.rows import worker_to_wire

__all__ = ["router"]

router = Room(prefix="/work_pools", tags=["Work Pools"])

_worker = tables.worker


@router.post("/{work_pool_name}/workers/heartbeat", status_code=204)
async def worker_heartbeat(
    scope: ScopeDep,
    work_pool_name: str,
    name: Annotated[str, Body()],
    heartbeat_interval_seconds: Annotated[int | None, Body(ge=1, le=LONGEST_HEARTBEAT_SECONDS)] = None,
) -> Response:
    """A worker says that it is alive. It exists from its first heartbeat on."""
    session_id = _session_of(scope)
    if await record_heartbeat(scope, work_pool_name, name, heartbeat_interval_seconds, session_id=session_id) is None:
        raise pool_not_found(work_pool_name)
    return no_content()


def _session_of(scope: Scope) -> UUID | None:
    worker = scope.client.worker
    try:
        return None if worker is None or worker.id is None else UUID(worker.id)
    except ValueError:
        return None


@router.post("/{work_pool_name}/workers/filter", response_model=list[WorkerResponse])
async def read_workers(scope: ScopeDep, work_pool_name: str, asked: WorkerList) -> Response:
    """The pool's workers that match, the last heard first. A filter on the status asks for the stored one."""
    part = lists.part_of(scope, asked)
    pool = await queries.find(scope.db, scope.workspace_id, work_pool_name)
    if pool is None:
        raise pool_not_found(work_pool_name)
    matches = matching(WORKERS, asked, scope.workspace_id)
    query = select(_worker, func.clock_timestamp().label("now")).where(_worker.c.work_pool_id == pool["id"], matches)
    query = query.order_by(_worker.c.last_heartbeat_time.desc(), _worker.c.id.desc())
    return JSON([worker_to_wire(row) for row in await lists.fetch(scope.db, part.of(query))])


@router.delete("/{work_pool_name}/workers/{name}", status_code=204)
async def delete_worker(scope: ScopeDep, work_pool_name: str, name: str) -> Response:
    """Forget a worker; it comes back with its next heartbeat."""
    found = await _delete(scope, work_pool_name, name)
    if found is None:
        raise pool_not_found(work_pool_name)
    if not found:
        raise NotFound("Worker not found.")
    return no_content()


async def _delete(scope: Scope, pool_name: str, name: str) -> int | None:
    """How many workers went; ``None`` if there is no such pool."""
    count: int | None = await scope.db.fetchval(
        """
        WITH pool AS (SELECT id FROM work_pool WHERE workspace_id = $1 AND name = $2),
        gone AS (DELETE FROM worker w USING pool WHERE w.work_pool_id = pool.id AND w.name = $3 RETURNING w.id)
        SELECT (SELECT count(*) FROM gone) FROM pool
        """,
        scope.workspace_id,
        pool_name,
        name,
    )
    return count
