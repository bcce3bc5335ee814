"""Block documents in the database. Their data is encrypted text here; only its owner reads it."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.lists import ListCall
from sempre.schemas.sorting import BlockDocumentSort
from sempre.server import lists
from sempre.server.filters.relations import BLOCK_DOCUMENTS, matching
from sempre.server.ids import new_id
from sempre.server.lists import Part

__all__ = [
    "create",
    "cycle_origin",
    "delete",
    "delete_of_schema",
    "delete_of_type",
    "deployments_naming",
    "encrypted_page",
    "find_by_name",
    "hold_references",
    "ids_of_type",
    "page",
    "reencrypt",
    "refer",
    "runs_naming",
    "unrefer",
    "update",
    "with_referenced",
]

MAX_DEPTH = 50  # levels of references that are followed

_DOCUMENT = tables.block_document
_TYPE = tables.block_type


async def create(
    db: Executor, workspace_id: UUID, name: str, data: str, is_anonymous: bool, block_type_id: UUID,
    block_schema_id: UUID,
) -> UUID | None:  # fmt: skip
    """Insert a document; ``None`` if its type has one of this name. An unknown schema breaks the table's rules."""
    id: UUID | None = await db.fetchval(
        """
        INSERT INTO block_document (id, workspace_id, name, data, is_anonymous, block_type_id, block_schema_id)
        VALUES ($1, $2, $3, $4, $5, $6, (SELECT s.id FROM block_schema s WHERE s.id = $7 AND s.workspace_id = $2))
        ON CONFLICT (block_type_id, name) DO NOTHING RETURNING id
        """,
        new_id(),
        workspace_id,
        name,
        data,
        is_anonymous,
        block_type_id,
        block_schema_id,
    )
    return id


async def update(db: Executor, workspace_id: UUID, id: UUID, *, before: str, data: str, block_schema_id: UUID) -> bool:
    """Write new data if the document still holds what was read. Ciphertext never repeats, so it is the version."""
    status = await db.execute(
        """
        UPDATE block_document SET data = $4, block_schema_id = $5, updated = now()
        WHERE id = $1 AND workspace_id = $2 AND data = $3
        """,
        id,
        workspace_id,
        before,
        data,
        block_schema_id,
    )
    return status != "UPDATE 0"


async def encrypted_page(db: Executor, workspace_id: UUID, after: UUID | None, limit: int) -> list[Record]:
    """Ids and encrypted data of the documents behind ``after``, by id."""
    return await db.fetch(
        """
        SELECT id, data FROM block_document WHERE workspace_id = $1 AND ($2::uuid IS NULL OR id > $2)
        ORDER BY id LIMIT $3
        """,
        workspace_id,
        after,
        limit,
    )


async def reencrypt(db: Executor, id: UUID, *, before: str, data: str) -> bool:
    """Write the same data under another key, if nobody wrote the document meanwhile. It counts as no change."""
    return await db.execute("UPDATE block_document SET data = $3 WHERE id = $1 AND data = $2", id, before, data) != (
        "UPDATE 0"
    )


async def delete(db: Executor, workspace_id: UUID, id: UUID) -> bool:
    """Delete a document. Documents that refer to it lose the key."""
    return await db.execute("DELETE FROM block_document WHERE id = $1 AND workspace_id = $2", id, workspace_id) != (
        "DELETE 0"
    )


async def delete_of_type(db: Executor, workspace_id: UUID, block_type_id: UUID) -> list[UUID]:
    """Delete all documents of a type, or with a schema of it; returns their ids."""
    rows = await db.fetch(
        """
        DELETE FROM block_document WHERE workspace_id = $2 AND (
            block_type_id = $1 OR block_schema_id IN (SELECT id FROM block_schema WHERE block_type_id = $1)
        ) RETURNING id
        """,
        block_type_id,
        workspace_id,
    )
    return [row["id"] for row in rows]


async def delete_of_schema(db: Executor, workspace_id: UUID, block_schema_id: UUID) -> list[UUID]:
    """Delete all documents with a schema; returns their ids."""
    rows = await db.fetch(
        "DELETE FROM block_document WHERE block_schema_id = $1 AND workspace_id = $2 RETURNING id",
        block_schema_id,
        workspace_id,
    )
    return [row["id"] for row in rows]


async def deployments_naming(db: Executor, workspace_id: UUID, ids: list[UUID]) -> list[UUID]:
    """Deployments whose storage or infrastructure is one of the documents."""
    rows = await db.fetch(
        """
        SELECT id FROM deployment
        WHERE workspace_id = $1 AND (storage_document_id = ANY($2) OR infrastructure_document_id = ANY($2)) ORDER BY id
        """,
        workspace_id,
        ids,
    )
    return [row["id"] for row in rows]


async def runs_naming(db: Executor, workspace_id: UUID, ids: list[UUID]) -> list[UUID]:
    """Flow runs whose infrastructure is one of the documents."""
    rows = await db.fetch(
        "SELECT id FROM flow_run WHERE workspace_id = $1 AND infrastructure_document_id = ANY($2)", workspace_id, ids
    )
    return [row["id"] for row in rows]


