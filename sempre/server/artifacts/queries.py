"""Artifacts in the database, and their collections: one row per key with the content of its latest artifact.

Whoever changes what a collection points to holds the collection's row first, so that two changes of one key follow
each other; creating does so by the upsert itself.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import select

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.sorting import ArtifactCollectionSort, ArtifactSort
from sempre.server import lists
from sempre.server.artifacts.filters import ArtifactFilters, condition
from sempre.server.ids import new_id

__all__ = [
    "collect",
    "collections_page",
    "collections_total",
    "create",
    "delete",
    "find",
    "find_collection",
    "hold_collection",
    "page",
    "repoint",
    "total",
    "update",
]

_CONTENT = "type, description, data, metadata_, flow_run_id, task_run_id"
_COLUMNS = f"id, created, updated, key, {_CONTENT}"
_COLLECTION_COLUMNS = f"id, created, updated, key, latest_id, {_CONTENT}"

_artifact = tables.artifact
_collection = tables.artifact_collection
_SORTED_BY = {
    "CREATED_DESC": ("created", "desc"),
    "UPDATED_DESC": ("updated", "desc"),
    "ID_DESC": ("id", "desc"),
    "KEY_ASC": ("key", "asc"),
    "KEY_DESC": ("key", "desc"),
}


async def create(db: Executor, workspace_id: UUID, values: dict[str, Any]) -> Record:
    """Insert an artifact; ``values`` has every field of the create model."""
    row = await db.fetchrow(
        f"""
        INSERT INTO artifact (id, workspace_id, key, {_CONTENT}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        RETURNING {_COLUMNS}
        """,
        new_id(),
        workspace_id,
        *(values[name] for name in ("key", *_CONTENT.split(", "))),
    )
    assert row is not None
    return row


async def collect(db: Executor, workspace_id: UUID, artifact: Record) -> Record:
    """Make ``artifact`` the latest of its key. ``new`` tells whether the collection began with it."""
    names = _CONTENT.split(", ")
    row = await db.fetchrow(
        f"""
        INSERT INTO artifact_collection (id, workspace_id, created, updated, key, latest_id, {_CONTENT})
        VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (workspace_id, key) DO UPDATE SET
            latest_id = excluded.latest_id, updated = now(),
            {", ".join(f"{name} = excluded.{name}" for name in names)}
        RETURNING {_COLLECTION_COLUMNS}, xmax = 0 AS new
        """,
        new_id(),
        workspace_id,
        artifact["created"],
        artifact["key"],
        artifact["id"],
        *(artifact[name] for name in names),
    )
    assert row is not None
    return row


async def find(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    return await db.fetchrow(f"SELECT {_COLUMNS} FROM artifact WHERE id = $1 AND workspace_id = $2", id, workspace_id)


async def find_collection(db: Executor, workspace_id: UUID, key: str) -> Record | None:
    return await db.fetchrow(
        f"SELECT {_COLUMNS} FROM artifact_collection WHERE workspace_id = $1 AND key = $2", workspace_id, key
    )


async def hold_collection(db: Executor, workspace_id: UUID, artifact_id: UUID) -> None:
    """Lock the collection that the artifact is in, if it has a key."""
    await db.execute(
        """
        SELECT 1 FROM artifact_collection WHERE workspace_id = $2
            AND key = (SELECT key FROM artifact WHERE id = $1 AND workspace_id = $2)
        FOR UPDATE
        """,
        artifact_id,
        workspace_id,
    )


async def update(db: Executor, workspace_id: UUID, id: UUID, changes: dict[str, Any]) -> bool:
    """Write some columns of an artifact, and of its collection where it is the latest. Hold the collection before."""
    assignments = "".join(f"{name} = ${number}, " for number, name in enumerate(changes, start=3))
    found = await db.fetchval(
        f"""
        WITH changed AS (
            UPDATE artifact SET {assignments}updated = now() WHERE id = $1 AND workspace_id = $2 RETURNING id, key
        ), copied AS (
            UPDATE artifact_collection c SET {assignments}updated = now() FROM changed
            WHERE c.workspace_id = $2 AND c.key = changed.key AND c.latest_id = changed.id
        )
        SELECT id FROM changed
        """,
        id,
        workspace_id,
        *changes.values(),
    )
    return found is not None


async def delete(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    """Delete an artifact. Hold its collection before and repoint it after."""
    return await db.fetchrow(
        f"DELETE FROM artifact WHERE id = $1 AND workspace_id = $2 RETURNING {_COLUMNS}", id, workspace_id
    )


async def repoint(db: Executor, workspace_id: UUID, key: str, deleted_id: UUID) -> Record | None:
    """Let go of a deleted artifact: its collection shows the newest one left, or goes with the last.

    The collection as it now is, or as it was if ``gone``; ``None`` if the artifact was not the latest.
    """
    copied = ", ".join(f"{name} = newest.{name}" for name in ("created", "updated", *_CONTENT.split(", ")))
    return await db.fetchrow(
        f"""
        WITH newest AS (
            SELECT * FROM artifact WHERE workspace_id = $1 AND key = $2 ORDER BY created DESC, id DESC LIMIT 1
        ), kept AS (
            UPDATE artifact_collection c SET latest_id = newest.id, {copied} FROM newest
            WHERE c.workspace_id = $1 AND c.key = $2 AND c.latest_id = $3 RETURNING c.*
        ), gone AS (
            DELETE FROM artifact_collection WHERE workspace_id = $1 AND key = $2 AND latest_id = $3
                AND NOT EXISTS (SELECT FROM newest)
            RETURNING *
        )
        SELECT {_COLLECTION_COLUMNS}, false AS gone FROM kept
        UNION ALL SELECT {_COLLECTION_COLUMNS}, true FROM gone
        """,
        workspace_id,
        key,
        deleted_id,
    )


async def page(
    db: Executor, workspace_id: UUID, filters: ArtifactFilters, *, sort: ArtifactSort, limit: int, offset: int
) -> list[Record]:
    return await _page(db, workspace_id, filters, _COLUMNS, _artifact, sort, limit, offset)


async def collections_page(
    db: Executor, workspace_id: UUID, filters: ArtifactFilters, *, sort: ArtifactCollectionSort, limit: int, offset: int
) -> list[Record]:
    return await _page(db, workspace_id, filters, _COLLECTION_COLUMNS, _collection, sort, limit, offset)


async def _page(
    db: Executor, workspace_id: UUID, filters: ArtifactFilters, columns: str, table: Any, sort: Any, limit: int,
    offset: int,
) -> list[Record]:  # fmt: skip
    name, direction = _SORTED_BY[sort.value]
    query = (
        select(*(table.c[column] for column in columns.split(", ")))
        .where(condition(filters, table, workspace_id))
        .order_by(getattr(table.c[name], direction)(), table.c.id)
        .limit(limit)
        .offset(offset)
    )
    return await lists.fetch(db, query)


async def total(db: Executor, workspace_id: UUID, filters: ArtifactFilters) -> int:
    return await lists.count(db, select(_artifact.c.id).where(condition(filters, _artifact, workspace_id)))


async def collections_total(db: Executor, workspace_id: UUID, filters: ArtifactFilters) -> int:
    return await lists.count(db, select(_collection.c.id).where(condition(filters, _collection, workspace_id)))
