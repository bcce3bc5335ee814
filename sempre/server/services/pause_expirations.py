"""Fails paused and suspended runs whose time to resume has passed."""

from sempre.core.states import StateType
from sempre.core.transitions.model import Policy, Proposal
from sempre.db.pool import Record
from sempre.server.flow_runs.orchestration import set_flow_run_state
from sempre.server.scope import Scope
from sempre.server.services.sweeps import sweep

__all__ = ["run"]

_EXPIRED = """
SELECT id, workspace_id, state_id FROM flow_run
WHERE state_type = 'PAUSED' AND (state_details->>'pause_timeout')::timestamptz < now()
ORDER BY id LIMIT $1
"""

_FAILED = Proposal(StateType.FAILED, "Failed", "The flow was paused and never resumed.")


async def run(scope: Scope) -> None:
    await sweep(scope, _EXPIRED, _fail)


async def _fail(scope: Scope, row: Record) -> bool:
    return (await set_flow_run_state(scope, row["id"], _FAILED, Policy.FORCED, only_from=row["state_id"])).written