async def refer(db: Executor, workspace_id: UUID, parent_id: UUID, references: dict[str, UUID]) -> None:
    """Let keys of a document hold other documents. One that is not there breaks the table's rules."""
    keys = sorted(references)
    await db.execute(
        """
        INSERT INTO block_document_reference (
            id, workspace_id, name, parent_block_document_id, reference_block_document_id
        )
        SELECT r.id, $1, r.name, $2, d.id FROM unnest($3::uuid[], $4::text[], $5::uuid[]) AS r(id, name, target)
        LEFT JOIN block_document d ON d.id = r.target AND d.workspace_id = $1
        ORDER BY r.name
        ON CONFLICT (parent_block_document_id, name)
            DO UPDATE SET reference_block_document_id = excluded.reference_block_document_id
        """,
        workspace_id,
        parent_id,
        [new_id() for _ in keys],
        keys,
        [references[key] for key in keys],
    )


async def unrefer(db: Executor, workspace_id: UUID, parent_id: UUID, keys: list[str]) -> None:
    await db.execute(
        """
        DELETE FROM block_document_reference
        WHERE workspace_id = $1 AND parent_block_document_id = $2 AND name = ANY($3)
        """,
        workspace_id,
        parent_id,
        keys,
    )


async def hold_references(db: Executor, workspace_id: UUID) -> None:
    """Until the end of the transaction nobody else adds references: two that close a circle cannot pass each other."""
    await db.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('block references ' || $1::uuid::text, 0))", workspace_id
    )


async def cycle_origin(db: Executor, workspace_id: UUID, parent_id: UUID, targets: list[UUID]) -> UUID | None:
    """The one of ``targets`` that leads back to ``parent_id``, if one does."""
    origin: UUID | None = await db.fetchval(
        """
        WITH RECURSIVE reached (origin, id) AS (
            SELECT target, target FROM unnest($3::uuid[]) AS target
            UNION
            SELECT reached.origin, r.reference_block_document_id
            FROM reached JOIN block_document_reference r ON r.parent_block_document_id = reached.id
            WHERE r.workspace_id = $1 AND reached.id <> $2
        )
        SELECT origin FROM reached WHERE id = $2 LIMIT 1
        """,
        workspace_id,
        parent_id,
        targets,
    )
    return origin


async def with_referenced(db: Executor, workspace_id: UUID, ids: list[UUID]) -> list[Record]:
    """The documents and those they refer to, directly or not, each with its type and its own references."""
    return await db.fetch(
        """
        WITH RECURSIVE reached (id, depth) AS (
            SELECT d.id, 0 FROM block_document d WHERE d.id = ANY($2) AND d.workspace_id = $1
            UNION
            SELECT r.reference_block_document_id, reached.depth + 1
            FROM reached JOIN block_document_reference r ON r.parent_block_document_id = reached.id
            WHERE reached.depth < $3
        )
        SELECT d.id, d.created, d.updated, d.name, d.data, d.is_anonymous, d.block_type_id, d.block_schema_id,
               t.created AS type_created, t.updated AS type_updated, t.name AS type_name, t.slug AS type_slug,
               t.logo_url, t.documentation_url, t.description, t.code_example, t.is_protected,
               ARRAY(SELECT r.name FROM block_document_reference r WHERE r.parent_block_document_id = d.id
                     ORDER BY r.name) AS reference_names,
               ARRAY(SELECT r.reference_block_document_id FROM block_document_reference r
                     WHERE r.parent_block_document_id = d.id ORDER BY r.name) AS reference_ids
        FROM (SELECT DISTINCT id FROM reached) AS wanted
        JOIN block_document d ON d.id = wanted.id JOIN block_type t ON t.id = d.block_type_id
        """,
        workspace_id,
        ids,
        MAX_DEPTH,
    )


async def find_by_name(db: Executor, workspace_id: UUID, type_slug: str, name: str) -> UUID | None:
    id: UUID | None = await db.fetchval(
        """
        SELECT d.id FROM block_type t JOIN block_document d ON d.block_type_id = t.id
        WHERE t.workspace_id = $1 AND t.slug = $2 AND d.name = $3
        """,
        workspace_id,
        type_slug,
        name,
    )
    return id


async def ids_of_type(db: Executor, workspace_id: UUID, block_type_id: UUID) -> list[UUID]:
    """The named documents of a type, by name."""
    rows = await db.fetch(
        """
        SELECT id FROM block_document WHERE workspace_id = $1 AND block_type_id = $2 AND NOT is_anonymous ORDER BY name
        """,
        workspace_id,
        block_type_id,
    )
    return [row["id"] for row in rows]


async def page(db: Executor, workspace_id: UUID, asked: ListCall, sort: BlockDocumentSort, part: Part) -> list[UUID]:
    """Ids of documents, sorted."""
    c = _DOCUMENT.c
    query: Select[Any] = select(c.id).where(matching(BLOCK_DOCUMENTS, asked, workspace_id))
    if sort is BlockDocumentSort.BLOCK_TYPE_AND_NAME_ASC:
        query = query.join(_TYPE, _TYPE.c.id == c.block_type_id).order_by(_TYPE.c.name)
        sort = BlockDocumentSort.NAME_ASC
    return [row["id"] for row in await lists.fetch(db, part.of(query.order_by(*lists.order(sort, c))))]
