"""Finding work pools and their queues by the names that requests use."""

from uuid import UUID

from sempre.server.errors import NotFound
from sempre.server.scope import Scope

__all__ = ["pool_not_found", "queue_named", "queue_not_found"]


def pool_not_found(name: str) -> NotFound:
    return NotFound(f'Work pool "{name}" not found.')


def queue_not_found(pool_name: str, name: str) -> NotFound:
    return NotFound(f"Work pool queue '{pool_name}/{name}' not found.")


async def queue_named(scope: Scope, pool_name: str, queue_name: str | None) -> tuple[UUID, str]:
    """Id and name of a pool's queue, of its default queue if none is named. Raises NotFound for either."""
    row = await scope.db.fetchrow(
        """
        SELECT q.id, q.name
        FROM work_pool p
            LEFT JOIN work_queue q ON q.work_pool_id = p.id
                AND CASE WHEN $3::text IS NULL THEN q.id = p.default_queue_id ELSE q.name = $3 END
        WHERE p.workspace_id = $1 AND p.name = $2
        """,
        scope.workspace_id,
        pool_name,
        queue_name,
    )
    if row is None:
        raise pool_not_found(pool_name)
    if row["id"] is None:
        raise queue_not_found(pool_name, queue_name or "default")
    return row["id"], row["name"]
