"""Block types in the database."""

from typing import Any
from uuid import UUID

from sqlalchemy import select

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.lists import ListCall
from sempre.server import lists
from sempre.server.filters.relations import BLOCK_TYPES, matching
from sempre.server.ids import new_id
from sempre.server.lists import Part

__all__ = ["TEXTS", "create", "delete", "find", "hold", "page", "restore", "update"]

TEXTS = ("logo_url", "documentation_url", "description", "code_example")
_COLUMNS = f"id, created, updated, name, slug, {', '.join(TEXTS)}, is_protected"


async def create(
    db: Executor, workspace_id: UUID, name: str, slug: str, texts: dict[str, Any], *, is_protected: bool = False
) -> Record | None:
    """Insert a type; ``None`` if its slug is taken."""
    return await db.fetchrow(
        f"""
        INSERT INTO block_type (id, workspace_id, name, slug, is_protected, {", ".join(TEXTS)})
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (workspace_id, slug) DO NOTHING RETURNING {_COLUMNS}
        """,
        new_id(),
        workspace_id,
        name,
        slug,
        is_protected,
        *(texts.get(key) for key in TEXTS),
    )


async def restore(db: Executor, workspace_id: UUID, name: str, slug: str, texts: dict[str, Any]) -> None:
    """Give a built-in type its name, texts and protection back; nothing is written if it has them."""
    await db.execute(
        """
        UPDATE block_type SET name = $3, logo_url = $4, documentation_url = $5, description = $6, code_example = $7,
            is_protected = true, updated = now()
        WHERE workspace_id = $1 AND slug = $2
            AND (name, logo_url, documentation_url, description, code_example, is_protected)
                IS DISTINCT FROM ($3, $4, $5, $6, $7, true)
        """,
        workspace_id,
        slug,
        name,
        *(texts.get(key) for key in TEXTS),
    )


async def find(db: Executor, workspace_id: UUID, key: UUID | str) -> Record | None:
    """The type with this id, or with this slug."""
    column = "id" if isinstance(key, UUID) else "slug"
    return await db.fetchrow(
        f"SELECT {_COLUMNS} FROM block_type WHERE {column} = $1 AND workspace_id = $2", key, workspace_id
    )


async def update(db: Executor, workspace_id: UUID, id: UUID, changes: dict[str, Any]) -> Record | None:
    """Write some of the texts. ``changes`` maps names out of ``TEXTS`` to values."""
    assignments = "".join(f"{name} = ${number}, " for number, name in enumerate(changes, start=3))
    return await db.fetchrow(
        f"""
        UPDATE block_type SET {assignments}updated = now() WHERE id = $1 AND workspace_id = $2 RETURNING {_COLUMNS}
        """,
        id,
        workspace_id,
        *changes.values(),
    )


async def hold(transaction: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    """The type, to be deleted: until the end of the transaction no document or schema of it is added."""
    return await transaction.fetchrow(
        f"SELECT {_COLUMNS} FROM block_type WHERE id = $1 AND workspace_id = $2 FOR UPDATE", id, workspace_id
    )


async def delete(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    """Delete a type with its schemas and documents."""
    return await db.fetchrow(
        f"DELETE FROM block_type WHERE id = $1 AND workspace_id = $2 RETURNING {_COLUMNS}", id, workspace_id
    )


async def page(db: Executor, workspace_id: UUID, asked: ListCall, part: Part) -> list[Record]:
    """Types by name."""
    c = tables.block_type.c
    query = select(*(c[name] for name in _COLUMNS.split(", "))).where(matching(BLOCK_TYPES, asked, workspace_id))
    return await lists.fetch(db, part.of(query.order_by(c.name, c.id)))
