"""Deployment concurrency: who takes, renews and frees a deployment's slots.

One slot per (limit, run): taking is idempotent, freeing never fails, an inactive limit limits nothing.
"""

from dataclasses import replace
from datetime import timedelta

from sempre.core.states import State, StateDetails, StateType
from sempre.core.transitions.flow_context import FlowContext, may_hold_slot
from sempre.core.transitions.model import DeploymentLimit, FlowRunFacts, Proposal, SlotTake
from sempre.core.transitions.rules import Stop, abort, substitute

__all__ = ["cancel_late", "frees_slot", "hold_without_lease", "preserve_lease", "take_slot", "validate_slot"]

AWAITING_SLOT = "AwaitingConcurrencySlot"

_LIMIT_REACHED = "Deployment concurrency limit reached."
_SLOT_LOST = "Deployment concurrency slot lost during provisioning - no slots available to continue execution"

_LEASING_CLIENT = (3, 4, 11)
# Clients that cannot handle a run which is refused at PENDING; the texts of releases and of one pre-release.
_UNLIMITED_CLIENTS = frozenset({"3.0.0rc20", "3.0.0", "3.0.1", "3.0.2", "3.0.3"})


def preserve_lease(context: FlowContext) -> Stop | None:
    """A client that does not know about leases must not lose the run's lease id."""
    held = context.current.details.deployment_concurrency_lease_id
    if held is not None and context.details.deployment_concurrency_lease_id is None:
        context.changes["deployment_concurrency_lease_id"] = held
    return None


def take_slot(context: FlowContext) -> Stop | None:
    """Entering PENDING takes a slot of the deployment's limit, if there is one."""
    run, facts = context.run, context.facts
    if run.deployment_id is None or _is_unlimited_client(facts):
        return None
    if not facts.deployment_exists:
        return abort("Deployment not found.")
    limit = facts.limit
    if limit is None or not limit.active:
        return None
    if limit.limit <= 0:
        return abort("The deployment concurrency limit is 0. The flow will deadlock if submitted again.")
    if _used_by_others(limit, facts) >= limit.limit:
        return _refuse_full(context, limit)
    _acquire(context, limit, limit.grace_seconds)
    return None


def validate_slot(context: FlowContext) -> Stop | None:
    """PENDING -> RUNNING: extend the slot's life; if it ran out while provisioning, take another one or end."""
    facts, limit = context.facts, context.facts.limit
    lease = context.current.details.deployment_concurrency_lease_id
    if lease is None:
        return None
    context.changes["deployment_concurrency_lease_id"] = lease
    if context.run.deployment_id is None or limit is None or not _knows_leases(facts):
        return None
    if _may_go_on(facts, limit):
        _acquire(context, limit, limit.grace_seconds)
    elif limit.active:
        cancelled = Proposal(StateType.CANCELLED, "Cancelled", message=_SLOT_LOST)
        return substitute(cancelled, "Deployment concurrency limit reached after lease expiry.")
    return None


def hold_without_lease(context: FlowContext) -> Stop | None:
    """A client that never renews leases holds its slot until the run ends, not until a time.

    Nothing stops such a client: it goes on even if its slot ran out and no other is free.
    """
    facts, limit = context.facts, context.facts.limit
    had_slot = facts.holds_slot or context.current.details.deployment_concurrency_lease_id is not None
    if had_slot and limit is not None and not _knows_leases(facts) and _may_go_on(facts, limit):
        _acquire(context, limit, None)
    return None


def cancel_late(context: FlowContext) -> Stop | None:
    """A run about to be marked late, of a deployment that refuses new runs when full, is cancelled instead."""
    limit = context.facts.limit
    if (
        context.name == "Late"
        and limit is not None
        and limit.active
        and limit.strategy == "CANCEL_NEW"
        and limit.in_use >= limit.limit
    ):
        return substitute(Proposal(StateType.CANCELLED, "Cancelled", message=_LIMIT_REACHED), _LIMIT_REACHED)
    return None


def frees_slot(context: FlowContext, new: State) -> bool:
    """Whether persisting ``new`` has to free what the run holds, or may still hold: a lapsed lease can be renewed."""
    if context.keeps_slot or (may_hold_slot(new) and new.type is not StateType.SCHEDULED):
        return False
    if context.facts.holds_slot:
        return True
    return context.run.deployment_id is not None and context.old is not None and may_hold_slot(context.old)


def _may_go_on(facts: FlowRunFacts, limit: DeploymentLimit) -> bool:
    """Whether a run that once had a slot has it still, or finds another."""
    return facts.holds_slot or (limit.active and limit.in_use < limit.limit)


def _acquire(context: FlowContext, limit: DeploymentLimit, ttl_seconds: float | None) -> None:
    held = context.facts.holds_slot
    lease = (context.facts.held_lease_id if held else None) or context.inputs.lease_id
    context.take = SlotTake((limit.id,), lease, ttl_seconds, renew_only=held)
    context.changes["deployment_concurrency_lease_id"] = lease


def _refuse_full(context: FlowContext, limit: DeploymentLimit) -> Stop:
    if limit.strategy == "CANCEL_NEW":
        return substitute(Proposal(StateType.CANCELLED, "Cancelled", message=_LIMIT_REACHED), _LIMIT_REACHED)
    if context.run.policy.retry_type == "in_process":
        # The run goes back to the workers, and they pass over runs that retry in their own process.
        context.replacement_policy = replace(context.run.policy, retry_type="reschedule")
    due = context.inputs.now + timedelta(seconds=context.facts.slot_wait_seconds)
    waiting = Proposal(StateType.SCHEDULED, AWAITING_SLOT, details=StateDetails(scheduled_time=due))
    return substitute(waiting, _LIMIT_REACHED)


def _used_by_others(limit: DeploymentLimit, facts: FlowRunFacts) -> int:
    return limit.in_use - 1 if facts.holds_slot else limit.in_use


def _knows_leases(facts: FlowRunFacts) -> bool:
    return facts.client_version is not None and facts.client_version >= _LEASING_CLIENT


def _is_unlimited_client(facts: FlowRunFacts) -> bool:
    if facts.client_version is None:
        return False
    text = facts.client_prerelease or ".".join(str(part) for part in facts.client_version)
    return text in _UNLIMITED_CLIENTS
