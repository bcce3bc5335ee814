"""Slots of deployment limits: taken at PENDING, validated at RUNNING, freed when the process ends."""

from dataclasses import replace
from typing import Any

import pytest

from sempre.core.states import State, StateType
from sempre.core.transitions import (
    Decision,
    FlowRun,
    FlowRunFacts,
    FlowRunPolicy,
    FlowRunWrite,
    Policy,
    Proposal,
    SlotTake,
    decide_flow_run,
)
from tests.unit.core.builders import at, inputs, limit, outcome, propose, state, uid

T = StateType
NEW_CLIENT = (3, 8, 8)


def decide(
    old: State, proposal: Proposal, policy: Policy = Policy.CORE, run_policy: FlowRunPolicy | None = None, **facts: Any
) -> Decision[FlowRunWrite]:
    facts.setdefault("client_version", NEW_CLIENT)
    run = FlowRun(uid(), old, run_policy or FlowRunPolicy(), deployment_id=uid(), run_count=1, infrastructure_pid="1")
    return decide_flow_run(run, proposal, FlowRunFacts(**facts), inputs(), policy)


def test_pending_takes_a_slot_with_a_fresh_lease() -> None:
    deployment_limit = limit(2, 1, grace_seconds=60)
    run = FlowRun(uid(), state(T.SCHEDULED, deployment_concurrency_lease_id=uid()), deployment_id=uid())
    given = inputs()
    decision = decide_flow_run(run, propose(T.PENDING), FlowRunFacts(limit=deployment_limit), given)
    assert decision.write is not None
    assert decision.write.take == SlotTake((deployment_limit.id,), given.lease_id, 60)
    assert decision.write.state.details.deployment_concurrency_lease_id == given.lease_id
    assert decision.write.release is False


@pytest.mark.parametrize("old", [T.COMPLETED, T.FAILED, T.CRASHED, T.SCHEDULED])
def test_a_full_limit_puts_off(old: T) -> None:
    decision = decide(state(old), propose(T.PENDING), limit=limit(1, 1), slot_wait_seconds=7)
    assert outcome(decision) == "R>SCHEDULED"
    assert decision.reason == "Deployment concurrency limit reached."
    write = decision.write
    assert write is not None
    assert (write.state.name, write.state.details.scheduled_time) == ("AwaitingConcurrencySlot", at(7))
    assert (write.run.next_scheduled_start_time, write.take) == (at(7), None)


def test_a_full_limit_may_cancel() -> None:
    decision = decide(state(T.SCHEDULED), propose(T.PENDING), limit=limit(1, 1, cancel_new=True))
    assert outcome(decision) == "R>CANCELLED"
    assert decision.write is not None
    assert decision.write.state.message == decision.reason == "Deployment concurrency limit reached."


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"limit": limit(0)}, "Ab"),
        ({"limit": limit(0, active=False)}, "A"),
        ({"limit": limit(1, 1, active=False)}, "A"),
        ({"limit": None}, "A"),
        ({"deployment_exists": False}, "Ab"),
    ],
)
def test_limits_that_take_no_slot(facts: dict[str, Any], expected: str) -> None:
    decision = decide(state(T.SCHEDULED), propose(T.PENDING), **facts)
    assert outcome(decision) == expected
    assert decision.write is None or decision.write.take is None


@pytest.mark.parametrize(
    ("version", "text", "expected"),
    [
        ((3, 0, 0), "3.0.0rc20", "A"),
        ((3, 0, 0), None, "A"),
        ((3, 0, 3), "3.0.3", "A"),
        ((3, 0, 0), "3.0.0rc19", "R>SCHEDULED"),
        ((3, 0, 4), None, "R>SCHEDULED"),
        (None, None, "R>SCHEDULED"),
    ],
)
def test_a_few_old_clients_are_not_limited(version: Any, text: str | None, expected: str) -> None:
    decision = decide(
        state(T.SCHEDULED), propose(T.PENDING), limit=limit(1, 1), client_version=version, client_prerelease=text
    )
    assert outcome(decision) == expected


