"""Deleting flow runs: their states, task runs, inputs, slots and logs go with them; subflow runs and artifacts stay.

Hot tables have no foreign keys, so the cascade is written out, set by set, in the caller's transaction.
"""

from uuid import UUID

from sempre.db.pool import Executor

__all__ = ["delete_runs", "delete_runs_of_flows", "delete_scheduled"]


# The runs and the subflows that are about to lose their parent, always in one order, before any task run is touched:
# that is also the order in which a subflow's transitions take its own row and its parent task run's.
_LOCK = """
SELECT id FROM flow_run
WHERE workspace_id = $1 AND id IN (
    SELECT unnest($2::uuid[])
    UNION
    SELECT subflow.id FROM task_run t JOIN flow_run subflow ON subflow.parent_task_run_id = t.id
    WHERE t.workspace_id = $1 AND t.flow_run_id = ANY($2)
)
ORDER BY id FOR UPDATE
"""


async def delete_runs(transaction: Executor, workspace_id: UUID, ids: list[UUID]) -> list[UUID]:
    """Delete these flow runs; returns the ids that existed."""
    await transaction.fetch(_LOCK, workspace_id, ids)
    deleted = await transaction.fetch(
        "DELETE FROM flow_run WHERE workspace_id = $1 AND id = ANY($2) RETURNING id", workspace_id, ids
    )
    gone = [row["id"] for row in deleted]
    if gone:
        await _delete_dependents(transaction, workspace_id, gone)
    return gone


async def delete_runs_of_flows(transaction: Executor, workspace_id: UUID, flow_ids: list[UUID]) -> None:
    runs = await transaction.fetch(
        "SELECT id FROM flow_run WHERE workspace_id = $1 AND flow_id = ANY($2)", workspace_id, flow_ids
    )
    if runs:
        await delete_runs(transaction, workspace_id, [row["id"] for row in runs])


async def delete_scheduled(
    transaction: Executor,
    workspace_id: UUID,
    deployment_ids: list[UUID],
    *,
    auto_only: bool = True,
    future_only: bool = True,
) -> int:
    """Delete runs of the deployments that never started and only wait for their time; returns how many."""
    deleted = await transaction.fetch(
        """
        DELETE FROM flow_run
        WHERE workspace_id = $1 AND deployment_id = ANY($2) AND state_type = 'SCHEDULED'
            AND state_name <> 'AwaitingConcurrencySlot' AND run_count = 0
            AND (auto_scheduled OR NOT $3) AND (next_scheduled_start_time > clock_timestamp() OR NOT $4)
        RETURNING id
        """,
        workspace_id,
        deployment_ids,
        auto_only,
        future_only,
    )
    if deleted:
        ids = [row["id"] for row in deleted]
        await transaction.execute("DELETE FROM flow_run_state WHERE flow_run_id = ANY($1)", ids)
    return len(deleted)


async def _delete_dependents(transaction: Executor, workspace_id: UUID, ids: list[UUID]) -> None:
    await transaction.execute("DELETE FROM flow_run_state WHERE flow_run_id = ANY($1)", ids)
    task_runs = await transaction.fetch(
        "DELETE FROM task_run WHERE workspace_id = $1 AND flow_run_id = ANY($2) RETURNING id", workspace_id, ids
    )
    task_run_ids = [row["id"] for row in task_runs]
    if task_run_ids:
        await transaction.execute(
            "DELETE FROM task_run_state WHERE workspace_id = $1 AND task_run_id = ANY($2)", workspace_id, task_run_ids
        )
        await transaction.execute(
            "DELETE FROM background_task WHERE workspace_id = $1 AND task_run_id = ANY($2)", workspace_id, task_run_ids
        )
        await transaction.execute(
            "UPDATE flow_run SET parent_task_run_id = NULL, version = version + 1 WHERE parent_task_run_id = ANY($1)",
            task_run_ids,
        )
    await transaction.execute(
        """
        WITH freed AS (DELETE FROM concurrency_slot WHERE run_id = ANY($1) RETURNING lease_id)
        DELETE FROM concurrency_lease WHERE id IN (SELECT lease_id FROM freed)
        """,
        [*ids, *task_run_ids],
    )
    await transaction.execute("DELETE FROM log WHERE flow_run_id = ANY($1)", ids)
