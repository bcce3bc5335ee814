"""Run logs over HTTP."""

from typing import Annotated

from fastapi import Body
from starlette.responses import Response

from sempre.schemas.filters.logs import LogFilter
from sempre.schemas.logs import Log, LogCreate
from sempre.schemas.sorting import LogSort
from sempre.server.lists import Limit, Offset, bounded
from sempre.server.logs.queries import log_to_wire, read_logs, write_logs
from sempre.server.responses import JSON
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room(prefix="/logs", tags=["Logs"])


@router.post("/", status_code=201)
async def create_logs(scope: ScopeDep, logs: list[LogCreate]) -> Response:
    """Store log lines. All of them are durable when this answers, or none."""
    await write_logs(scope.db, scope.workspace_id, logs)
    if logs and scope.settings.logs.stream_publishing_enabled:
        scope.doorbell.ring("logs")
    return JSON(None, 201)


@router.post("/filter", response_model=list[Log])
async def read_logs_filtered(
    scope: ScopeDep,
    logs: Annotated[LogFilter | None, Body(embed=True)] = None,
    offset: Offset = 0,
    limit: Limit = None,
    sort: Annotated[LogSort, Body()] = LogSort.TIMESTAMP_ASC,
) -> Response:
    """The lines that match."""
    rows = await read_logs(scope.db, scope.workspace_id, logs, sort, bounded(scope, limit), offset)
    return JSON([log_to_wire(row) for row in rows])
