"""Transitions of flow runs: the policies as ordered lists of rules, and the decision made with them.

A proposal passes the rules of its policy in order until one stops it. What is then persisted, the proposal or a
state substituted for it, determines every derived column, the slot to take or free and the mirror on the parent
task run.
"""

from dataclasses import replace
from typing import Any

from sempre.core.states import TERMINAL, State, StateType
from sempre.core.transitions.claims import carry_claim, refuse_if_taken_back
from sempre.core.transitions.deployment_slots import (
    cancel_late,
    frees_slot,
    hold_without_lease,
    preserve_lease,
    take_slot,
    validate_slot,
)
from sempre.core.transitions.derived import flow_run_after, mirror_of
from sempre.core.transitions.flow_context import FlowContext
from sempre.core.transitions.model import (
    Decision,
    FlowRun,
    FlowRunFacts,
    FlowRunPolicy,
    FlowRunWrite,
    Inputs,
    Policy,
    Proposal,
    Status,
)
from sempre.core.transitions.pauses import enter_pause, leave_pause
from sempre.core.transitions.retries import retry_flow, retry_lost_flow
from sempre.core.transitions.rules import (
    ANY_NEW,
    ANY_OLD,
    NON_TERMINAL,
    Rule,
    Stop,
    abort,
    compile_policy,
    copy_scheduled_time,
    prevent_pending,
    reject,
    run_rules,
    substitute,
    wait_for_scheduled_time,
)

__all__ = ["CORE_RULES", "FORCED_RULES", "LATE_RULES", "SILENT_RULES", "decide_flow_run"]

_OVERWRITES_RESULT = "Cannot overwrite a COMPLETED state that carries persisted result data with one that does not."


def prevent_duplicates(context: FlowContext) -> Stop | None:
    """A client that lost the answer proposes again under the same id: it gets the state it made.

    Or what has become of it since: the first request may arrive after the repeated one and all that followed, when a
    server that was thought dead wakes up, and must not take a finished run back to RUNNING.
    """
    proposed = context.details.transition_id
    if proposed is not None and (
        proposed == context.current.details.transition_id or str(proposed) in context.facts.transitions_made
    ):
        return reject("This run has already made this state transition.")
    return None


def prevent_late_claim(context: FlowContext) -> Stop | None:
    """A worker that claims what it saw waiting, but another has run to its end meanwhile, must not run it again."""
    if context.facts.proposer is None or context.run.run_count == 0:
        return None  # somebody else may want it run again, or nobody has run it
    return abort(f"This run is in a {context.current.type.value} state and cannot transition to a PENDING state.")


def leave_terminal(context: FlowContext) -> Stop | None:
    """A finished run may be run again, unless that would lose its result; then it starts afresh."""
    old, new = context.current, context.proposal.type
    if new in (StateType.CANCELLING, StateType.PAUSED, StateType.CRASHED):
        return abort(f"Run is already in terminal state {old.type.value}.")
    if old.type is StateType.COMPLETED and new in NON_TERMINAL and _has_result_to_lose(old):
        return reject("Run is already COMPLETED.")
    loses_result = guard_result(context)
    if loses_result is not None:
        return loses_result
    if new is StateType.SCHEDULED and context.run.deployment_id is None:
        return abort("Cannot reschedule a run without an associated deployment.")
    if new in NON_TERMINAL:
        rescheduled = new is StateType.SCHEDULED
        context.policy = replace(
            context.policy, resuming=False, pause_keys=(), retry_type="reschedule" if rescheduled else None
        )
    return None


def guard_result(context: FlowContext) -> Stop | None:
    """COMPLETED with a result is not replaced by COMPLETED without one."""
    old, proposal = context.current, context.proposal
    if (
        old.type is StateType.COMPLETED
        and proposal.type is StateType.COMPLETED
        and _has_result_to_lose(old)
        and not _describes_result(proposal.data)
    ):
        return reject(_OVERWRITES_RESULT)
    return None


def stick_to_cancelling(context: FlowContext) -> Stop | None:
    return reject("Cannot transition flows that are cancelling to a state other than Cancelled.")


def cancel_without_infrastructure(context: FlowContext) -> Stop | None:
    """Nothing runs that could tear itself down: the run is cancelled at once."""
    old = context.current
    cancelled = Proposal(StateType.CANCELLED, "Cancelled")
    if old.type is StateType.SCHEDULED:
        if not context.run.infrastructure_pid or old.name == "Resuming":
            return substitute(cancelled, "Scheduled flow run has no infrastructure to terminate.")
    elif old.details.pause_reschedule:
        return substitute(cancelled, "Suspended flow run has no infrastructure to terminate.")
    return None


def mark_late(context: FlowContext) -> Stop | None:
    """Late is a name that only waiting runs get, and only once."""
    if context.name != "Late":
        return None
    old = context.old
    if old is None or old.type is not StateType.SCHEDULED:
        return reject("Only scheduled flows can be marked late.")
    if old.name == "Late":
        return reject("This flow run is already marked late.")
    return None


# --- the policies --------------------------------------------------------------------------------------

_SCHEDULED = frozenset[StateType | None]({StateType.SCHEDULED})
_PENDING = frozenset[StateType | None]({StateType.PENDING})
_RUNNING = frozenset[StateType | None]({StateType.RUNNING})
_PAUSED = frozenset[StateType | None]({StateType.PAUSED})
_CANCELLING = frozenset[StateType | None]({StateType.CANCELLING})
_TERMINAL = frozenset[StateType | None](TERMINAL)
_HAS_STATE = ANY_OLD - {None}
_TO_PENDING = frozenset({StateType.PENDING})
_TO_RUNNING = frozenset({StateType.RUNNING})
_TO_CANCELLING = frozenset({StateType.CANCELLING})

