"""Artifacts in the database, and their collections: one row per key with the content of its latest artifact.

Whoever changes what a collection points to holds the collection's row first, so that two changes of one key follow
each other; creating does so by the upsert itself.
"""

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import select

from sempre.db.pool import Executor, Record
from sempre.schemas.lists import ListCall
from sempre.schemas.sorting import ArtifactCollectionSort, ArtifactSort
from sempre.server import lists
from sempre.server.filters.relations import ARTIFACT_COLLECTIONS, ARTIFACTS, Family, matching
from sempre.server.ids import new_id
from sempre.server.lists import Part

__all__ = [
    "collect",
    "collections_page",
    "create",
    "delete",
    "find",
    "find_collection",
    "hold_collection",
    "page",
    "repoint",
    "update",
]

_CONTENT = "type, description, data, metadata_, flow_run_id, task_run_id"
_COLUMNS = f"id, created, updated, key, {_CONTENT}"
_COLLECTION_COLUMNS = f"id, created, updated, key, latest_id, {_CONTENT}"


async def create(db: Executor, workspace_id: UUID, values: dict[str, Any]) -> Record | None:
    """Insert an artifact; ``values`` has every field of the create model. ``None`` if its id is taken."""
    return await db.fetchrow(
        f"""
        INSERT INTO artifact (id, workspace_id, key, {_CONTENT}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (id) DO NOTHING RETURNING {_COLUMNS}
        """,
        values["id"] or new_id(),
        workspace_id,
        *(values[name] for name in ("key", *_CONTENT.split(", "))),
    )


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


async def page(db: Executor, workspace_id: UUID, asked: ListCall, sort: ArtifactSort, part: Part) -> list[Record]:
    return await _page(db, workspace_id, ARTIFACTS, _COLUMNS, asked, sort, part)


async def collections_page(
    db: Executor, workspace_id: UUID, asked: ListCall, sort: ArtifactCollectionSort, part: Part
) -> list[Record]:
    return await _page(db, workspace_id, ARTIFACT_COLLECTIONS, _COLLECTION_COLUMNS, asked, sort, part)


async def _page(
    db: Executor, workspace_id: UUID, family: Family, columns: str, asked: ListCall, sort: StrEnum, part: Part
) -> list[Record]:
    c = family.resource.table.c
    query = select(*(c[column] for column in columns.split(", "))).where(matching(family, asked, workspace_id))
    return await lists.fetch(db, part.of(query.order_by(*lists.order(sort, c))))