def test_asking_again_for_a_held_slot_renews_it() -> None:
    lease = uid()
    old = state(T.SCHEDULED, "AwaitingRetry", deployment_concurrency_lease_id=lease)
    decision = decide(old, propose(T.PENDING), limit=limit(1, 1), holds_slot=True, held_lease_id=lease)
    assert outcome(decision) == "A"
    assert decision.write is not None
    assert decision.write.take is not None
    assert (decision.write.take.lease_id, decision.write.take.renew_only) == (lease, True)
    # A limit lowered below what others hold leaves no room for this run: it gives its slot back.
    full = decide(old, propose(T.PENDING), limit=limit(1, 2), holds_slot=True, held_lease_id=lease)
    assert outcome(full) == "R>SCHEDULED"
    assert full.write is not None
    assert full.write.release is True


def test_renaming_pending_neither_takes_nor_frees() -> None:
    old = state(T.PENDING, deployment_concurrency_lease_id=uid())
    decision = decide(old, propose(T.PENDING, "Submitting"), limit=limit(1, 1), holds_slot=True)
    assert decision.write is not None
    assert (decision.write.take, decision.write.release) == (None, False)
    assert decision.write.state.details.deployment_concurrency_lease_id == old.details.deployment_concurrency_lease_id


def test_a_suspended_run_is_not_woken_by_a_full_limit() -> None:
    old = state(T.PAUSED, "Suspended", pause_reschedule=True)
    assert outcome(decide(old, propose(T.PENDING), limit=limit(1, 1))) == "R0"
    assert outcome(decide(old, propose(T.PENDING), limit=limit(0))) == "R0"


# --- PENDING -> RUNNING --------------------------------------------------------------------------------


def test_running_renews_the_slot() -> None:
    lease = uid()
    old = state(T.PENDING, deployment_concurrency_lease_id=lease)
    decision = decide(
        old, propose(T.RUNNING), limit=limit(1, 1, grace_seconds=90), holds_slot=True, held_lease_id=lease
    )
    assert decision.write is not None
    take = decision.write.take
    assert take is not None
    assert (take.lease_id, take.ttl_seconds, take.renew_only) == (lease, 90, True)
    assert decision.write.state.details.deployment_concurrency_lease_id == lease


def test_a_lapsed_slot_is_taken_again() -> None:
    old = state(T.PENDING, deployment_concurrency_lease_id=uid())
    decision = decide(old, propose(T.RUNNING), limit=limit(2, 1))
    assert decision.write is not None
    take = decision.write.take
    assert take is not None
    assert take.renew_only is False
    assert decision.write.state.details.deployment_concurrency_lease_id == take.lease_id
    assert take.lease_id != old.details.deployment_concurrency_lease_id


def test_a_lost_slot_cancels() -> None:
    """Footnote 3."""
    old = state(T.PENDING, deployment_concurrency_lease_id=uid())
    decision = decide(old, propose(T.RUNNING), limit=limit(1, 1))
    assert outcome(decision) == "R>CANCELLED"
    assert decision.reason == "Deployment concurrency limit reached after lease expiry."
    assert decision.write is not None
    assert decision.write.state.message == (
        "Deployment concurrency slot lost during provisioning - no slots available to continue execution"
    )
    assert outcome(decide(old, propose(T.RUNNING), limit=limit(1, 1, active=False))) == "A"
    assert outcome(decide(old, propose(T.RUNNING), limit=None)) == "A"
    assert outcome(decide(state(T.PENDING), propose(T.RUNNING), limit=limit(1, 1))) == "A"


@pytest.mark.parametrize("version", [None, (3, 4, 10)])
@pytest.mark.parametrize("new", [T.RUNNING, T.CANCELLING])
def test_clients_without_leases_hold_the_slot_until_the_end(version: Any, new: T) -> None:
    lease = uid()
    old = state(T.PENDING, deployment_concurrency_lease_id=lease)
    facts = {"limit": limit(1, 1), "held_lease_id": lease, "client_version": version}
    decision = decide(old, propose(new), holds_slot=True, **facts)
    assert decision.write is not None
    take = decision.write.take
    assert take is not None
    assert (take.ttl_seconds, take.renew_only, take.lease_id) == (None, True, lease)
    lapsed = decide(old, propose(new), **facts)
    assert lapsed.write is not None
    assert lapsed.write.take is None


