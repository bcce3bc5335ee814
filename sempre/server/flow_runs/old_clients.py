"""What clients of an older API rely on the server for, and newer ones do themselves."""

from datetime import UTC, datetime
from uuid import UUID

from sempre.core.states import StateDetails, StateType
from sempre.core.transitions.model import Policy, Proposal, Status
from sempre.core.transitions.rules import AWAITING_RETRY
from sempre.server.orchestration import Outcome
from sempre.server.scope import Scope
from sempre.server.task_runs.orchestration import set_task_run_state

__all__ = ["retry_failed_task_runs"]

_RETRY_TASKS_SINCE = (0, 8, 3)


async def retry_failed_task_runs(scope: Scope, flow_run_id: UUID, outcome: Outcome) -> None:
    """Where the flow run is about to be retried, have its failed task runs run anew, for a client that would not."""
    api, state = scope.client.api_version, outcome.state
    is_retry = (
        outcome.written and outcome.status is Status.REJECT and state is not None and state.name == AWAITING_RETRY
    )
    if not is_retry or api is None or api >= _RETRY_TASKS_SINCE:
        return
    failed = await scope.db.fetch(
        """
        SELECT id, state_id FROM task_run WHERE workspace_id = $1 AND flow_run_id = $2 AND state_type = 'FAILED'
        ORDER BY id
        """,
        scope.workspace_id,
        flow_run_id,
    )
    again = Proposal(StateType.SCHEDULED, AWAITING_RETRY, details=StateDetails(scheduled_time=datetime.now(UTC)))
    for run in failed:
        moved = await set_task_run_state(scope, run["id"], again, Policy.FORCED, only_from=run["state_id"])
        if moved.written:
            await scope.db.execute(
                "UPDATE task_run SET run_count = 0, version = version + 1 WHERE workspace_id = $1 AND id = $2",
                scope.workspace_id,
                run["id"],
            )
