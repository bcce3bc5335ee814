"""Entering and leaving PAUSED: blocking pauses (the process waits) and suspensions (the process exits)."""

from sempre.core.states import TERMINAL, StateType
from sempre.core.transitions.flow_context import FlowContext
from sempre.core.transitions.model import Proposal
from sempre.core.transitions.rules import Stop, abort, reject, substitute

__all__ = ["enter_pause", "leave_pause"]

_WAYS_OUT = TERMINAL | {StateType.RUNNING, StateType.SCHEDULED, StateType.CANCELLING}


def enter_pause(context: FlowContext) -> Stop | None:
    """Only a running flow pauses, once per key; suspending needs a deployment to come back from."""
    run, old = context.run, context.old
    verb = "suspend" if context.name == "Suspended" else "pause"
    if old is None:
        return abort(f"Cannot {verb} flows with no state.")
    if old.type is not StateType.RUNNING:
        return reject(f"Cannot {verb} flows that are not currently running.")
    key = context.details.pause_key
    if key is None:
        key = str(context.inputs.state_id)  # fresh in every decision: such a pause always fires
    if key in run.policy.pause_keys:
        return reject(f"This {verb} has already fired.")
    if context.details.pause_reschedule:
        if run.parent_task_run_id is not None:
            return abort(f"Cannot {verb} subflows.")
        if run.deployment_id is None:
            return abort(f"Cannot {verb} flows without a deployment.")
    context.pause_key = key
    return None


def leave_pause(context: FlowContext) -> Stop | None:
    """A paused run resumes, is rescheduled, cancelled or ended; past its deadline it can only fail."""
    old, new = context.current, context.proposal.type
    if new not in _WAYS_OUT:
        # The enum's printed form is what clients of this protocol have always been shown here.
        return reject(f"This run cannot transition to the StateType.{new.value} state from the StateType.PAUSED state.")
    name = (context.name or new.value).lower()
    if old.details.pause_reschedule and context.run.deployment_id is None:
        return reject(f"Cannot reschedule a {name} flow run without a deployment.")
    context.resumes = True
    deadline = old.details.pause_timeout
    if new is not StateType.CANCELLING and deadline is not None and deadline < context.inputs.now:
        failed = Proposal(StateType.FAILED, "Failed", message=f"The flow was {name} and never resumed.")
        return substitute(failed, "The flow run pause has timed out and can no longer resume.")
    return None
