"""Concurrency limits in the database."""

from typing import Any
from uuid import UUID

from sempre.db.pool import Executor, Record
from sempre.db.statement import Statement
from sempre.server.concurrency.levels import active_slots, bucket_level
from sempre.server.concurrency.statements import LIVE, free_slots, slots_in_use
from sempre.server.ids import new_id
from sempre.server.lists import Part

__all__ = [
    "COLUMNS",
    "RECORD_COLUMNS",
    "TAG_COLUMNS",
    "create",
    "delete",
    "find",
    "find_tag",
    "page",
    "put_tag",
    "set_anonymous_slots",
    "update",
]

COLUMNS = f"""
    l.id, l.created, l.updated, l.active, l.name, l.slot_limit AS limit, {active_slots("l")} AS active_slots,
    l.slot_decay_per_second
"""
RECORD_COLUMNS = f"{COLUMNS}, l.denied_slots, l.avg_slot_occupancy_seconds"

# A limit as the older, tag-based API shows it: its slots are the task runs that hold them.
TAG_COLUMNS = f"""
    l.id, l.created, l.updated, substr(l.name, 5) AS tag, l.slot_limit AS concurrency_limit,
    ARRAY(
        SELECT DISTINCT e.holder_id FROM concurrency_slot s JOIN concurrency_lease e ON e.id = s.lease_id
        WHERE s.limit_id = l.id AND e.holder_type = 'task_run' AND e.holder_id IS NOT NULL AND {LIVE.format(alias="s")}
        ORDER BY e.holder_id
    ) AS active_slots
"""

_SET_ANONYMOUS = Statement(f"""
WITH wanted AS MATERIALIZED (
    SELECT :id::uuid AS id, :limit::bigint AS slot_limit, {slots_in_use("l.id")} AS in_use
    FROM concurrency_limit l WHERE l.id = :id::uuid AND l.workspace_id = :workspace_id::uuid
), surplus AS (
    SELECT limit_id, slot FROM concurrency_slot
    WHERE limit_id = (SELECT id FROM wanted) AND lease_id IS NULL AND run_id IS NULL
    ORDER BY slot DESC LIMIT (SELECT greatest(in_use - :target::bigint, 0) FROM wanted) FOR UPDATE SKIP LOCKED
), freed AS (
    DELETE FROM concurrency_slot s USING surplus WHERE s.limit_id = surplus.limit_id AND s.slot = surplus.slot
)
INSERT INTO concurrency_slot AS held (limit_id, slot, workspace_id, acquired_at)
SELECT wanted.id, free.slot, :workspace_id::uuid, clock_timestamp()
FROM wanted CROSS JOIN LATERAL {free_slots("wanted", "greatest(:target::bigint - wanted.in_use, 0)")} free
ORDER BY free.slot
ON CONFLICT (limit_id, slot) DO UPDATE SET
    workspace_id = excluded.workspace_id, lease_id = NULL, run_id = NULL, acquired_at = excluded.acquired_at,
    expires_at = NULL
    WHERE held.expires_at <= clock_timestamp()
""")


