"""Who may go on with a run after it was taken back from somebody who fell silent.

A worker that claims a run and is not heard of any more may only be frozen, or cut off. Its run goes back to the others,
and when it returns it must not execute the run as well. Two rules see to that, from the first time on that a run was
taken back:

* each claim is good for one start: RUNNING is entered from PENDING, by whoever holds the claim if that can be told;
* who lost the claim has no say in what becomes of the run, unless it claims it again.

So even where names tell nothing apart (two workers of one name, runners, which have none), one process executes.
"""

from dataclasses import replace

from sempre.core.states import Claimant, State, StateType
from sempre.core.transitions.flow_context import FlowContext
from sempre.core.transitions.model import FlowRunPolicy
from sempre.core.transitions.rules import AWAITING_RETRY, Stop, abort

__all__ = ["carry_claim", "refuse_if_taken_back"]

# So many of those that lost the run are remembered; the first rule needs none of them.
_MOST = 10
_LOST = "This run was taken back: nothing was heard of who had claimed it."
_STARTED = "This run was taken back once, and its present claim has been used: it can only start from a new one."


def refuse_if_taken_back(context: FlowContext) -> Stop | None:
    details = context.current.details
    if not details.taken_back:
        return None
    proposer, claim = context.facts.proposer, details.claim
    if context.proposal.type is StateType.RUNNING:
        if claim is not None and proposer is not None and claim.differs(proposer):
            return abort(_LOST)
        return None if _may_start(context) else abort(_STARTED)
    if context.proposal.type is StateType.PENDING and context.current.is_terminal:
        return abort(_STARTED)  # a late claim of what was seen waiting; to run it again is to schedule it
    if proposer is None or not any(proposer.is_same(lost) for lost in details.taken_back):
        return None
    if claim is not None and not claim.differs(proposer):
        return None  # it has claimed the run again
    return None if _is_welcome(context) else abort(_LOST)


def _may_start(context: FlowContext) -> bool:
    old = context.current
    if old.type is StateType.SCHEDULED:  # a retry inside the process that runs it
        return old.name == AWAITING_RETRY and context.run.policy.retry_type == "in_process"
    return old.type is StateType.PENDING or old.type is StateType.PAUSED


def _is_welcome(context: FlowContext) -> bool:
    """Nobody has the run yet: it may be claimed by whoever had it, and a process that was given up may be done."""
    if context.current.type is not StateType.SCHEDULED:
        return False
    new = context.proposal.type
    return new is StateType.PENDING or (new is StateType.COMPLETED and context.run.run_count > 0)


def carry_claim(context: FlowContext, state: State, policy: FlowRunPolicy) -> State:
    """The state with the claim that holds in it, and with everybody who lost one. ``policy``: the run's, with it."""
    old = context.old
    if old is None:
        return state
    before, details = old.details, state.details
    claim = before.claim
    if state.type is StateType.PENDING and old.type is not StateType.PENDING:
        claim = context.facts.proposer or Claimant()
    elif state.type is StateType.SCHEDULED and policy.retry_type != "in_process":
        claim = None
    lost = before.taken_back
    for claimant in details.taken_back:
        if not any(claimant.is_same(known) and known.is_same(claimant) for known in lost):
            lost = (*lost, claimant)
    lost = lost[-_MOST:]
    if claim == details.claim and lost == details.taken_back:
        return state
    return replace(state, details=replace(details, claim=claim, taken_back=lost))
