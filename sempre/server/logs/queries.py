"""Writing and reading run logs."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Uuid, func, select, true

from sempre.db.pool import Executor, Record
from sempre.db.statement import Statement
from sempre.db.tables import log
from sempre.schemas.filters.common import Operator
from sempre.schemas.filters.logs import LogFilter
from sempre.schemas.lists import LogList
from sempre.schemas.logs import LogCreate
from sempre.schemas.sorting import LogSort
from sempre.server import lists
from sempre.server.filters.conditions import array_of
from sempre.server.filters.relations import LOGS, matching
from sempre.server.ids import new_id
from sempre.server.lists import Part

__all__ = ["log_to_wire", "pages_of_flow_run", "read_logs", "write_logs"]

_INSERT = Statement(
    """
INSERT INTO log (recorded, id, workspace_id, timestamp, name, level, message, flow_run_id, task_run_id)
SELECT CASE WHEN line.given AND line.timestamp BETWEEN now() - interval '7 days' AND now() + interval '1 day'
            THEN line.timestamp ELSE now() END,
       line.id, :workspace_id::uuid, line.timestamp, line.name, line.level, line.message, line.flow_run_id,
       line.task_run_id
FROM unnest(
    :ids::uuid[], :given::bool[], :timestamps::timestamptz[], :names::text[], :levels::int[], :messages::text[],
    :flow_run_ids::uuid[], :task_run_ids::uuid[]
) WITH ORDINALITY AS line(id, given, timestamp, name, level, message, flow_run_id, task_run_id, number)
ORDER BY line.number
ON CONFLICT DO NOTHING
"""
)

_PAGE_OF_FLOW_RUN = """
SELECT timestamp, level, flow_run_id, task_run_id, message, id FROM log
WHERE workspace_id = $1 AND flow_run_id = $2
    AND ($3::timestamptz IS NULL OR (timestamp, id) > ($3::timestamptz, $4::uuid))
ORDER BY timestamp, id LIMIT $5
"""
_PAGE_SIZE = 1000


async def write_logs(db: Executor, workspace_id: UUID, lines: Sequence[LogCreate]) -> None:
    """Append ``lines`` in one statement, in their order; NUL characters, which Postgres cannot hold, are left out.

    The table's key is the time under which a line is filed and an id. A line that brings its id is filed under its own
    time, so that it collides with itself when it is sent again; one of a clock that is far off under the time it came.
    """
    if not lines:
        return
    await db.execute(
        _INSERT.sql,
        *_INSERT.bind(
            workspace_id=workspace_id,
            ids=[line.id or new_id() for line in lines],
            given=[line.id is not None for line in lines],
            timestamps=[line.timestamp for line in lines],
            names=[line.name.replace("\x00", "") for line in lines],
            levels=[line.level for line in lines],
            messages=[line.message.replace("\x00", "") for line in lines],
            flow_run_ids=[line.flow_run_id for line in lines],
            task_run_ids=[line.task_run_id for line in lines],
        ),
    )


async def read_logs(db: Executor, workspace_id: UUID, asked: LogList, part: Part) -> list[Record]:
    lines = select(log).where(matching(LOGS, asked, workspace_id))
    runs = _runs_of(asked.logs)
    if runs is None:
        return await lists.fetch(db, part.of(lines.order_by(*_order(asked.sort, log.c))))
    # Run by run. Asked for lines of a run "by time", Postgres may go by time through those of all runs, hoping to meet
    # enough of this one soon; a run it does not know yet it looks up.
    column, ids = runs
    run = func.unnest(array_of(ids)).table_valued(Column("id", Uuid), name="run").render_derived()
    first = lines.where(column == run.c.id).order_by(*_order(asked.sort, log.c)).limit(part.offset + part.limit)
    found = first.correlate(run).lateral("line")
    query = select(found).select_from(run.join(found, true())).order_by(*_order(asked.sort, found.c))
    return await lists.fetch(db, part.of(query))


def _order(sort: LogSort, c: Any) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Lines of one instant keep the order they came in."""
    ascending = sort is LogSort.TIMESTAMP_ASC
    return (c.timestamp.asc(), c.seq.asc()) if ascending else (c.timestamp.desc(), c.seq.desc())


def _runs_of(filter: LogFilter | None) -> tuple[ColumnElement[Any], list[UUID]] | None:
    """The runs, and the column that names them, if it is their lines alone that a filter asks for."""
    if filter is None or filter.operator is Operator.or_:
        return None
    for column, asked in ((log.c.task_run_id, filter.task_run_id), (log.c.flow_run_id, filter.flow_run_id)):
        if asked is not None and asked.any_:
            return column, list(dict.fromkeys(asked.any_))
    return None


async def pages_of_flow_run(db: Executor, workspace_id: UUID, flow_run_id: UUID) -> AsyncIterator[list[Record]]:
    """All lines of a flow run and its tasks in order of time, a page at a time: timestamp, level, flow_run_id,
    task_run_id, message."""
    timestamp = id = None
    while True:
        rows = await db.fetch(_PAGE_OF_FLOW_RUN, workspace_id, flow_run_id, timestamp, id, _PAGE_SIZE)
        if rows:
            yield rows
        if len(rows) < _PAGE_SIZE:
            return
        timestamp, id = rows[-1]["timestamp"], rows[-1]["id"]


def log_to_wire(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"],
        "created": row["recorded"],
        "updated": row["recorded"],
        "name": row["name"],
        "level": row["level"],
        "message": row["message"],
        "timestamp": row["timestamp"],
        "flow_run_id": row["flow_run_id"],
        "task_run_id": row["task_run_id"],
    }