async def create(
    db: Executor,
    workspace_id: UUID,
    *,
    name: str,
    limit: int,
    active: bool = True,
    bucket_level: int = 0,
    denied_slots: int = 0,
    slot_decay_per_second: float = 0.0,
) -> UUID:
    """Insert a limit. Raises UniqueViolationError if the name is taken."""
    id = new_id()
    await db.execute(
        """
        INSERT INTO concurrency_limit (
            id, workspace_id, name, slot_limit, active, bucket_level, denied_slots, slot_decay_per_second
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        id,
        workspace_id,
        name,
        limit,
        active,
        bucket_level,
        denied_slots,
        slot_decay_per_second,
    )
    return id


async def put_tag(db: Executor, workspace_id: UUID, tag: str, limit: int) -> tuple[UUID, bool]:
    """Make or resize the limit of a tag; returns its id, and whether it is new."""
    row = await db.fetchrow(
        """
        INSERT INTO concurrency_limit (id, workspace_id, name, slot_limit) VALUES ($1, $2, $3, $4)
        ON CONFLICT (workspace_id, name) DO UPDATE SET slot_limit = excluded.slot_limit, updated = clock_timestamp()
        RETURNING id, xmax = 0 AS inserted
        """,
        new_id(),
        workspace_id,
        f"tag:{tag}",
        limit,
    )
    assert row is not None
    return row["id"], row["inserted"]


async def find(
    db: Executor, workspace_id: UUID, *, id: UUID | None = None, name: str | None = None, columns: str = COLUMNS
) -> Record | None:
    """One limit by id or by name, as of now."""
    return await db.fetchrow(
        f"SELECT {columns} FROM concurrency_limit l WHERE l.workspace_id = $1 AND (l.id = $2 OR l.name = $3)",
        workspace_id,
        id,
        name,
    )


async def find_tag(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    """The limit of a tag by its id, as the tag API shows it."""
    return await db.fetchrow(
        f"""
        SELECT {TAG_COLUMNS} FROM concurrency_limit l
        WHERE l.workspace_id = $1 AND l.id = $2 AND starts_with(l.name, 'tag:')
        """,
        workspace_id,
        id,
    )


async def page(
    db: Executor, workspace_id: UUID, part: Part, *, prefix: str = "", columns: str = COLUMNS
) -> list[Record]:
    """Limits whose name starts with ``prefix``, by name."""
    return await db.fetch(
        f"""
        SELECT {columns} FROM concurrency_limit l WHERE l.workspace_id = $1 AND starts_with(l.name, $2)
        ORDER BY l.name LIMIT $3 OFFSET $4
        """,
        workspace_id,
        prefix,
        part.limit,
        part.offset,
    )


async def update(db: Executor, workspace_id: UUID, id: UUID, values: dict[str, Any]) -> Record | None:
    """Write columns of a limit and restart its decay. ``None``: there is none.

    ``bucket_level`` absent keeps the level of this moment.
    """
    arguments: list[Any] = [id, workspace_id]
    assignments = []
    for column, value in values.items():
        arguments.append(value)
        assignments.append(f"{column} = ${len(arguments)}")
    if "bucket_level" not in values:
        assignments.append(f"bucket_level = {bucket_level('l')}")
    return await db.fetchrow(
        f"""
        UPDATE concurrency_limit l SET {", ".join(assignments)}, updated = clock_timestamp()
        WHERE l.id = $1 AND l.workspace_id = $2 RETURNING {COLUMNS}
        """,
        *arguments,
    )


async def set_anonymous_slots(db: Executor, workspace_id: UUID, id: UUID, *, target: int, limit: int) -> None:
    """Make or end slots without a holder until ``target`` are in use in all, within ``limit`` and as far as the slots
    of leases and runs leave room for it."""
    await db.execute(
        _SET_ANONYMOUS.sql, *_SET_ANONYMOUS.bind(id=id, workspace_id=workspace_id, target=target, limit=limit)
    )


async def delete(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    """Delete a limit with its slots; ``None`` if there is none. Leases stay, and need its slots no longer."""
    await db.execute(
        """
        WITH held AS MATERIALIZED (
            SELECT s.limit_id, s.slot FROM concurrency_slot s WHERE s.limit_id = $1 AND s.workspace_id = $2
            ORDER BY s.slot FOR UPDATE
        )
        DELETE FROM concurrency_slot s USING held WHERE s.limit_id = held.limit_id AND s.slot = held.slot
        """,
        id,
        workspace_id,
    )
    return await db.fetchrow(
        f"DELETE FROM concurrency_limit l WHERE l.id = $1 AND l.workspace_id = $2 RETURNING {COLUMNS}",
        id,
        workspace_id,
    )
