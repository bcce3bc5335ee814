"""Deleting a task run: its states, its place in the queue, its slots and its logs go with it; a subflow run stays."""

from uuid import UUID

from sempre.db.pool import Executor

__all__ = ["delete_run"]


async def delete_run(transaction: Executor, workspace_id: UUID, id: UUID) -> bool:
    """Delete the task run; whether it existed."""
    # The subflow first: its transitions lock the subflow and then the task run that stands for it.
    await transaction.execute(
        """
        UPDATE flow_run SET parent_task_run_id = NULL, version = version + 1
        WHERE workspace_id = $1 AND parent_task_run_id = $2
        """,
        workspace_id,
        id,
    )
    status = await transaction.execute("DELETE FROM task_run WHERE workspace_id = $1 AND id = $2", workspace_id, id)
    if status == "DELETE 0":
        return False
    await transaction.execute(
        "DELETE FROM task_run_state WHERE workspace_id = $1 AND task_run_id = $2", workspace_id, id
    )
    await transaction.execute(
        "DELETE FROM background_task WHERE workspace_id = $1 AND task_run_id = $2", workspace_id, id
    )
    await transaction.execute(
        """
        WITH freed AS (DELETE FROM concurrency_slot WHERE workspace_id = $1 AND run_id = $2 RETURNING lease_id)
        DELETE FROM concurrency_lease WHERE id IN (SELECT lease_id FROM freed)
        """,
        workspace_id,
        id,
    )
    await transaction.execute("DELETE FROM log WHERE workspace_id = $1 AND task_run_id = $2", workspace_id, id)
    return True
