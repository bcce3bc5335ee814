"""Run logs over HTTP."""

from starlette.responses import Response

from sempre.schemas.lists import LogList
from sempre.schemas.logs import Log, LogCreate
from sempre.server.lists import part_of
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


@router.post("/filter", response_model=list[Log], name="read_logs")
async def read_logs_filtered(scope: ScopeDep, asked: LogList) -> Response:
    """The lines that match."""
    rows = await read_logs(scope.db, scope.workspace_id, asked, part_of(scope, asked))
    return JSON([log_to_wire(row) for row in rows])
