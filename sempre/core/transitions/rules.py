"""How rules are written down, selected and run; the rules which flow runs and task runs share.

A policy is a tuple of :class:`Rule`: the order of the rules is data. :func:`compile_policy` turns it into a table
from (old type, intended type) to the functions that apply, so a decision looks at nothing else.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

from sempre.core.states import TERMINAL, State, StateDetails, StateType
from sempre.core.transitions.model import Inputs, Proposal, SlotTake, Status

__all__ = [
    "ANY_NEW",
    "ANY_OLD",
    "AWAITING_RETRY",
    "NON_TERMINAL",
    "Context",
    "Rule",
    "Stop",
    "abort",
    "compile_policy",
    "copy_scheduled_time",
    "prevent_pending",
    "reject",
    "run_rules",
    "substitute",
    "wait",
    "wait_for_scheduled_time",
]

AWAITING_RETRY = "AwaitingRetry"

ANY_NEW: frozenset[StateType] = frozenset(StateType)
ANY_OLD: frozenset[StateType | None] = frozenset([*StateType, None])
NON_TERMINAL: frozenset[StateType] = ANY_NEW - TERMINAL

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Stop:
    """A rule's verdict that ends the evaluation. Only a REJECT may carry a ``replacement`` to persist."""

    status: Status
    reason: str
    delay_seconds: int | None = None
    replacement: Proposal | None = None


class Context:
    """The proposal while rules look at it and amend it. Lives for one decision, never leaves it.

    Changes of details are collected in ``changes`` and applied once, when the state is built.
    """

    __slots__ = ("changes", "details", "inputs", "name", "old", "proposal", "take")

    def __init__(self, old: State | None, proposal: Proposal, inputs: Inputs) -> None:
        self.old = old
        self.proposal = proposal
        self.inputs = inputs
        self.name = proposal.name
        self.details = proposal.details
        self.changes: dict[str, Any] = {}
        self.take: SlotTake | None = None

    @property
    def current(self) -> State:
        """The current state, for rules that apply to runs with one."""
        assert self.old is not None
        return self.old

    def build_state(self, owner: Mapping[str, UUID | None], replacement: Proposal | None = None) -> State:
        """The state to persist: ``replacement``, or else the proposal as the rules amended it.

        ``owner`` holds the ids of the run, which overwrite whatever was proposed.
        """
        proposal = self.proposal if replacement is None else replacement
        changes = owner if replacement is not None else {**self.changes, **owner}
        now, old = self.inputs.now, self.old
        if old is not None and now <= old.timestamp:
            now = old.timestamp + _MICROSECOND
        details = _with(proposal.details, changes)
        if replacement is not None and self.details.transition_id is not None:
            # Who lost the answer asks again under the same id, and must be told the same, not be judged anew.
            details = replace(details, transition_id=self.details.transition_id)
        if proposal.type is StateType.SCHEDULED and details.scheduled_time is None:
            details = replace(details, scheduled_time=now)
        return State(
            id=self.inputs.state_id,
            type=proposal.type,
            name=self.name if replacement is None else replacement.name,
            timestamp=now,
            message=proposal.message,
            data=proposal.data,
            details=details,
        )


def _with(details: StateDetails, changes: Mapping[str, Any]) -> StateDetails:
    # Most proposals carry no details at all: building is then several times cheaper than replacing.
    return StateDetails(**changes) if details == _NO_DETAILS else replace(details, **changes)


_NO_DETAILS = StateDetails()

C = TypeVar("C", bound=Context)

Apply: TypeAlias = Callable[[C], Stop | None]
Table: TypeAlias = dict[tuple[StateType | None, StateType], tuple[Apply[C], ...]]


@dataclass(frozen=True, slots=True)
class Rule(Generic[C]):
    """One rule: between which types it applies and what it does (``None`` = go on to the next rule)."""

    name: str
    old: frozenset[StateType | None]
    new: frozenset[StateType]
    apply: Apply[C]


def compile_policy(rules: Iterable[Rule[C]]) -> Table[C]:
    """For each pair of types the functions of the rules that apply, in order."""
    rules = tuple(rules)
    return {
        (old, new): tuple(rule.apply for rule in rules if old in rule.old and new in rule.new)
        for old in ANY_OLD
        for new in ANY_NEW
    }


def run_rules(table: Table[C], context: C) -> Stop | None:
    """Apply the rules for the context's pair of types until one stops."""
    old = context.old
    for apply in table[None if old is None else old.type, context.proposal.type]:
        stop = apply(context)
        if stop is not None:
            return stop
    return None


def abort(reason: str) -> Stop:
    return Stop(Status.ABORT, reason)


def reject(reason: str) -> Stop:
    """Refuse and keep the current state."""
    return Stop(Status.REJECT, reason)


def substitute(replacement: Proposal, reason: str) -> Stop:
    """Refuse and persist another state instead."""
    return Stop(Status.REJECT, reason, replacement=replacement)


def wait(delay_seconds: int, reason: str) -> Stop:
    return Stop(Status.WAIT, reason, delay_seconds=delay_seconds)


# --- shared rules --------------------------------------------------------------------------------------


def prevent_pending(context: Context) -> Stop | None:
    """Only one submitter may win: PENDING is entered once. A worker may rename it (Submitting, ...)."""
    old, name = context.current, context.name
    if old.type is StateType.PENDING and name not in (old.name, "Pending"):
        context.changes["scheduled_time"] = old.details.scheduled_time
        context.changes["deployment_concurrency_lease_id"] = old.details.deployment_concurrency_lease_id
        return None
    return abort(f"This run is in a {old.type.value} state and cannot transition to a PENDING state.")


def copy_scheduled_time(context: Context) -> Stop | None:
    """PENDING keeps the time at which the run may start."""
    if context.details.scheduled_time is None:
        context.changes["scheduled_time"] = context.current.details.scheduled_time
    return None


def wait_for_scheduled_time(context: Context) -> Stop | None:
    """RUNNING before the scheduled time waits; half a second or less is let through (ties round to even)."""
    scheduled = context.current.details.scheduled_time
    if scheduled is None or scheduled <= context.inputs.now:
        return None
    ahead = scheduled - context.inputs.now
    delay = ahead.days * 86400 + ahead.seconds + round(ahead.microseconds / 1_000_000)
    return wait(delay, "Scheduled time is in the future") if delay > 0 else None
