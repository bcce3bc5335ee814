"""Transitions of task runs that the server orchestrates: policies as ordered lists of rules, and the decision."""

from sempre.core.states import TERMINAL, StateDetails, StateType, has_persisted_result
from sempre.core.transitions.derived import task_run_after
from sempre.core.transitions.model import (
    Decision,
    Inputs,
    Policy,
    Proposal,
    Status,
    TaskRun,
    TaskRunFacts,
    TaskRunWrite,
)
from sempre.core.transitions.retries import retry_task
from sempre.core.transitions.rules import (
    ANY_NEW,
    ANY_OLD,
    AWAITING_RETRY,
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
from sempre.core.transitions.tag_slots import frees_tag_slots, take_tag_slots
from sempre.core.transitions.task_context import TaskContext

__all__ = ["BACKGROUND_RULES", "CORE_RULES", "FORCED_RULES", "decide_task_run"]


def use_cached(context: TaskContext) -> Stop | None:
    """A run whose cache key has an unexpired entry does not run: it gets a copy of that state."""
    cached = context.facts.cached
    if cached is None or context.details.cache_key is None or context.details.refresh_cache:
        return None
    copy = Proposal(StateType.COMPLETED, "Cached", cached.message, cached.data, cached.details)
    return substitute(copy, "Retrieved state from cache")


def leave_terminal(context: TaskContext) -> Stop | None:
    """A finished task runs again with a fresh count of attempts, unless it has a result to lose."""
    old, new = context.current, context.proposal.type
    if new in (StateType.CANCELLING, StateType.PAUSED, StateType.CRASHED):
        return abort(f"Run is already {old.type.value}.")
    # An empty mapping describes no result; what is no mapping at all counts as one.
    if old.type is StateType.COMPLETED and old.data != {} and has_persisted_result(old):
        return reject("This run is already completed.")
    if new in NON_TERMINAL:
        context.run_count = 0
        if new is StateType.RUNNING and context.run.flow_run_run_count < context.facts.flow_run_run_count:
            context.name = "Retrying"
    return None


def require_running_flow(context: TaskContext) -> Stop | None:
    """A task of a flow starts only while the flow runs; a paused flow pauses it too."""
    facts, run = context.facts, context.run
    if run.flow_run_id is None or not facts.flow_run_exists:
        return None
    flow_state = facts.flow_run_state
    if flow_state is None or flow_state.type not in (StateType.RUNNING, StateType.PAUSED):
        return abort("The enclosing flow must be running to begin task execution.")
    if flow_state.type is StateType.PAUSED:
        pause = flow_state.details
        details = StateDetails(pause_timeout=pause.pause_timeout, pause_reschedule=pause.pause_reschedule)
        return substitute(
            Proposal(StateType.PAUSED, "NotReady", details=details),
            f"The flow is paused, new tasks can execute after resuming flow run: {run.flow_run_id}.",
        )
    return None


def copy_task_parameters(context: TaskContext) -> Stop | None:
    """A background run keeps the reference to its parameters until it runs."""
    if context.details.task_parameters_id is None:
        context.changes["task_parameters_id"] = context.current.details.task_parameters_id
    return None


def rename_rerun(context: TaskContext) -> Stop | None:
    """Say in the name that this is not the first attempt."""
    if context.run_count > 0:
        old = context.old
        retrying = old is not None and old.name == AWAITING_RETRY
        context.name = "Retrying" if retrying else "Rerunning"
    return None


def track_flow_run(context: TaskContext) -> Stop | None:
    """Remember in which attempt of the flow the task ran."""
    if context.run.flow_run_id is not None and context.facts.flow_run_exists:
        context.flow_run_run_count = context.facts.flow_run_run_count
    return None


def store_in_cache(context: TaskContext) -> Stop | None:
    """A completed state with a cache key is remembered; a key that is too long only costs the caching."""
    key, longest = context.details.cache_key, context.facts.max_cache_key_length
    if key is None:
        return None
    if len(key) > longest:
        return substitute(context.proposal, f"Cache key exceeded maximum allowed length of {longest} characters.")
    context.cacheable = True
    return None


# --- the policies --------------------------------------------------------------------------------------

_SCHEDULED = frozenset[StateType | None]({StateType.SCHEDULED})
_PENDING = frozenset[StateType | None]({StateType.PENDING})
_RUNNING = frozenset[StateType | None]({StateType.RUNNING})
_SUBMITTED = _PENDING | _RUNNING | {StateType.CANCELLING, StateType.CANCELLED}
_TERMINAL = frozenset[StateType | None](TERMINAL)
_TO_PENDING = frozenset({StateType.PENDING})
_TO_RUNNING = frozenset({StateType.RUNNING})

_CACHE_LOOKUP = Rule("cache lookup", ANY_OLD, _TO_RUNNING, use_cached)
_LEAVE_TERMINAL = Rule("leave terminal", _TERMINAL, ANY_NEW, leave_terminal)
_COPY_SCHEDULED_TIME: Rule[TaskContext] = Rule("copy scheduled time", _SCHEDULED, _TO_PENDING, copy_scheduled_time)
_LAST_RULES: tuple[Rule[TaskContext], ...] = (
    Rule("wait for scheduled time", _SCHEDULED | _PENDING, _TO_RUNNING, wait_for_scheduled_time),
    Rule("retry", _RUNNING, frozenset({StateType.FAILED}), retry_task),
    Rule("rename reruns", ANY_OLD, _TO_RUNNING, rename_rerun),
    Rule("flow run tracker", ANY_OLD, _TO_RUNNING, track_flow_run),
    Rule("cache store", ANY_OLD, frozenset({StateType.COMPLETED}), store_in_cache),
)

CORE_RULES: tuple[Rule[TaskContext], ...] = (
    _CACHE_LOOKUP,
    _LEAVE_TERMINAL,
    Rule("flow must run", ANY_OLD, _TO_RUNNING, require_running_flow),
    Rule("tag slots", ANY_OLD, _TO_RUNNING, take_tag_slots),
    _COPY_SCHEDULED_TIME,
    *_LAST_RULES,
)

FORCED_RULES: tuple[Rule[TaskContext], ...] = ()

BACKGROUND_RULES: tuple[Rule[TaskContext], ...] = (
    Rule("prevent pending", _SUBMITTED, _TO_PENDING, prevent_pending),
    _CACHE_LOOKUP,
    _LEAVE_TERMINAL,
    _COPY_SCHEDULED_TIME,
    Rule("copy task parameters", _SCHEDULED | _PENDING, _TO_PENDING | _TO_RUNNING, copy_task_parameters),
    *_LAST_RULES,
)

_CORE, _FORCED, _BACKGROUND = (compile_policy(rules) for rules in (CORE_RULES, FORCED_RULES, BACKGROUND_RULES))


def decide_task_run(
    run: TaskRun,
    proposal: Proposal,
    facts: TaskRunFacts,
    inputs: Inputs,
    policy: Policy = Policy.CORE,
) -> Decision[TaskRunWrite]:
    """What becomes of ``proposal`` for ``run``. Pure: equal arguments give equal decisions.

    A proposal marked ``deferred`` belongs to a background task, whose rules apply even if it is forced.
    ``Policy.LATE`` and ``Policy.SILENT`` raise ``ValueError``: they are for flow runs.
    """
    if policy in (Policy.LATE, Policy.SILENT):
        raise ValueError(f"task runs have no {policy.value} policy")
    background = bool(proposal.details.deferred)
    context = TaskContext(run, proposal, facts, inputs, background=background)
    table = _BACKGROUND if background else _FORCED if policy is Policy.FORCED else _CORE
    stop = run_rules(table, context)
    if stop is None:
        return Decision(Status.ACCEPT, _write(context, None))
    write = None if stop.replacement is None else _write(context, stop.replacement)
    return Decision(stop.status, write, stop.reason, stop.delay_seconds)


def _write(context: TaskContext, replacement: Proposal | None) -> TaskRunWrite:
    run = context.run
    state = context.build_state({"flow_run_id": run.flow_run_id, "task_run_id": run.id}, replacement)
    accepted = replacement is None
    after = task_run_after(
        run,
        state,
        run_count=context.run_count if accepted else run.run_count,
        flow_run_run_count=context.flow_run_run_count if accepted else run.flow_run_run_count,
    )
    key = state.details.cache_key
    return TaskRunWrite(
        state=state,
        run=after,
        take=context.take if accepted else None,
        release=frees_tag_slots(context, state),
        cache=(key, state.details.cache_expiration) if context.cacheable and key is not None else None,
        enqueue=context.background and state.type is StateType.SCHEDULED,
    )
