"""Inputs of flow runs: texts under keys, by which a paused or running flow is spoken to."""

from uuid import UUID

from sempre.db.pool import Executor, Record
from sempre.server.ids import new_id

__all__ = ["create", "delete", "listed", "value_of"]


async def create(
    db: Executor, workspace_id: UUID, flow_run_id: UUID, key: str, value: str, sender: str | None
) -> tuple[bool, bool]:
    """Store an input. ``(whether the flow run exists, whether the key was free)``; only both together store it."""
    row = await db.fetchrow(
        """
        WITH run AS (SELECT id, workspace_id FROM flow_run WHERE id = $1 AND workspace_id = $2),
        made AS (
            INSERT INTO flow_run_input (id, workspace_id, flow_run_id, key, value, sender)
            SELECT $3, run.workspace_id, run.id, $4, $5, $6 FROM run
            ON CONFLICT (flow_run_id, key) DO NOTHING
            RETURNING id
        )
        SELECT EXISTS (SELECT FROM run) AS run_exists, EXISTS (SELECT FROM made) AS stored
        """,
        flow_run_id,
        workspace_id,
        new_id(),
        key,
        value,
        sender,
    )
    assert row is not None
    return row["run_exists"], row["stored"]


async def listed(
    db: Executor, workspace_id: UUID, flow_run_id: UUID, *, prefix: str, exclude_keys: list[str], limit: int
) -> list[Record]:
    """Inputs whose key begins with ``prefix``, in which ``%`` and ``_`` are wildcards; oldest first."""
    return await db.fetch(
        """
        SELECT id, created, updated, flow_run_id, key, value, sender FROM flow_run_input
        WHERE flow_run_id = $1 AND workspace_id = $2 AND key LIKE $3::text || '%' AND key <> ALL($4)
        ORDER BY created, id LIMIT $5
        """,
        flow_run_id,
        workspace_id,
        prefix,
        exclude_keys,
        limit,
    )


async def value_of(db: Executor, workspace_id: UUID, flow_run_id: UUID, key: str) -> str | None:
    """The value under a key; ``None`` if there is none."""
    value: str | None = await db.fetchval(
        "SELECT value FROM flow_run_input WHERE flow_run_id = $1 AND workspace_id = $2 AND key = $3",
        flow_run_id,
        workspace_id,
        key,
    )
    return value


async def delete(db: Executor, workspace_id: UUID, flow_run_id: UUID, key: str) -> bool:
    status = await db.execute(
        "DELETE FROM flow_run_input WHERE flow_run_id = $1 AND workspace_id = $2 AND key = $3",
        flow_run_id,
        workspace_id,
        key,
    )
    return status != "DELETE 0"
