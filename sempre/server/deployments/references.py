"""What requests about deployments refer to: flow, pool, queue, limit, blocks."""

from typing import Any
from uuid import UUID

from sempre.db.pool import Executor, Record
from sempre.db.statement import Statement
from sempre.server.errors import Conflict, NotFound
from sempre.server.scope import Scope
from sempre.server.work_pools.creation import ensure_agent_queue, ensure_queue
from sempre.server.work_pools.lookup import pool_not_found

__all__ = ["check_blocks", "check_limit", "check_pool", "choose_queue", "look_up"]

_LOOK_UP = Statement("""
SELECT f.id AS flow_id, f.labels AS flow_labels,
    EXISTS (SELECT FROM work_pool WHERE workspace_id = w.id AND name = :pool_name::text) AS pool_found,
    EXISTS (SELECT FROM concurrency_limit WHERE workspace_id = w.id AND id = :limit_id::uuid) AS limit_found,
    EXISTS (SELECT FROM block_document WHERE workspace_id = w.id AND id = :infrastructure_id::uuid)
        AS infrastructure_found,
    EXISTS (SELECT FROM block_document WHERE workspace_id = w.id AND id = :storage_id::uuid) AS storage_found
FROM (SELECT :workspace_id::uuid AS id) w
    LEFT JOIN flow f ON f.workspace_id = w.id AND f.id = :flow_id::uuid
""")


async def look_up(
    scope: Scope,
    *,
    flow_id: UUID | None = None,
    pool_name: str | None = None,
    limit_id: UUID | None = None,
    infrastructure_id: UUID | None = None,
    storage_id: UUID | None = None,
) -> Record:
    """What of these exists: ``flow_id``, ``flow_labels`` (null: no such flow) and one ``*_found`` for each other."""
    found = await scope.db.fetchrow(
        _LOOK_UP.sql,
        *_LOOK_UP.bind(
            workspace_id=scope.workspace_id,
            flow_id=flow_id,
            pool_name=pool_name,
            limit_id=limit_id,
            infrastructure_id=infrastructure_id,
            storage_id=storage_id,
        ),
    )
    assert found is not None
    return found


def check_pool(found: Record, pool_name: str | None) -> None:
    if pool_name and not found["pool_found"]:
        raise pool_not_found(pool_name)


def check_limit(found: Record, limit_id: UUID | None) -> None:
    if limit_id is not None and not found["limit_found"]:
        raise NotFound("Concurrency limit not found")


def check_blocks(found: Record, *, infrastructure_id: UUID | None, storage_id: UUID | None) -> None:
    for kind, id in (("infrastructure", infrastructure_id), ("storage", storage_id)):
        if id is not None and not found[f"{kind}_found"]:
            raise Conflict(
                f"Error creating deployment. Could not find {kind} block with id: {id}. This usually occurs when "
                "applying a deployment specification that was built against a different Prefect database / workspace."
            )


async def choose_queue(
    transaction: Executor, workspace_id: UUID, pool_name: str | None, queue_name: str | None
) -> dict[str, Any]:
    """The queue columns these names stand for; none if neither is given. A queue that is missing is made.

    The name is kept only where it was given: it stays when the queue is gone, and is what polls show.

    A queue without a pool is one of the pool that older clients know. Raises NotFound for an unknown pool.
    """
    if pool_name and queue_name:
        id, name = await ensure_queue(transaction, workspace_id, pool_name, queue_name)
    elif pool_name:
        id, name = await _default_queue(transaction, workspace_id, pool_name), None
    elif queue_name:
        id, name = await ensure_agent_queue(transaction, workspace_id, queue_name)
    else:
        return {}
    return {"work_queue_id": id, "work_queue_name": name}


async def _default_queue(db: Executor, workspace_id: UUID, pool_name: str) -> UUID:
    id: UUID | None = await db.fetchval(
        """
        SELECT q.id FROM work_pool p JOIN work_queue q ON q.id = p.default_queue_id
        WHERE p.workspace_id = $1 AND p.name = $2
        """,
        workspace_id,
        pool_name,
    )
    if id is None:
        raise pool_not_found(pool_name)
    return id
