"""Block schemas in the database."""

from typing import Any
from uuid import UUID

from sqlalchemy import select

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.lists import ListCall
from sempre.server import lists
from sempre.server.filters.relations import BLOCK_SCHEMAS, matching
from sempre.server.ids import new_id
from sempre.server.lists import Part

__all__ = ["capabilities", "create", "delete", "find_by_checksum", "hold", "known", "page", "refer", "with_nested"]


async def create(
    db: Executor, workspace_id: UUID, checksum: str, version: str, fields: dict[str, Any], capabilities: list[str],
    block_type_id: UUID,
) -> UUID | None:  # fmt: skip
    """Insert a schema; ``None`` if the same checksum and version are there already."""
    id: UUID | None = await db.fetchval(
        """
        INSERT INTO block_schema (id, workspace_id, checksum, version, fields, capabilities, block_type_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (workspace_id, checksum, version) DO NOTHING RETURNING id
        """,
        new_id(),
        workspace_id,
        checksum,
        version,
        fields,
        capabilities,
        block_type_id,
    )
    return id


async def refer(db: Executor, workspace_id: UUID, parent_id: UUID, references: list[tuple[str, UUID]]) -> None:
    """Record which schemas the fields of ``parent_id`` refer to: field and schema, in order."""
    await db.execute(
        """
        INSERT INTO block_schema_reference (id, workspace_id, name, parent_block_schema_id, reference_block_schema_id)
        SELECT r.id, $1, r.name, $2, r.target FROM unnest($3::uuid[], $4::text[], $5::uuid[]) AS r(id, name, target)
        ON CONFLICT DO NOTHING
        """,
        workspace_id,
        parent_id,
        [new_id() for _ in references],
        [field for field, _ in references],
        [target for _, target in references],
    )


async def find_by_checksum(db: Executor, workspace_id: UUID, checksum: str, version: str | None) -> UUID | None:
    """The id of the schema with this checksum and version; without a version, of the newest."""
    id: UUID | None = await db.fetchval(
        """
        SELECT id FROM block_schema WHERE workspace_id = $1 AND checksum = $2 AND ($3::text IS NULL OR version = $3)
        ORDER BY created DESC, id DESC LIMIT 1
        """,
        workspace_id,
        checksum,
        version,
    )
    return id


async def known(db: Executor, workspace_id: UUID, version: str) -> set[tuple[str, str]]:
    """Type and checksum of every schema of this version."""
    rows = await db.fetch(
        """
        SELECT t.slug, s.checksum FROM block_schema s JOIN block_type t ON t.id = s.block_type_id
        WHERE s.workspace_id = $1 AND s.version = $2
        """,
        workspace_id,
        version,
    )
    return {(row["slug"], row["checksum"]) for row in rows}


async def with_nested(db: Executor, workspace_id: UUID, ids: list[UUID]) -> list[Record]:
    """The schemas and all schemas they refer to, directly or not, each with its type and its own references."""
    return await db.fetch(
        """
        WITH RECURSIVE reached (id) AS (
            SELECT s.id FROM block_schema s WHERE s.id = ANY($2) AND s.workspace_id = $1
            UNION
            SELECT r.reference_block_schema_id
            FROM reached JOIN block_schema_reference r ON r.parent_block_schema_id = reached.id
        )
        SELECT s.id, s.created, s.updated, s.checksum, s.version, s.fields, s.capabilities, s.block_type_id,
               t.created AS type_created, t.updated AS type_updated, t.name AS type_name, t.slug AS type_slug,
               t.logo_url, t.documentation_url, t.description, t.code_example, t.is_protected,
               ARRAY(SELECT r.name FROM block_schema_reference r WHERE r.parent_block_schema_id = s.id
                     ORDER BY r.id) AS reference_names,
               ARRAY(SELECT r.reference_block_schema_id FROM block_schema_reference r
                     WHERE r.parent_block_schema_id = s.id ORDER BY r.id) AS reference_ids
        FROM reached JOIN block_schema s ON s.id = reached.id JOIN block_type t ON t.id = s.block_type_id
        """,
        workspace_id,
        ids,
    )


async def hold(transaction: Executor, workspace_id: UUID, id: UUID) -> bool | None:
    """Whether the schema, which is to be deleted, belongs to a protected type; ``None`` if there is no such schema.

    Until the end of the transaction no document gets it.
    """
    protected: bool | None = await transaction.fetchval(
        """
        SELECT t.is_protected FROM block_schema s JOIN block_type t ON t.id = s.block_type_id
        WHERE s.id = $1 AND s.workspace_id = $2 FOR UPDATE OF s
        """,
        id,
        workspace_id,
    )
    return protected


async def delete(db: Executor, workspace_id: UUID, id: UUID) -> None:
    """Delete a schema with what refers to it."""
    await db.execute("DELETE FROM block_schema WHERE id = $1 AND workspace_id = $2", id, workspace_id)


async def page(db: Executor, workspace_id: UUID, asked: ListCall, part: Part) -> list[UUID]:
    """Ids of schemas, newest first."""
    c = tables.block_schema.c
    query = select(c.id).where(matching(BLOCK_SCHEMAS, asked, workspace_id)).order_by(c.created.desc(), c.id.desc())
    return [row["id"] for row in await lists.fetch(db, part.of(query))]


async def capabilities(db: Executor, workspace_id: UUID) -> list[str]:
    """What any schema can do."""
    rows = await db.fetch(
        "SELECT DISTINCT unnest(capabilities) AS name FROM block_schema WHERE workspace_id = $1 ORDER BY name",
        workspace_id,
    )
    return [row["name"] for row in rows]
