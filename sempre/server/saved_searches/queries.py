"""Saved searches in the database."""

from typing import Any
from uuid import UUID

from sempre.db.pool import Executor, Record
from sempre.server.ids import new_id
from sempre.server.lists import Part

__all__ = ["delete", "find", "page", "put"]

_COLUMNS = "id, created, updated, name, filters"


async def put(db: Executor, workspace_id: UUID, name: str, filters: list[dict[str, Any]]) -> Record:
    """Insert a search, or replace the filters of the one with this name. ``new`` tells which."""
    row = await db.fetchrow(
        f"""
        INSERT INTO saved_search (id, workspace_id, name, filters) VALUES ($1, $2, $3, $4)
        ON CONFLICT (workspace_id, name) DO UPDATE SET filters = excluded.filters, updated = now()
        RETURNING {_COLUMNS}, xmax = 0 AS new
        """,
        new_id(),
        workspace_id,
        name,
        filters,
    )
    assert row is not None
    return row


async def find(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    return await db.fetchrow(
        f"SELECT {_COLUMNS} FROM saved_search WHERE id = $1 AND workspace_id = $2", id, workspace_id
    )


async def page(db: Executor, workspace_id: UUID, part: Part) -> list[Record]:
    """Searches by name."""
    return await db.fetch(
        f"SELECT {_COLUMNS} FROM saved_search WHERE workspace_id = $1 ORDER BY name LIMIT $2 OFFSET $3",
        workspace_id,
        part.limit,
        part.offset,
    )


async def delete(db: Executor, workspace_id: UUID, id: UUID) -> bool:
    status = await db.execute("DELETE FROM saved_search WHERE id = $1 AND workspace_id = $2", id, workspace_id)
    return status != "DELETE 0"
