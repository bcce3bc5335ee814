"""Automations in the database, and the resources they belong to or act on."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, true

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.filters.automations import AutomationFilter
from sempre.schemas.sorting import AutomationSort
from sempre.server import lists
from sempre.server.filters.conditions import Condition, among, combined, member, tags
from sempre.server.ids import new_id

__all__ = [
    "FIELDS",
    "create",
    "delete",
    "delete_owned_by",
    "find",
    "page",
    "relate",
    "related_to",
    "total",
    "unrelate_others",
    "update",
]

FIELDS = (
    "name", "description", "enabled", "tags", "trigger", "actions", "actions_on_trigger", "actions_on_resolve",
)  # fmt: skip
_COLUMNS = ", ".join((*FIELDS, "id", "created", "updated"))

_automation = tables.automation.c
_ORDER: dict[AutomationSort, Any] = {
    AutomationSort.CREATED_DESC: _automation.created.desc(),
    AutomationSort.UPDATED_DESC: _automation.updated.desc(),
    AutomationSort.NAME_ASC: _automation.name.asc(),
    AutomationSort.NAME_DESC: _automation.name.desc(),
}


async def create(db: Executor, workspace_id: UUID, values: dict[str, Any]) -> Record:
    """Insert an automation; ``values`` has all of ``FIELDS``."""
    row = await db.fetchrow(
        f"""
        INSERT INTO automation (id, workspace_id, {", ".join(FIELDS)}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        RETURNING {_COLUMNS}
        """,
        new_id(),
        workspace_id,
        *(values[name] for name in FIELDS),
    )
    assert row is not None
    return row


async def find(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    return await db.fetchrow(f"SELECT {_COLUMNS} FROM automation WHERE id = $1 AND workspace_id = $2", id, workspace_id)


async def update(
    db: Executor, workspace_id: UUID, id: UUID, changes: dict[str, Any], *, unchanged_since: datetime | None = None
) -> Record | None:
    """Write some of ``FIELDS``; with ``unchanged_since`` only if the automation was last updated then."""
    assignments = "".join(f"{name} = ${number}, " for number, name in enumerate(changes, start=4))
    return await db.fetchrow(
        f"""
        UPDATE automation SET {assignments}updated = clock_timestamp()
        WHERE id = $1 AND workspace_id = $2 AND ($3::timestamptz IS NULL OR updated = $3)
        RETURNING {_COLUMNS}
        """,
        id,
        workspace_id,
        unchanged_since,
        *changes.values(),
    )


_AND_COUNTERS = f"""
    , buckets AS (DELETE FROM automation_bucket b USING gone WHERE b.automation_id = gone.id)
    , firings AS (DELETE FROM automation_child_firing f USING gone WHERE f.automation_id = gone.id)
    SELECT {_COLUMNS} FROM gone
"""


async def delete(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    """Delete an automation with its relations and whatever its triggers have counted."""
    return await db.fetchrow(
        f"WITH gone AS (DELETE FROM automation WHERE id = $1 AND workspace_id = $2 RETURNING *) {_AND_COUNTERS}",
        id,
        workspace_id,
    )


async def delete_owned_by(db: Executor, workspace_id: UUID, resource_id: str) -> int:
    """Delete the automations that a resource owns, as far as they were there when this began; how many."""
    rows = await db.fetch(
        f"""
        WITH gone AS (
            DELETE FROM automation WHERE workspace_id = $1 AND created <= now() AND id IN (
                SELECT automation_id FROM automation_related_resource
                WHERE workspace_id = $1 AND resource_id = $2 AND owned
            ) RETURNING *
        ) {_AND_COUNTERS}
        """,
        workspace_id,
        resource_id,
    )
    return len(rows)


async def relate(
    db: Executor, workspace_id: UUID, automation_id: UUID, resource_ids: list[str], *, owned: bool
) -> None:
    """Record resources that an automation belongs to or acts on; those it has already stay as they are."""
    await db.execute(
        """
        INSERT INTO automation_related_resource (automation_id, workspace_id, resource_id, owned)
        SELECT $1, $2, unnest($3::text[]), $4 ON CONFLICT DO NOTHING
        """,
        automation_id,
        workspace_id,
        sorted(set(resource_ids)),
        owned,
    )


async def unrelate_others(db: Executor, workspace_id: UUID, automation_id: UUID, resource_ids: list[str]) -> None:
    """Forget the resources an automation acts on, but for these."""
    await db.execute(
        """
        DELETE FROM automation_related_resource
        WHERE automation_id = $1 AND workspace_id = $2 AND NOT owned AND resource_id <> ALL($3)
        """,
        automation_id,
        workspace_id,
        resource_ids,
    )


async def related_to(db: Executor, workspace_id: UUID, resource_id: str) -> list[Record]:
    """The automations that belong to a resource or act on it, by name."""
    columns = ", ".join(f"a.{name}" for name in _COLUMNS.split(", "))
    return await db.fetch(
        f"""
        SELECT {columns} FROM automation_related_resource r JOIN automation a ON a.id = r.automation_id
        WHERE r.workspace_id = $1 AND r.resource_id = $2 ORDER BY a.name, a.id
        """,
        workspace_id,
        resource_id,
    )


async def page(
    db: Executor, workspace_id: UUID, filter: AutomationFilter | None, *, sort: AutomationSort, limit: int, offset: int
) -> list[Record]:
    query = _matching(workspace_id, filter).order_by(_ORDER[sort], _automation.id).limit(limit).offset(offset)
    return await lists.fetch(db, query)


async def total(db: Executor, workspace_id: UUID, filter: AutomationFilter | None) -> int:
    return await lists.count(db, _matching(workspace_id, filter))


def _matching(workspace_id: UUID, filter: AutomationFilter | None) -> Select[Any]:
    columns = [_automation[name] for name in _COLUMNS.split(", ")]
    query = select(*columns).where(_automation.workspace_id == workspace_id)
    return query if filter is None else query.where(_condition(filter))


def _condition(filter: AutomationFilter) -> Condition:
    conditions: list[Condition] = []
    if filter.id:
        conditions.append(member(among(_automation.id, filter.id.any_)))
    if filter.name:
        conditions.append(member(among(_automation.name, filter.name.any_)))
    if filter.created:
        before = filter.created.before_
        conditions.append(true() if before is None else _automation.created <= before)
    if filter.tags:
        conditions.append(tags(_automation.tags, filter.tags))
    return combined(filter.operator, conditions)
