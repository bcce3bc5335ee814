"""Where flows keep results when they name no place of their own: a block, by id, in the workspace's configuration."""

from uuid import UUID

from sempre.db.pool import Executor, Record

__all__ = ["clear_default_storage", "default_storage", "document_capabilities", "set_default_storage"]

_KEY = "DEFAULT_RESULT_STORAGE"


async def default_storage(db: Executor, workspace_id: UUID) -> UUID | None:
    """The document's id. Read through the document itself: whatever deletes that ends the setting too."""
    found: UUID | None = await db.fetchval(
        """
        SELECT d.id FROM configuration c
        JOIN block_document d ON d.id = (c.value->>'block_document_id')::uuid AND d.workspace_id = c.workspace_id
        WHERE c.workspace_id = $1 AND c.key = $2
        """,
        workspace_id,
        _KEY,
    )
    return found


async def document_capabilities(db: Executor, workspace_id: UUID, document_id: UUID) -> Record | None:
    """``capabilities`` of the document's schema; ``None`` if there is no such document."""
    return await db.fetchrow(
        """
        SELECT s.capabilities FROM block_document d JOIN block_schema s ON s.id = d.block_schema_id
        WHERE d.id = $1 AND d.workspace_id = $2
        """,
        document_id,
        workspace_id,
    )


async def set_default_storage(db: Executor, workspace_id: UUID, document_id: UUID) -> None:
    await db.execute(
        """
        INSERT INTO configuration (workspace_id, key, value) VALUES ($1, $2, $3)
        ON CONFLICT (workspace_id, key) DO UPDATE SET value = excluded.value, updated = now()
        """,
        workspace_id,
        _KEY,
        {"block_document_id": str(document_id)},
    )


async def clear_default_storage(db: Executor, workspace_id: UUID) -> None:
    await db.execute("DELETE FROM configuration WHERE workspace_id = $1 AND key = $2", workspace_id, _KEY)
