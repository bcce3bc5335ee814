"""Automations in the database, and the resources they belong to or act on."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.lists import ListCall
from sempre.schemas.sorting import AutomationSort
from sempre.server import lists
from sempre.server.filters.relations import AUTOMATIONS, matching
from sempre.server.ids import new_id
from sempre.server.lists import Part
from sempre.server.triggers.definitions import CONSUMER, SHARDS

__all__ = [
    "FIELDS",
    "create",
    "delete",
    "delete_owned_by",
    "find",
    "page",
    "relate",
    "related_to",
    "unrelate_others",
    "update",
]

FIELDS = (
    "name", "description", "enabled", "tags", "trigger", "actions", "actions_on_trigger", "actions_on_resolve",
)  # fmt: skip
_COLUMNS = ", ".join((*FIELDS, "id", "created", "updated"))


async def create(db: Executor, workspace_id: UUID, values: dict[str, Any], *, id: UUID | None = None) -> Record | None:
    """Insert an automation; ``values`` has all of ``FIELDS``. ``None`` if its id is taken.

    Whoever is to evaluate automations may not have started once yet: its place in the log is where the first of them
    was made.
    """
    return await db.fetchrow(
        f"""
        WITH place AS (
            INSERT INTO event_consumer (name, shard, position)
            SELECT '{CONSUMER}', shard, coalesce((SELECT max(seq) FROM event), 0)
            FROM generate_series(0, {SHARDS} - 1) AS shard
            ON CONFLICT DO NOTHING
        )
        INSERT INTO automation (id, workspace_id, {", ".join(FIELDS)}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (id) DO NOTHING RETURNING {_COLUMNS}
        """,
        id or new_id(),
        workspace_id,
        *(values[name] for name in FIELDS),
    )


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


async def delete(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    """Delete an automation with its relations."""
    return await db.fetchrow(
        f"DELETE FROM automation WHERE id = $1 AND workspace_id = $2 RETURNING {_COLUMNS}", id, workspace_id
    )


async def delete_owned_by(db: Executor, workspace_id: UUID, resource_id: str) -> list[Record]:
    """Delete the automations that a resource owns, as far as they were there when this began."""
    return await db.fetch(
        f"""
        DELETE FROM automation WHERE workspace_id = $1 AND created <= now() AND id IN (
            SELECT automation_id FROM automation_related_resource
            WHERE workspace_id = $1 AND resource_id = $2 AND owned
        ) RETURNING {_COLUMNS}
        """,
        workspace_id,
        resource_id,
    )


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


async def page(db: Executor, workspace_id: UUID, asked: ListCall, sort: AutomationSort, part: Part) -> list[Record]:
    c = tables.automation.c
    query = select(*(c[name] for name in _COLUMNS.split(", "))).where(matching(AUTOMATIONS, asked, workspace_id))
    return await lists.fetch(db, part.of(query.order_by(*lists.order(sort, c))))
