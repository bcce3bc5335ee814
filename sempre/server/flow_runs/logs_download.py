"""``/flow_runs/{id}/logs/download``: all logs of a run as one CSV file, streamed."""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from starlette.responses import Response, StreamingResponse

from sempre.db.pool import Executor, Record
from sempre.server.errors import NotFound
from sempre.server.flow_runs import queries
from sempre.server.routing import Room
from sempre.server.scope import Scope, ScopeDep

__all__ = ["router"]

router = Room(prefix="/flow_runs", tags=["Flow Runs"])

PAGE_SIZE = 1000

_COLUMNS = ("timestamp", "level", "flow_run_id", "task_run_id", "message")


@router.get("/{id:uuid}/logs/download")
async def download_logs(scope: ScopeDep, id: UUID) -> Response:
    """The run's logs, oldest first, as CSV with a header line."""
    run = await queries.find(scope.db, scope.workspace_id, id)
    if run is None:
        raise NotFound("Flow run not found")
    filename = quote(f"{run['name']}-logs.csv", safe="")
    disposition = f"attachment; filename=\"flow-run-logs.csv\"; filename*=UTF-8''{filename}"
    return StreamingResponse(
        _lines(scope, id), media_type="text/csv; charset=utf-8", headers={"Content-Disposition": disposition}
    )


async def _lines(scope: Scope, flow_run_id: UUID) -> AsyncIterator[str]:
    yield _csv([_COLUMNS])
    after: tuple[datetime, UUID] | None = None
    while True:
        page = await _page(scope.db, scope.workspace_id, flow_run_id, after)
        if page:
            yield _csv([[row[column] for column in _COLUMNS] for row in page])
        if len(page) < PAGE_SIZE:
            return
        after = page[-1]["timestamp"], page[-1]["id"]


async def _page(
    db: Executor, workspace_id: UUID, flow_run_id: UUID, after: tuple[datetime, UUID] | None
) -> list[Record]:
    """The next logs by (timestamp, id): a keyset, so that later pages cost what the first one does."""
    beyond = "AND (timestamp, id) > ($4, $5)" if after else ""
    return await db.fetch(
        f"""
        SELECT id, timestamp, level, flow_run_id, task_run_id, message FROM log
        WHERE flow_run_id = $1 AND workspace_id = $2 {beyond}
        ORDER BY timestamp, id LIMIT $3
        """,
        flow_run_id,
        workspace_id,
        PAGE_SIZE,
        *(after or ()),
    )


def _csv(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
