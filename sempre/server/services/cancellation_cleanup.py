"""Ends what belongs to cancelled runs, and cancellations that nobody carried out."""

from sempre.core.states import StateType
from sempre.core.transitions.model import Policy, Proposal
from sempre.db.pool import Record
from sempre.server.flow_runs.orchestration import set_flow_run_state
from sempre.server.scope import Scope
from sempre.server.services.sweeps import sweep
from sempre.server.task_runs.orchestration import set_task_run_state
from sempre.server.worker_channel import cleanup

__all__ = ["run", "time_out"]

_PARENT_CANCELLED = "The parent flow run was cancelled."
_TIMED_OUT = "Flow run cancellation timed out; marked this flow run as Cancelled."

_DAY = 86400.0  # seconds; task runs are recorded from events, which may arrive late

# No timers: a cancellation is overdue by the time of its state, whichever process accepted it.
_OVERDUE = """
SELECT id, workspace_id, state_id FROM flow_run
WHERE state_type = 'CANCELLING' AND state_timestamp <= now() - make_interval(secs => $2::float8)
ORDER BY state_timestamp LIMIT $1
"""

# A task run that stands for a live subflow ends with it.
_LIVE_TASK_RUNS = f"""
SELECT t.id, t.workspace_id, t.state_id FROM flow_run r JOIN task_run t ON t.flow_run_id = r.id
WHERE r.state_type = 'CANCELLED' AND r.end_time > now() - make_interval(secs => {_DAY})
    AND t.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')
    AND NOT EXISTS (
        SELECT FROM flow_run c WHERE c.parent_task_run_id = t.id
            AND c.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')
    )
LIMIT $1
"""

# A parent that was deleted, or never had a state, does not keep its subflows alive.
_LIVE_SUBFLOWS = """
SELECT c.id, c.workspace_id, c.state_id, c.deployment_id FROM flow_run c
    JOIN task_run t ON t.workspace_id = c.workspace_id AND t.id = c.parent_task_run_id
    LEFT JOIN flow_run p ON p.id = t.flow_run_id AND p.workspace_id = t.workspace_id
WHERE c.parent_task_run_id IS NOT NULL
    AND c.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')
    AND NOT (c.state_type = 'CANCELLING' AND c.deployment_id IS NOT NULL)
    AND t.flow_run_id IS NOT NULL AND (p.state_type IS NULL OR p.state_type = 'CANCELLED')
ORDER BY c.id LIMIT $1
"""

# Found from the runs themselves, so that a crash right after the timeout loses no message.
_UNTOLD = f"""
SELECT r.id, r.workspace_id, r.state_id FROM flow_run r
    JOIN work_queue q ON q.id = r.work_queue_id JOIN work_pool p ON p.id = q.work_pool_id
WHERE r.state_type = 'CANCELLED' AND r.end_time > now() - make_interval(secs => $2::float8)
    AND r.state_message = '{_TIMED_OUT}' AND p.type !~ ':(push|managed)$'
    AND NOT EXISTS (
        SELECT FROM worker_cleanup known WHERE known.work_pool_id = p.id
            AND known.idempotency_key = concat_ws(':', '{cleanup.TIMED_OUT}', r.id, r.state_id)
    )
LIMIT $1
"""


async def run(scope: Scope) -> None:
    timeout = scope.settings.services.cancellation_cleanup.cancelling_timeout_seconds
    await sweep(scope, _OVERDUE, time_out, timeout)
    await sweep(scope, _UNTOLD, _tear_down, _memory(scope))
    await sweep(scope, _LIVE_SUBFLOWS, _cancel_subflow)
    await sweep(scope, _LIVE_TASK_RUNS, _cancel_task_run)


def _memory(scope: Scope) -> float:
    """Seconds to look back for runs whose worker was not told: no longer than messages are remembered."""
    kept = scope.settings.worker_channel.cleanup_completed_idempotency_retention_seconds
    return _DAY if kept is None else min(kept, _DAY)


async def time_out(scope: Scope, row: Record) -> bool:
    """Mark a run Cancelled that nobody cancels; its infrastructure, if there is any, is torn down by the next round."""
    proposal = Proposal(StateType.CANCELLED, "Cancelled", _TIMED_OUT)
    return (await set_flow_run_state(scope, row["id"], proposal, Policy.CORE, only_from=row["state_id"])).written


async def _tear_down(scope: Scope, row: Record) -> bool:
    pool_id = await cleanup.enqueue(scope.db, row["workspace_id"], row["id"], state_id=row["state_id"])
    if pool_id is not None:
        scope.doorbell.ring(cleanup.topic(pool_id))
    return pool_id is not None


async def _cancel_task_run(scope: Scope, row: Record) -> bool:
    proposal = Proposal(StateType.CANCELLED, "Cancelled", _PARENT_CANCELLED)
    return (await set_task_run_state(scope, row["id"], proposal, Policy.FORCED, only_from=row["state_id"])).written


async def _cancel_subflow(scope: Scope, row: Record) -> bool:
    """One with a deployment runs in infrastructure of its own, which must be told first."""
    if row["deployment_id"] is None:
        proposal = Proposal(StateType.CANCELLED, "Cancelled", _PARENT_CANCELLED)
    else:
        proposal = Proposal(StateType.CANCELLING, "Cancelling", _PARENT_CANCELLED)
    return (await set_flow_run_state(scope, row["id"], proposal, Policy.FORCED, only_from=row["state_id"])).written
