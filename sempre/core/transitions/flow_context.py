"""What flow-run rules share while they decide one transition."""

from sempre.core.states import State, StateType
from sempre.core.transitions.model import FlowRun, FlowRunFacts, Inputs, Proposal
from sempre.core.transitions.rules import AWAITING_RETRY, Context

__all__ = ["OCCUPYING", "FlowContext", "may_hold_slot"]

OCCUPYING = frozenset({StateType.PENDING, StateType.RUNNING, StateType.CANCELLING})


class FlowContext(Context):
    """A flow run's proposal on its way through the rules.

    ``policy`` is written with an accepted state, ``replacement_policy`` with a substituted one: what a rule changes
    for the proposal is thereby undone when a later rule substitutes another state.
    """

    __slots__ = ("facts", "keeps_slot", "pause_key", "policy", "replacement_policy", "resumes", "run")

    def __init__(self, run: FlowRun, proposal: Proposal, facts: FlowRunFacts, inputs: Inputs) -> None:
        super().__init__(run.state, proposal, inputs)
        self.run = run
        self.facts = facts
        self.policy = run.policy
        self.replacement_policy = run.policy
        self.pause_key: str | None = None  # remember this key as used
        self.resumes = False  # flag the run as resuming, after everything else
        self.keeps_slot = False  # the replacement stays in the process that holds the slot


def may_hold_slot(state: State) -> bool:
    """Whether a run in this state may occupy a slot of its deployment.

    A blocking pause and a retry inside the process keep the process alive, and with it the slot.
    """
    if state.type is StateType.PAUSED:
        return not state.details.pause_reschedule
    if state.type is StateType.SCHEDULED:
        return state.name == AWAITING_RETRY
    return state.type in OCCUPYING