def test_waiting_takes_nothing() -> None:
    lease = uid()
    old = state(T.PENDING, deployment_concurrency_lease_id=lease, scheduled_time=at(10))
    decision = decide(old, propose(T.RUNNING), limit=limit(1, 1), holds_slot=True, held_lease_id=lease)
    assert (outcome(decision), decision.write) == ("W", None)


# --- freeing -------------------------------------------------------------------------------------------

HOLDING = [
    state(T.PENDING),
    state(T.RUNNING),
    state(T.CANCELLING),
    state(T.PAUSED),
    state(T.SCHEDULED, "AwaitingRetry"),
]
KEEPS = {T.PENDING, T.RUNNING, T.CANCELLING}


@pytest.mark.parametrize("policy", [Policy.CORE, Policy.FORCED])
@pytest.mark.parametrize("new", list(T))
@pytest.mark.parametrize("old", HOLDING, ids=lambda old: old.name)
@pytest.mark.parametrize("deployment_limit", [None, limit(3, 1), limit(3, 1, active=False)])
def test_what_ends_the_process_frees_the_slot(old: State, new: T, policy: Policy, deployment_limit: Any) -> None:
    """Also when the limit is gone or inactive: freeing never stands in the way of a transition."""
    decision = decide(old, propose(new), policy, limit=deployment_limit)
    if decision.write is None:
        return
    kept = new in KEEPS or new is T.PAUSED
    assert decision.write.release is not kept
    if policy is Policy.FORCED:
        assert decision.write.take is None


def test_suspending_frees_and_blocking_keeps() -> None:
    for reschedule in (True, False):
        decision = decide(state(T.RUNNING), propose(T.PAUSED, pause_reschedule=reschedule), holds_slot=True)
        assert decision.write is not None
        assert decision.write.release is reschedule


def test_a_retry_in_the_process_keeps_slot_and_lease() -> None:
    lease = uid()
    old = state(T.RUNNING, deployment_concurrency_lease_id=lease)
    decision = decide(old, propose(T.FAILED), run_policy=FlowRunPolicy(retries=1), limit=limit(1, 1), holds_slot=True)
    assert decision.write is not None
    assert decision.write.state.name == "AwaitingRetry"
    assert decision.write.release is False
    assert decision.write.state.details.deployment_concurrency_lease_id == lease
    proposed = decide(old, propose(T.SCHEDULED, "AwaitingRetry"), limit=limit(1, 1), holds_slot=True)
    assert proposed.write is not None
    assert proposed.write.release is True


def test_the_end_after_a_waiting_retry_frees() -> None:
    old = state(T.SCHEDULED, "AwaitingRetry")
    decision = decide(old, propose(T.CANCELLED), limit=limit(1, 1))
    assert decision.write is not None
    assert decision.write.release is True


def test_runs_without_deployment_or_slot_free_nothing() -> None:
    run = FlowRun(uid(), state(T.RUNNING))
    decision = decide_flow_run(run, propose(T.COMPLETED), FlowRunFacts(), inputs())
    assert decision.write is not None
    assert decision.write.release is False
    never = decide_flow_run(
        replace(run, state=state(T.SCHEDULED), deployment_id=uid()), propose(T.CANCELLED), FlowRunFacts(), inputs()
    )
    assert never.write is not None
    assert never.write.release is False


def test_a_held_slot_is_freed_though_the_deployment_is_gone() -> None:
    run = FlowRun(uid(), state(T.RUNNING))
    decision = decide_flow_run(run, propose(T.COMPLETED), FlowRunFacts(holds_slot=True), inputs())
    assert decision.write is not None
    assert decision.write.release is True


def test_a_proposal_without_lease_id_does_not_drop_it() -> None:
    lease = uid()
    decision = decide(state(T.RUNNING, deployment_concurrency_lease_id=lease), propose(T.COMPLETED))
    assert decision.write is not None
    assert decision.write.state.details.deployment_concurrency_lease_id == lease