_NO_INFRASTRUCTURE = Rule("no infrastructure", _SCHEDULED | _PAUSED, _TO_CANCELLING, cancel_without_infrastructure)
_LATE_MARKING = Rule("late marking", ANY_OLD, frozenset({StateType.SCHEDULED}), mark_late)
_FENCE = Rule("taken back", _HAS_STATE, ANY_NEW, refuse_if_taken_back)

CORE_RULES: tuple[Rule[FlowContext], ...] = (
    Rule("preserve lease id", _HAS_STATE, ANY_NEW, preserve_lease),
    Rule("prevent duplicates", _HAS_STATE, ANY_NEW, prevent_duplicates),
    _FENCE,
    Rule("leave terminal", _TERMINAL, ANY_NEW, leave_terminal),
    Rule("cancelling is sticky", _CANCELLING, ANY_NEW - {StateType.CANCELLED}, stick_to_cancelling),
    _NO_INFRASTRUCTURE,
    Rule("prevent pending", _PENDING | _RUNNING | {StateType.CANCELLED}, _TO_PENDING, prevent_pending),
    Rule("prevent late claim", _TERMINAL, _TO_PENDING, prevent_late_claim),
    Rule("validate slot", _PENDING, _TO_RUNNING, validate_slot),
    # PAUSED -> PENDING is refused further down. Asking for a slot first would, with a full limit, turn a suspended
    # run into a scheduled one that nobody resumed.
    Rule("take slot", ANY_OLD - _PENDING - _RUNNING - _CANCELLING - _PAUSED, _TO_PENDING, take_slot),
    Rule("hold without lease", _PENDING, _TO_RUNNING | _TO_CANCELLING, hold_without_lease),
    _LATE_MARKING,
    Rule("enter pause", ANY_OLD, frozenset({StateType.PAUSED}), enter_pause),
    Rule("leave pause", _PAUSED, ANY_NEW, leave_pause),
    Rule("copy scheduled time", _SCHEDULED, _TO_PENDING, copy_scheduled_time),
    Rule("wait for scheduled time", _SCHEDULED | _PENDING, _TO_RUNNING, wait_for_scheduled_time),
    Rule("retry", _RUNNING, frozenset({StateType.FAILED}), retry_flow),
)

FORCED_RULES: tuple[Rule[FlowContext], ...] = (
    _FENCE,
    Rule("guard result", _TERMINAL, TERMINAL, guard_result),
    _NO_INFRASTRUCTURE,
)

LATE_RULES: tuple[Rule[FlowContext], ...] = (
    _LATE_MARKING,
    Rule("cancel late", _SCHEDULED, frozenset({StateType.SCHEDULED}), cancel_late),
)

SILENT_RULES: tuple[Rule[FlowContext], ...] = (
    *CORE_RULES,
    Rule("retry lost", _RUNNING | _SCHEDULED, frozenset({StateType.CRASHED}), retry_lost_flow),
)

_TABLES = {
    Policy.CORE: compile_policy(CORE_RULES),
    Policy.FORCED: compile_policy(FORCED_RULES),
    Policy.LATE: compile_policy(LATE_RULES),
    Policy.SILENT: compile_policy(SILENT_RULES),
}


def decide_flow_run(
    run: FlowRun,
    proposal: Proposal,
    facts: FlowRunFacts,
    inputs: Inputs,
    policy: Policy = Policy.CORE,
) -> Decision[FlowRunWrite]:
    """What becomes of ``proposal`` for ``run``. Pure: equal arguments give equal decisions."""
    context = FlowContext(run, proposal, facts, inputs)
    stop = run_rules(_TABLES[policy], context)
    if stop is None:
        return Decision(Status.ACCEPT, _write(context, None))
    write = None if stop.replacement is None else _write(context, stop.replacement)
    return Decision(stop.status, write, stop.reason, stop.delay_seconds)


def _write(context: FlowContext, replacement: Proposal | None) -> FlowRunWrite:
    run = context.run
    owner = {"flow_run_id": run.id}
    if run.parent_task_run_id is not None:
        owner["task_run_id"] = run.parent_task_run_id
    policy = context.policy if replacement is None else context.replacement_policy
    state = carry_claim(context, context.build_state(owner, replacement), policy)
    after = flow_run_after(run, state, policy)
    if context.pause_key is not None or context.resumes:
        # After the derived columns: the state that leaves a pause does not itself end the resuming.
        after = replace(after, policy=_after_pause(context, after.policy))
    return FlowRunWrite(
        state=state,
        run=after,
        take=context.take if replacement is None else None,
        release=frees_slot(context, state),
        mirror=mirror_of(run, state, context.inputs.mirror_state_id),
    )


def _after_pause(context: FlowContext, policy: FlowRunPolicy) -> FlowRunPolicy:
    if context.resumes:
        return replace(policy, resuming=True)
    assert context.pause_key is not None
    return replace(policy, pause_keys=(*policy.pause_keys, context.pause_key))


def _has_result_to_lose(state: State) -> bool:
    return bool(state.data) and _describes_result(state.data)


def _describes_result(data: Any) -> bool:
    """Results of flow runs are described by mappings; any other data is kept with its state but protects nothing."""
    return isinstance(data, dict) and data.get("type") != "unpersisted"
