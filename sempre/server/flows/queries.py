"""Flows in the database."""

from typing import Any
from uuid import UUID

from sqlalchemy import select

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.lists import ListCall
from sempre.schemas.sorting import FlowSort
from sempre.server import lists
from sempre.server.filters.relations import FLOWS, matching
from sempre.server.ids import new_id
from sempre.server.lists import Part

__all__ = ["COLUMNS", "create", "delete", "find", "find_by_name", "page", "update_tags"]

COLUMNS = "id, created, updated, name, tags, labels"

_flow = tables.flow.c
_SELECTED = (_flow.id, _flow.created, _flow.updated, _flow.name, _flow.tags, _flow.labels)


async def create(db: Executor, workspace_id: UUID, name: str, tags: list[str], labels: dict[str, Any]) -> Record | None:
    """Insert a flow; ``None`` if its name is taken."""
    return await db.fetchrow(
        f"""
        INSERT INTO flow (id, workspace_id, name, tags, labels) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (workspace_id, name) DO NOTHING RETURNING {COLUMNS}
        """,
        new_id(),
        workspace_id,
        name,
        tags,
        labels,
    )


async def find(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    return await db.fetchrow(f"SELECT {COLUMNS} FROM flow WHERE id = $1 AND workspace_id = $2", id, workspace_id)


async def find_by_name(db: Executor, workspace_id: UUID, name: str) -> Record | None:
    return await db.fetchrow(f"SELECT {COLUMNS} FROM flow WHERE workspace_id = $1 AND name = $2", workspace_id, name)


async def update_tags(db: Executor, workspace_id: UUID, id: UUID, tags: list[str]) -> Record | None:
    return await db.fetchrow(
        f"""
        UPDATE flow SET tags = $3, updated = now() WHERE id = $1 AND workspace_id = $2 RETURNING {COLUMNS}
        """,
        id,
        workspace_id,
        tags,
    )


async def delete(db: Executor, workspace_id: UUID, ids: list[UUID]) -> list[Record]:
    """Delete flows and their deployments. Their runs are the caller's to delete afterwards."""
    return await db.fetch(
        f"DELETE FROM flow WHERE workspace_id = $1 AND id = ANY($2) RETURNING {COLUMNS}", workspace_id, ids
    )


async def page(db: Executor, workspace_id: UUID, asked: ListCall, sort: FlowSort, part: Part) -> list[Record]:
    query = select(*_SELECTED).where(matching(FLOWS, asked, workspace_id)).order_by(*lists.order(sort, _flow))
    return await lists.fetch(db, part.of(query))
