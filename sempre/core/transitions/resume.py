"""Resuming a paused flow run on request: which state is proposed for it."""

from datetime import datetime

from sempre.core.states import StateDetails, StateType
from sempre.core.transitions.model import Decision, FlowRun, FlowRunWrite, Proposal, Status

__all__ = ["resume_proposal"]


def resume_proposal(run: FlowRun, now: datetime) -> Proposal | Decision[FlowRunWrite]:
    """The proposal that resumes ``run`` under the core policy, or the decision that it cannot be resumed.

    A suspended run is scheduled anew, a blocked one goes on where it waits. Expired pauses are the rules' business.
    """
    state = run.state
    if state is None or state.type is not StateType.PAUSED:
        return Decision(Status.ABORT, reason="Cannot resume a flow run that is not paused.")
    if state.details.pause_reschedule:
        return Proposal(StateType.SCHEDULED, "Resuming", details=StateDetails(scheduled_time=now))
    return Proposal(StateType.RUNNING, "Running")
