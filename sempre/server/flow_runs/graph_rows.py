"""What the graphs of a flow run are drawn from, set by set."""

from datetime import datetime
from uuid import UUID

from sempre.db.pool import Executor, Record

__all__ = ["artifacts", "nodes", "parent_ids", "run", "states", "task_runs"]

# One node per task run, or per subflow run of a task run that stands for subflows.
_NODES = """
SELECT coalesce(sub.id, t.id)::text AS id,
       CASE WHEN sub.id IS NULL THEN 'task-run' ELSE 'flow-run' END AS kind,
       CASE WHEN sub.id IS NULL THEN t.name ELSE f.name || ' / ' || sub.name END AS label,
       CASE WHEN sub.id IS NULL THEN t.state_type ELSE sub.state_type END AS state_type,
       coalesce(sub.start_time, sub.expected_start_time, t.start_time, t.expected_start_time) AS start_time,
       coalesce(
           sub.end_time, t.end_time, CASE WHEN t.state_type = 'COMPLETED' THEN t.expected_start_time END
       ) AS end_time,
       t.task_inputs
FROM task_run t
    LEFT JOIN flow_run sub ON sub.parent_task_run_id = t.id AND sub.workspace_id = t.workspace_id
    LEFT JOIN flow f ON f.id = sub.flow_id
WHERE t.flow_run_id = $1 AND t.workspace_id = $2
"""


async def run(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    return await db.fetchrow(
        """
        SELECT coalesce(start_time, expected_start_time) AS start_time, end_time FROM flow_run
        WHERE id = $1 AND workspace_id = $2
        """,
        id,
        workspace_id,
    )


async def nodes(db: Executor, workspace_id: UUID, id: UUID, *, since: datetime, limit: int) -> list[Record]:
    """Nodes that have started or are expected to, and have not ended before ``since``; by start, then end."""
    return await db.fetch(
        f"""
        SELECT * FROM ({_NODES}) node
        WHERE start_time IS NOT NULL AND state_type IS NOT NULL AND (end_time IS NULL OR end_time >= $3)
        ORDER BY start_time, end_time, id LIMIT $4
        """,
        id,
        workspace_id,
        since,
        limit,
    )


async def parent_ids(db: Executor, workspace_id: UUID, id: UUID, wanted: list[str]) -> set[str]:
    """Those of ``wanted`` that are nodes of the graph, however long ago they ended."""
    if not wanted:
        return set()
    found = await db.fetch(
        f"SELECT id FROM ({_NODES}) node WHERE id = ANY($3) AND start_time IS NOT NULL AND state_type IS NOT NULL",
        id,
        workspace_id,
        wanted,
    )
    return {row["id"] for row in found}


async def states(db: Executor, workspace_id: UUID, id: UUID) -> list[Record]:
    return await db.fetch(
        """
        SELECT id, timestamp, type, name FROM flow_run_state
        WHERE flow_run_id = $1 AND workspace_id = $2 ORDER BY timestamp
        """,
        id,
        workspace_id,
    )


async def artifacts(db: Executor, workspace_id: UUID, id: UUID, limit: int) -> list[Record]:
    """The first ``limit`` artifacts that are no results; what they hold only where it is a progress."""
    return await db.fetch(
        """
        SELECT a.id::text, a.created, a.key, a.type, a.task_run_id::text,
               (a.key IS NULL OR c.id IS NOT NULL) AS is_latest, CASE WHEN a.type = 'progress' THEN a.data END AS data
        FROM artifact a
            LEFT JOIN artifact_collection c
                ON c.workspace_id = a.workspace_id AND c.key = a.key AND c.latest_id = a.id
        WHERE a.flow_run_id = $1 AND a.workspace_id = $2 AND a.type <> 'result'
        ORDER BY a.created, a.id LIMIT $3
        """,
        id,
        workspace_id,
        limit,
    )


async def task_runs(db: Executor, workspace_id: UUID, id: UUID, limit: int) -> list[Record]:
    """The flow run's task runs with the database's ``now``, in the order they were expected to start."""
    return await db.fetch(
        """
        SELECT t.*, clock_timestamp() AS now FROM task_run t WHERE flow_run_id = $1 AND workspace_id = $2
        ORDER BY expected_start_time, id LIMIT $3
        """,
        id,
        workspace_id,
        limit,
    )
