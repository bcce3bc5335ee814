"""Variables in the database."""

from typing import Any
from uuid import UUID

from sqlalchemy import select

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.lists import ListCall
from sempre.schemas.sorting import VariableSort
from sempre.server import lists
from sempre.server.filters.relations import VARIABLES, matching
from sempre.server.ids import new_id
from sempre.server.lists import Part

__all__ = ["Key", "create", "delete", "find", "page", "update", "values_by_name"]

_COLUMNS = "id, created, updated, name, value, tags"

Key = UUID | str
"""A variable's id, or its name."""


def _key_column(key: Key) -> str:
    return "id" if isinstance(key, UUID) else "name"


async def create(db: Executor, workspace_id: UUID, name: str, value: Any, tags: list[str]) -> Record | None:
    """Insert a variable; ``None`` if its name is taken."""
    return await db.fetchrow(
        f"""
        INSERT INTO variable (id, workspace_id, name, value, tags) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (workspace_id, name) DO NOTHING RETURNING {_COLUMNS}
        """,
        new_id(),
        workspace_id,
        name,
        value,
        tags,
    )


async def find(db: Executor, workspace_id: UUID, key: Key) -> Record | None:
    return await db.fetchrow(
        f"SELECT {_COLUMNS} FROM variable WHERE {_key_column(key)} = $1 AND workspace_id = $2", key, workspace_id
    )


async def values_by_name(db: Executor, workspace_id: UUID) -> dict[str, Any]:
    """All variables of the workspace, for hydration."""
    rows = await db.fetch("SELECT name, value FROM variable WHERE workspace_id = $1", workspace_id)
    return {row["name"]: row["value"] for row in rows}


async def update(db: Executor, workspace_id: UUID, key: Key, changes: dict[str, Any]) -> Record | None:
    """Write some columns. ``changes`` maps column names (of the update model) to values."""
    assignments = "".join(f"{name} = ${number}, " for number, name in enumerate(changes, start=3))
    return await db.fetchrow(
        f"""
        UPDATE variable SET {assignments}updated = now()
        WHERE {_key_column(key)} = $1 AND workspace_id = $2 RETURNING {_COLUMNS}
        """,
        key,
        workspace_id,
        *changes.values(),
    )


async def delete(db: Executor, workspace_id: UUID, key: Key) -> Record | None:
    return await db.fetchrow(
        f"DELETE FROM variable WHERE {_key_column(key)} = $1 AND workspace_id = $2 RETURNING {_COLUMNS}",
        key,
        workspace_id,
    )


async def page(db: Executor, workspace_id: UUID, asked: ListCall, sort: VariableSort, part: Part) -> list[Record]:
    c = tables.variable.c
    query = select(*(c[name] for name in _COLUMNS.split(", "))).where(matching(VARIABLES, asked, workspace_id))
    return await lists.fetch(db, part.of(query.order_by(*lists.order(sort, c))))
