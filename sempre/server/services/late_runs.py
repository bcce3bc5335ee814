"""Marks runs Late that nobody picked up in time; under CANCEL_NEW with a full limit, Cancelled."""

from sempre.core.states import StateDetails, StateType
from sempre.core.transitions.model import Policy, Proposal
from sempre.db.pool import Record
from sempre.server.flow_runs.orchestration import set_flow_run_state
from sempre.server.scope import Scope
from sempre.server.services.sweeps import sweep

__all__ = ["run"]

# By name, not only by type: a run that awaits a retry or a slot is not late.
_OVERDUE = """
SELECT id, workspace_id, state_id, next_scheduled_start_time FROM flow_run
WHERE state_type = 'SCHEDULED' AND state_name = 'Scheduled'
    AND next_scheduled_start_time <= now() - make_interval(secs => $2::float8)
ORDER BY next_scheduled_start_time LIMIT $1
"""


async def run(scope: Scope) -> None:
    await sweep(scope, _OVERDUE, _mark, scope.settings.services.late_runs.after_seconds)


async def _mark(scope: Scope, row: Record) -> bool:
    proposal = Proposal(
        StateType.SCHEDULED, "Late", details=StateDetails(scheduled_time=row["next_scheduled_start_time"])
    )
    return (await set_flow_run_state(scope, row["id"], proposal, Policy.LATE, only_from=row["state_id"])).written
