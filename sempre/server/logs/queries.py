"""Writing and reading run logs."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, func, literal, not_, or_, select, true

from sempre.core import text_search
from sempre.core.event_patterns import to_like_prefix
from sempre.db.compile import compiled
from sempre.db.pool import Executor, Record
from sempre.db.statement import Statement
from sempre.db.tables import log
from sempre.schemas.filters.logs import LogFilter
from sempre.schemas.logs import LogCreate
from sempre.schemas.sorting import LogSort
from sempre.server.filters.conditions import Condition, among, before_after, combined, is_null, member
from sempre.server.ids import new_id

__all__ = ["log_conditions", "log_to_wire", "pages_of_flow_run", "read_logs", "write_logs"]

_INSERT = Statement(
    """
INSERT INTO log (id, workspace_id, timestamp, name, level, message, flow_run_id, task_run_id)
SELECT line.id, :workspace_id::uuid, line.timestamp, line.name, line.level, line.message, line.flow_run_id,
       line.task_run_id
FROM unnest(
    :ids::uuid[], :timestamps::timestamptz[], :names::text[], :levels::int[], :messages::text[],
    :flow_run_ids::uuid[], :task_run_ids::uuid[]
) WITH ORDINALITY AS line(id, timestamp, name, level, message, flow_run_id, task_run_id, number)
ORDER BY line.number
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
    """Append ``lines`` in one statement, in their order; NUL characters, which Postgres cannot hold, are left out."""
    if not lines:
        return
    await db.execute(
        _INSERT.sql,
        *_INSERT.bind(
            workspace_id=workspace_id,
            ids=[new_id() for _ in lines],
            timestamps=[line.timestamp for line in lines],
            names=[line.name.replace("\x00", "") for line in lines],
            levels=[line.level for line in lines],
            messages=[line.message.replace("\x00", "") for line in lines],
            flow_run_ids=[line.flow_run_id for line in lines],
            task_run_ids=[line.task_run_id for line in lines],
        ),
    )


async def read_logs(
    db: Executor, workspace_id: UUID, filter: LogFilter | None, sort: LogSort, limit: int, offset: int
) -> list[Record]:
    c = log.c
    ascending = sort is LogSort.TIMESTAMP_ASC
    # Lines of one instant keep the order they came in.
    order = (c.timestamp.asc(), c.seq.asc()) if ascending else (c.timestamp.desc(), c.seq.desc())
    query = select(log).where(c.workspace_id == workspace_id).order_by(*order).limit(limit).offset(offset)
    if filter is not None:
        query = query.where(log_conditions(filter))
    sql, arguments = compiled(query)
    return await db.fetch(sql, *arguments)


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


def log_conditions(filter: LogFilter) -> Condition:
    return combined(filter.operator, list(_conditions(filter)))


def _conditions(filter: LogFilter) -> list[Condition]:
    c = log.c
    found: list[Condition] = []
    if filter.level:
        least, most = filter.level.ge_, filter.level.le_
        found.append(member([] if least is None else [c.level >= least], [] if most is None else [c.level <= most]))
    if filter.timestamp:
        found.append(member(before_after(c.timestamp, filter.timestamp)))
    if filter.flow_run_id:
        found.append(member(among(c.flow_run_id, filter.flow_run_id.any_)))
    if filter.task_run_id:
        task = filter.task_run_id
        found.append(member(among(c.task_run_id, task.any_), is_null(c.task_run_id, task.is_null_)))
    if filter.text:
        found.append(member(_text(filter.text.query)))
    return found


def _text(query: str) -> list[Condition]:
    terms = text_search.parse(query)
    haystack: ColumnElement[Any] = func.concat(log.c.message, literal(" ", Text), log.c.name)

    def contains(term: str) -> Condition:
        return haystack.ilike("%" + to_like_prefix(term))

    found: list[Condition] = [or_(*map(contains, terms.include)) if terms.include else true()]
    found.extend(not_(contains(term)) for term in terms.exclude)
    found.extend(contains(term) for term in terms.required)
    return found if not terms.is_blank else []


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
