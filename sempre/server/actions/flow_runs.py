"""Actions on the flow run that set the automation off."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sempre.core.states import StateDetails, StateType, default_name
from sempre.core.transitions.model import Policy, Proposal, Status
from sempre.schemas.actions import ChangeFlowRunState
from sempre.server.actions.invocation import ActionFailed, Invocation
from sempre.server.actions.targets import flow_run_of
from sempre.server.errors import NotFound
from sempre.server.flow_runs.deletion import delete_runs
from sempre.server.flow_runs.orchestration import set_flow_run_state
from sempre.server.flow_runs.resume import resume
from sempre.server.orchestration import Outcome

__all__ = ["cancel", "change_state", "delete", "resume_run", "suspend"]

# States are stamped with the invocation's id, by which a repeated attempt knows what the first one made.
_SUSPENDED_FOR = timedelta(hours=1)
# What a repeated attempt is told of the state that the first one made.
_MADE_ALREADY = "This run has already made this state transition."


async def cancel(invocation: Invocation) -> None:
    await _propose(
        invocation, StateType.CANCELLING, "Cancelling", f"Cancelled by Automation {invocation.automation_id}"
    )


async def suspend(invocation: Invocation) -> None:
    details = StateDetails(pause_reschedule=True, pause_timeout=datetime.now(UTC) + _SUSPENDED_FOR)
    message = f"Suspended by Automation {invocation.automation_id}"
    await _propose(invocation, StateType.PAUSED, "Suspended", message, details)


async def change_state(invocation: Invocation) -> None:
    action = invocation.action
    assert isinstance(action, ChangeFlowRunState)
    now = datetime.now(UTC)
    details = StateDetails(scheduled_time=now if action.state is StateType.SCHEDULED else None)
    message = action.message or f"State changed by Automation {invocation.automation_id}"
    name = default_name(action.state) if action.name is None else action.name
    await _propose(invocation, action.state, name, message, details, force=action.force)


async def resume_run(invocation: Invocation) -> None:
    run = _target(invocation)
    if await _was_made(invocation, run):
        return
    outcome = await resume(invocation.scope, run, {}, transition_id=invocation.id)
    _check(outcome, "Failed to resume flow run")


async def delete(invocation: Invocation) -> None:
    run = _target(invocation)
    async with invocation.scope.db.transaction() as transaction:
        deleted = await delete_runs(transaction, invocation.scope.workspace_id, [run])
    if not deleted and invocation.attempts == 1:
        raise NotFound("Flow run not found")


def _target(invocation: Invocation) -> UUID:
    run = flow_run_of(invocation)
    invocation.touched("target", "flow-run", run)
    return run


async def _propose(
    invocation: Invocation,
    type: StateType,
    name: str,
    message: str,
    details: StateDetails | None = None,
    *,
    force: bool = False,
) -> None:
    stamped = replace(details or StateDetails(), transition_id=invocation.id)
    proposal = Proposal(type, name, message, details=stamped)
    policy = Policy.FORCED if force else Policy.CORE
    run = _target(invocation)
    if await _was_made(invocation, run):
        return
    outcome = await set_flow_run_state(invocation.scope, run, proposal, policy)
    _check(outcome, "Failed to set state")


async def _was_made(invocation: Invocation, run: UUID) -> bool:
    """Whether an earlier attempt, which did not live to tell of it, made the state. The run may have gone on since."""
    if invocation.attempts == 1:
        return False
    made = await invocation.scope.db.fetchval(
        """
        SELECT true FROM flow_run_state
        WHERE flow_run_id = $1 AND workspace_id = $2 AND details->>'transition_id' = $3 LIMIT 1
        """,
        run,
        invocation.scope.workspace_id,
        str(invocation.id),
    )
    return made is not None


def _check(outcome: Outcome, failure: str) -> None:
    if outcome.status is not Status.ACCEPT and outcome.reason != _MADE_ALREADY:
        raise ActionFailed(f"{failure}: {outcome.reason}")
