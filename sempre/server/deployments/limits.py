"""The concurrency limit that belongs to a deployment: the one named ``deployment:<id>``.

A deployment may instead be linked to a limit it shares with others. That one is not its own to change or delete.
"""

from uuid import UUID

from sempre.db.pool import Executor
from sempre.server.ids import new_id

__all__ = ["delete_own", "set_own"]


async def set_own(transaction: Executor, workspace_id: UUID, deployment_id: UUID, slots: int) -> None:
    """Give the deployment a limit of its own of this size, or resize the one it has, and link it."""
    await transaction.execute(
        """
        WITH own AS (
            INSERT INTO concurrency_limit AS l (id, workspace_id, name, slot_limit) VALUES ($1, $2, $3, $4)
            ON CONFLICT (workspace_id, name) DO UPDATE SET
                slot_limit = excluded.slot_limit,
                updated = CASE WHEN l.slot_limit = excluded.slot_limit THEN l.updated ELSE clock_timestamp() END
            RETURNING l.id
        )
        UPDATE deployment d SET concurrency_limit_id = own.id FROM own
        WHERE d.id = $5 AND d.workspace_id = $2 AND d.concurrency_limit_id IS DISTINCT FROM own.id
        """,
        new_id(),
        workspace_id,
        _name(deployment_id),
        slots,
        deployment_id,
    )


async def delete_own(
    transaction: Executor, workspace_id: UUID, deployment_ids: list[UUID], *, keep: UUID | None = None
) -> None:
    """Delete the deployments' own limits (except ``keep``) and free their slots.

    Slots before limits, as everywhere (:mod:`sempre.server.concurrency.taking`). Leases stay: whoever holds one goes
    on renewing it, and must not be told that its work has lost its place.
    """
    await transaction.execute(
        """
        WITH doomed AS MATERIALIZED (
            SELECT id FROM concurrency_limit WHERE workspace_id = $1 AND name = ANY($2) AND id IS DISTINCT FROM $3
        ), held AS MATERIALIZED (
            SELECT limit_id, slot FROM concurrency_slot WHERE limit_id IN (SELECT id FROM doomed)
            ORDER BY limit_id, slot FOR UPDATE
        ), freed AS (
            DELETE FROM concurrency_slot s USING held WHERE s.limit_id = held.limit_id AND s.slot = held.slot
            RETURNING s.slot
        ), locked AS MATERIALIZED (
            SELECT id FROM concurrency_limit
            WHERE id IN (SELECT id FROM doomed) AND (SELECT count(*) FROM freed) >= 0 ORDER BY id FOR UPDATE
        )
        DELETE FROM concurrency_limit l USING locked WHERE l.id = locked.id
        """,
        workspace_id,
        [_name(id) for id in deployment_ids],
        keep,
    )


def _name(deployment_id: UUID) -> str:
    return f"deployment:{deployment_id}"
