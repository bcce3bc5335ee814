"""Pausing, suspending and resuming flow runs."""

import pytest

from sempre.core.states import StateType
from sempre.core.transitions import (
    Decision,
    FlowRun,
    FlowRunFacts,
    FlowRunPolicy,
    Policy,
    Proposal,
    Status,
    decide_flow_run,
    resume_proposal,
)
from tests.unit.core.builders import NOW, at, inputs, outcome, propose, state, uid

T = StateType


def accepted(run: FlowRun, proposal: Proposal) -> FlowRun:
    decision = decide_flow_run(run, proposal, FlowRunFacts(), inputs())
    assert decision.status is Status.ACCEPT, decision.reason
    assert decision.write is not None
    return decision.write.run


def test_a_key_pauses_once() -> None:
    run = accepted(FlowRun(uid(), state(T.RUNNING)), propose(T.PAUSED, pause_key="k"))
    assert run.policy.pause_keys == ("k",)
    run = accepted(run, propose(T.RUNNING))
    for name, verb in (("Paused", "pause"), ("Suspended", "suspend")):
        decision = decide_flow_run(run, propose(T.PAUSED, name, pause_key="k"), FlowRunFacts(), inputs())
        assert (outcome(decision), decision.reason) == ("R0", f"This {verb} has already fired.")
    assert accepted(run, propose(T.PAUSED, pause_key="other")).policy.pause_keys == ("k", "other")


def test_pauses_without_key_always_fire() -> None:
    run = FlowRun(uid(), state(T.RUNNING))
    for _ in range(3):
        run = accepted(accepted(run, propose(T.PAUSED)), propose(T.RUNNING))
    assert len(set(run.policy.pause_keys)) == 3


@pytest.mark.parametrize(
    ("deployed", "parent", "reason"),
    [
        (True, False, None),
        (True, True, "Cannot suspend subflows."),
        (False, False, "Cannot suspend flows without a deployment."),
    ],
)
def test_who_may_suspend(deployed: bool, parent: bool, reason: str | None) -> None:
    """Footnote 4; a blocking pause is open to all of them."""
    run = FlowRun(
        uid(), state(T.RUNNING), deployment_id=uid() if deployed else None, parent_task_run_id=uid() if parent else None
    )
    decision = decide_flow_run(run, propose(T.PAUSED, "Suspended", pause_reschedule=True), FlowRunFacts(), inputs())
    assert (outcome(decision), decision.reason) == ("A" if reason is None else "Ab", reason)
    accepted(run, propose(T.PAUSED))


@pytest.mark.parametrize("new", [T.RUNNING, T.SCHEDULED, T.COMPLETED, T.FAILED, T.CRASHED, T.CANCELLED])
def test_past_its_deadline_a_pause_can_only_fail(new: T) -> None:
    """Footnote 5."""
    run = FlowRun(uid(), state(T.PAUSED, pause_timeout=at(-1)), deployment_id=uid())
    decision = decide_flow_run(run, propose(new), FlowRunFacts(), inputs())
    assert outcome(decision) == "R>FAILED"
    assert decision.reason == "The flow run pause has timed out and can no longer resume."
    assert decision.write is not None
    assert decision.write.state.message == f"The flow was {new.value.lower()} and never resumed."
    assert decision.write.run.policy.resuming is True


@pytest.mark.parametrize("pause_timeout", [None, at(1), NOW])
def test_before_its_deadline_a_pause_resumes(pause_timeout: object) -> None:
    run = FlowRun(uid(), state(T.PAUSED, pause_timeout=pause_timeout))
    assert accepted(run, propose(T.RUNNING)).policy.resuming is True


def test_an_expired_pause_can_be_cancelled() -> None:
    run = FlowRun(uid(), state(T.PAUSED, pause_timeout=at(-1)))
    assert accepted(run, propose(T.CANCELLING)).policy.resuming is True


def test_refusals_name_the_types() -> None:
    paused = FlowRun(uid(), state(T.PAUSED))
    decision = decide_flow_run(paused, propose(T.PENDING), FlowRunFacts(), inputs())
    assert decision.reason == (
        "This run cannot transition to the StateType.PENDING state from the StateType.PAUSED state."
    )
    pending = FlowRun(uid(), state(T.PENDING))
    decision = decide_flow_run(pending, propose(T.PAUSED), FlowRunFacts(), inputs())
    assert decision.reason == "Cannot pause flows that are not currently running."


@pytest.mark.parametrize("new", [T.RUNNING, T.SCHEDULED, T.COMPLETED, T.FAILED, T.CRASHED, T.CANCELLED])
def test_a_suspended_run_needs_its_deployment(new: T) -> None:
    run = FlowRun(uid(), state(T.PAUSED, pause_reschedule=True))
    decision = decide_flow_run(run, propose(new), FlowRunFacts(), inputs())
    assert outcome(decision) == "R0"
    assert decision.reason == f"Cannot reschedule a {new.value.lower()} flow run without a deployment."
    assert outcome(decide_flow_run(run, propose(new), FlowRunFacts(), inputs(), Policy.FORCED)) == "A"


def test_a_blocking_resume_counts_the_first_time_only() -> None:
    """Clients read the count as it has always been: flagged as resuming after, not before, the first resume."""
    run = accepted(FlowRun(uid(), state(T.PENDING)), propose(T.RUNNING))
    counts = []
    for key in "abc":
        run = accepted(accepted(run, propose(T.PAUSED, pause_key=key)), propose(T.RUNNING))
        counts.append(run.run_count)
        assert run.policy.resuming is True
    assert counts == [2, 2, 2]


def test_a_suspended_run_resumes_without_counting() -> None:
    run = FlowRun(uid(), state(T.RUNNING), deployment_id=uid(), run_count=1)
    run = accepted(run, propose(T.PAUSED, "Suspended", pause_reschedule=True))
    proposal = resume_proposal(run, NOW)
    assert isinstance(proposal, Proposal)
    assert (proposal.type, proposal.name, proposal.details.scheduled_time) == (T.SCHEDULED, "Resuming", NOW)
    run = accepted(run, proposal)
    assert run.policy.resuming is True
    run = accepted(accepted(run, propose(T.PENDING)), propose(T.RUNNING))
    assert (run.run_count, run.policy.resuming) == (1, False)


def test_resuming_a_blocking_pause_proposes_running() -> None:
    proposal = resume_proposal(FlowRun(uid(), state(T.PAUSED)), NOW)
    assert proposal == Proposal(T.RUNNING, "Running")


@pytest.mark.parametrize("old", [None, *(type for type in T if type is not T.PAUSED)])
def test_only_paused_runs_resume(old: T | None) -> None:
    refused = resume_proposal(FlowRun(uid(), state(old) if old else None), NOW)
    assert refused == Decision(Status.ABORT, reason="Cannot resume a flow run that is not paused.")


def test_pausing_leaves_other_policy_alone() -> None:
    policy = FlowRunPolicy(retries=3, retry_delay=2, retry_type="in_process")
    run = accepted(FlowRun(uid(), state(T.RUNNING), policy), propose(T.PAUSED, pause_key="k"))
    assert run.policy == FlowRunPolicy(retries=3, retry_delay=2, retry_type="in_process", pause_keys=("k",))
