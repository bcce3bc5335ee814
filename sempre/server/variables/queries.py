"""Variables in the database."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.filters.variables import VariableFilter
from sempre.schemas.sorting import VariableSort
from sempre.server import lists
from sempre.server.filters.conditions import Condition, among, combined, like, member, tags
from sempre.server.ids import new_id

__all__ = ["Key", "create", "delete", "find", "page", "total", "update", "values_by_name"]

_COLUMNS = "id, created, updated, name, value, tags"

_variable = tables.variable.c
_ORDER: dict[VariableSort, Any] = {
    VariableSort.CREATED_DESC: _variable.created.desc(),
    VariableSort.UPDATED_DESC: _variable.updated.desc(),
    VariableSort.NAME_ASC: _variable.name.asc(),
    VariableSort.NAME_DESC: _variable.name.desc(),
}

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


async def page(
    db: Executor, workspace_id: UUID, filter: VariableFilter | None, *, sort: VariableSort, limit: int, offset: int
) -> list[Record]:
    query = _matching(workspace_id, filter).order_by(_ORDER[sort], _variable.id).limit(limit).offset(offset)
    return await lists.fetch(db, query)


async def total(db: Executor, workspace_id: UUID, filter: VariableFilter | None) -> int:
    return await lists.count(db, _matching(workspace_id, filter))


def _matching(workspace_id: UUID, filter: VariableFilter | None) -> Select[Any]:
    columns = (_variable.id, _variable.created, _variable.updated, _variable.name, _variable.value, _variable.tags)
    query = select(*columns).where(_variable.workspace_id == workspace_id)
    return query if filter is None else query.where(_condition(filter))


def _condition(filter: VariableFilter) -> Condition:
    conditions: list[Condition] = []
    if filter.id:
        conditions.append(member(among(_variable.id, filter.id.any_)))
    if filter.name:
        conditions.append(member(among(_variable.name, filter.name.any_), like(_variable.name, filter.name.like_)))
    if filter.tags:
        conditions.append(tags(_variable.tags, filter.tags))
    return combined(filter.operator, conditions)
