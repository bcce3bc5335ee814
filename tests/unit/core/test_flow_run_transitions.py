"""Flow-run rules against the transition table and its footnotes (pauses and slots have files of their own)."""

from datetime import timedelta

import pytest

from sempre.core.states import Claimant, StateDetails, StateType
from sempre.core.transitions import (
    FlowRun,
    FlowRunFacts,
    FlowRunPolicy,
    Policy,
    Status,
    TaskRun,
    decide_flow_run,
    mirror_write,
)
from tests.unit.core.builders import EARLIER, NOW, at, inputs, limit, outcome, propose, state, uid

T = StateType
TYPES = list(StateType)
NEW = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING", "COMPLETED", "FAILED", "CRASHED", "CANCELLED")
RESULT = {"type": "reference", "path": "x"}
NO_RESULT = {"type": "unpersisted"}

# Columns as NEW. C = R>CANCELLED.
PLAIN = {
    "SCHEDULED": "A  A  A  R0 C  A  A  A  A",
    "PENDING": "A  Ab A  R0 A  A  A  A  A",
    "RUNNING": "A  Ab A  A  A  A  A  A  A",
    "PAUSED": "A  R0 A  R0 A  A  A  A  A",
    "CANCELLING": "R0 R0 R0 R0 R0 R0 R0 R0 A",
    "COMPLETED": "Ab A  A  Ab Ab A  A  Ab A",
    "FAILED": "Ab A  A  Ab Ab A  A  Ab A",
    "CRASHED": "Ab A  A  Ab Ab A  A  Ab A",
    "CANCELLED": "Ab Ab A  Ab Ab A  A  Ab A",
}
DEPLOYED = PLAIN | {
    "COMPLETED": "A  A  A  Ab Ab A  A  Ab A",
    "FAILED": "A  A  A  Ab Ab A  A  Ab A",
    "CRASHED": "A  A  A  Ab Ab A  A  Ab A",
    "CANCELLED": "A  Ab A  Ab Ab A  A  Ab A",
}
FORCED = dict.fromkeys(PLAIN, "A A A A A A A A A") | {"SCHEDULED": "A A A A C A A A A"}


def cells() -> list[tuple[str, T, T, str]]:
    tables = {"plain": PLAIN, "deployed": DEPLOYED, "forced": FORCED}
    return [
        (kind, T(old), T(new), cell.replace("C", "R>CANCELLED"))
        for kind, table in tables.items()
        for old, row in table.items()
        for new, cell in zip(NEW, row.split(), strict=True)
    ]


@pytest.mark.parametrize(("kind", "old", "new", "expected"), cells())
def test_table(kind: str, old: T, new: T, expected: str) -> None:
    run = FlowRun(uid(), state(old), deployment_id=None if kind == "plain" else uid())
    policy = Policy.FORCED if kind == "forced" else Policy.CORE
    decision = decide_flow_run(run, propose(new), FlowRunFacts(), inputs(), policy)
    assert outcome(decision) == expected
    if decision.write is not None:
        assert decision.write.run.state is decision.write.state
        assert decision.write.state.details.flow_run_id == run.id
        assert (decision.reason is None) == (decision.status is Status.ACCEPT)
    else:
        assert decision.reason


@pytest.mark.parametrize("new", TYPES)
def test_a_new_run_takes_any_first_state_by_force(new: T) -> None:
    decision = decide_flow_run(FlowRun(uid(), None), propose(new), FlowRunFacts(), inputs(), Policy.FORCED)
    assert decision.status is Status.ACCEPT
    assert decision.write is not None
    assert decision.write.state.timestamp == NOW


def test_a_run_without_state_is_not_paused() -> None:
    decision = decide_flow_run(FlowRun(uid(), None), propose(T.PAUSED), FlowRunFacts(), inputs())
    assert outcome(decision) == "Ab"
    assert decision.reason == "Cannot pause flows with no state."


# --- single rules --------------------------------------------------------------------------------------


def test_a_repeated_transition_id_returns_the_state_it_made() -> None:
    transition = uid()
    run = FlowRun(uid(), state(T.COMPLETED, transition_id=transition))
    decision = decide_flow_run(run, propose(T.COMPLETED, transition_id=transition), FlowRunFacts(), inputs())
    assert outcome(decision) == "R0"
    assert decision.reason == "This run has already made this state transition."
    assert outcome(decide_flow_run(run, propose(T.COMPLETED, transition_id=uid()), FlowRunFacts(), inputs())) == "A"


def test_a_proposal_that_arrives_late_does_not_revive_a_finished_run() -> None:
    """The client repeated it elsewhere and went on; then the server that was frozen reads its first request."""
    transition = uid()
    run = FlowRun(uid(), state(T.COMPLETED, transition_id=uid()))
    facts = FlowRunFacts(transitions_made=frozenset({str(transition)}))
    assert outcome(decide_flow_run(run, propose(T.RUNNING, transition_id=transition), facts, inputs())) == "R0"
    assert outcome(decide_flow_run(run, propose(T.RUNNING, transition_id=uid()), facts, inputs())) == "A"


@pytest.mark.parametrize("ended", [T.COMPLETED, T.FAILED, T.CRASHED])
def test_a_worker_that_saw_a_run_waiting_does_not_run_it_again(ended: T) -> None:
    """Whoever wants the run again schedules it, or says so as somebody else."""
    run = FlowRun(uid(), state(ended), deployment_id=uid(), run_count=1)
    worker = FlowRunFacts(proposer=Claimant("w"))
    assert outcome(decide_flow_run(run, propose(T.PENDING), worker, inputs())) == "Ab"
    assert outcome(decide_flow_run(run, propose(T.SCHEDULED), worker, inputs())) == "A"
    assert outcome(decide_flow_run(run, propose(T.PENDING), FlowRunFacts(), inputs())) == "A"
    never_run = FlowRun(uid(), state(ended), deployment_id=uid())
    assert outcome(decide_flow_run(never_run, propose(T.PENDING), worker, inputs())) == "A"


def test_a_substituted_state_carries_the_transition_id_too() -> None:
    """So a repeated FAILED whose answer was AwaitingRetry is told so again, instead of ending the run."""
    transition = uid()
    run = FlowRun(uid(), state(T.RUNNING), policy=FlowRunPolicy(retries=1, retry_delay=0), run_count=1)
    first = decide_flow_run(run, propose(T.FAILED, transition_id=transition), FlowRunFacts(), inputs())
    assert first.write is not None
    assert first.write.state.name == "AwaitingRetry"
    again = decide_flow_run(first.write.run, propose(T.FAILED, transition_id=transition), FlowRunFacts(), inputs())
    assert outcome(again) == "R0"


@pytest.mark.parametrize(
    ("name", "expected"), [("Submitting", "A"), ("InfrastructurePending", "A"), ("Pending", "Ab"), ("Queued", "Ab")]
)
def test_pending_may_only_be_renamed(name: str, expected: str) -> None:
    lease = uid()
    old = state(T.PENDING, "Queued", scheduled_time=NOW, deployment_concurrency_lease_id=lease)
    decision = decide_flow_run(FlowRun(uid(), old), propose(T.PENDING, name), FlowRunFacts(), inputs())
    assert outcome(decision) == expected
    if decision.write is not None:
        assert decision.write.state.name == name
        assert decision.write.state.details.scheduled_time == NOW
        assert decision.write.state.details.deployment_concurrency_lease_id == lease
    else:
        assert decision.reason == "This run is in a PENDING state and cannot transition to a PENDING state."


@pytest.mark.parametrize(
    ("old", "pid", "expected"),
    [
        (state(T.SCHEDULED), None, "R>CANCELLED"),
        (state(T.SCHEDULED), "host:1", "A"),
        (state(T.SCHEDULED, "Resuming"), "host:1", "R>CANCELLED"),
        (state(T.PAUSED, "Suspended", pause_reschedule=True), "host:1", "R>CANCELLED"),
        (state(T.PAUSED), None, "A"),
        (state(T.PENDING), None, "A"),
    ],
)
@pytest.mark.parametrize("policy", [Policy.CORE, Policy.FORCED])
def test_cancelling_what_has_no_infrastructure(old: object, pid: str | None, expected: str, policy: Policy) -> None:
    run = FlowRun(uid(), old, deployment_id=uid(), infrastructure_pid=pid)  # type: ignore[arg-type]
    decision = decide_flow_run(run, propose(T.CANCELLING), FlowRunFacts(), inputs(), policy)
    assert outcome(decision) == expected
    if expected != "A":
        word = "Suspended" if run.state and run.state.type is T.PAUSED else "Scheduled"
        assert decision.reason == f"{word} flow run has no infrastructure to terminate."


@pytest.mark.parametrize("new", TYPES)
def test_a_persisted_result_is_not_left_for_a_new_attempt(new: T) -> None:
    """Footnotes 6 and 7; only a mapping with something in it describes a result."""
    run = FlowRun(uid(), state(T.COMPLETED, data=RESULT), deployment_id=uid())
    decision = decide_flow_run(run, propose(new), FlowRunFacts(), inputs())
    kept = new in (T.SCHEDULED, T.PENDING, T.RUNNING, T.COMPLETED)
    aborted = new in (T.PAUSED, T.CANCELLING, T.CRASHED)
    assert outcome(decision) == ("R0" if kept else "Ab" if aborted else "A")
    for empty in (None, NO_RESULT, {}, ["a", "list"], 0):
        run = FlowRun(uid(), state(T.COMPLETED, data=empty), deployment_id=uid())
        expected = DEPLOYED["COMPLETED"].split()[NEW.index(new.value)]
        assert outcome(decide_flow_run(run, propose(new), FlowRunFacts(), inputs())) == expected


@pytest.mark.parametrize("policy", [Policy.CORE, Policy.FORCED])
def test_a_result_is_only_overwritten_by_a_result(policy: Policy) -> None:
    run = FlowRun(uid(), state(T.COMPLETED, data=RESULT))
    for data, expected in ((None, "R0"), (NO_RESULT, "R0"), (RESULT, "A"), ({}, "A"), ([1], "R0")):
        assert (
            outcome(decide_flow_run(run, propose(T.COMPLETED, data=data), FlowRunFacts(), inputs(), policy)) == expected
        )
    assert outcome(decide_flow_run(run, propose(T.FAILED), FlowRunFacts(), inputs(), policy)) == "A"


@pytest.mark.parametrize(("new", "retry_type"), [(T.SCHEDULED, "reschedule"), (T.PENDING, None), (T.RUNNING, None)])
def test_running_again_starts_with_a_clean_policy(new: T, retry_type: str | None) -> None:
    policy = FlowRunPolicy(retries=2, pause_keys=("k",), resuming=True, retry_type="in_process")
    run = FlowRun(uid(), state(T.FAILED), policy, deployment_id=uid(), run_count=3, end_time=EARLIER)
    after = written(run, new)
    assert after.policy == FlowRunPolicy(retries=2, retry_type=retry_type)  # type: ignore[arg-type]
    assert after.end_time is None
    assert after.run_count == (4 if new is T.RUNNING else 3)
    forced = decide_flow_run(run, propose(T.PENDING), FlowRunFacts(), inputs(), Policy.FORCED)
    assert forced.write is not None
    assert forced.write.run.policy == policy


def test_a_restart_that_is_put_off_for_a_slot_can_be_polled_again() -> None:
    policy = FlowRunPolicy(pause_keys=("k",), retry_type="in_process")
    run = FlowRun(uid(), state(T.FAILED), policy, deployment_id=uid())
    decision = decide_flow_run(run, propose(T.PENDING), FlowRunFacts(limit=limit(1, 1)), inputs())
    assert outcome(decision) == "R>SCHEDULED"
    assert decision.write is not None
    assert decision.write.run.policy == FlowRunPolicy(pause_keys=("k",), retry_type="reschedule")


@pytest.mark.parametrize(
    ("old", "expected", "reason"),
    [
        (state(T.SCHEDULED), "A", None),
        (state(T.SCHEDULED, "Late"), "R0", "This flow run is already marked late."),
        (state(T.RUNNING), "R0", "Only scheduled flows can be marked late."),
    ],
)
@pytest.mark.parametrize("policy", [Policy.CORE, Policy.LATE])
def test_late_is_for_waiting_runs_once(old: object, expected: str, reason: str | None, policy: Policy) -> None:
    run = FlowRun(uid(), old, deployment_id=uid())  # type: ignore[arg-type]
    decision = decide_flow_run(run, propose(T.SCHEDULED, "Late"), FlowRunFacts(), inputs(), policy)
    assert (outcome(decision), decision.reason) == (expected, reason)


@pytest.mark.parametrize(
    ("deployment_limit", "expected"),
    [
        (limit(1, 1, cancel_new=True), "R>CANCELLED"),
        (limit(2, 1, cancel_new=True), "A"),
        (limit(1, 1, cancel_new=True, active=False), "A"),
        (limit(1, 1), "A"),
        (None, "A"),
    ],
)
def test_late_runs_of_a_full_deployment_that_refuses(deployment_limit: object, expected: str) -> None:
    run = FlowRun(uid(), state(T.SCHEDULED), deployment_id=uid())
    facts = FlowRunFacts(limit=deployment_limit)  # type: ignore[arg-type]
    decision = decide_flow_run(run, propose(T.SCHEDULED, "Late", scheduled_time=NOW), facts, inputs(), Policy.LATE)
    assert outcome(decision) == expected
    if expected != "A":
        assert decision.write is not None
        assert decision.write.state.message == decision.reason == "Deployment concurrency limit reached."


@pytest.mark.parametrize(
    ("seconds", "delay"),
    [(10.7, 11), (1.9, 2), (1.4, 1), (0.9, 1), (86400.2, 86400), (0.4, None), (0, None), (-5, None)],
)
@pytest.mark.parametrize("old", [T.SCHEDULED, T.PENDING])
def test_running_waits_for_the_scheduled_time(old: T, seconds: float, delay: int | None) -> None:
    run = FlowRun(uid(), state(old, scheduled_time=at(seconds)))
    decision = decide_flow_run(run, propose(T.RUNNING), FlowRunFacts(), inputs())
    assert (outcome(decision), decision.delay_seconds) == ("A" if delay is None else "W", delay)
    assert outcome(decide_flow_run(run, propose(T.RUNNING), FlowRunFacts(), inputs(), Policy.FORCED)) == "A"


def test_pending_keeps_the_scheduled_time_unless_it_brings_its_own() -> None:
    run = FlowRun(uid(), state(T.SCHEDULED, scheduled_time=at(60)), next_scheduled_start_time=at(60))
    after = written(run, T.PENDING)
    assert after.state is not None
    assert after.state.details.scheduled_time == at(60)
    assert after.next_scheduled_start_time is None
    decision = decide_flow_run(run, propose(T.PENDING, scheduled_time=at(5)), FlowRunFacts(), inputs())
    assert decision.write is not None
    assert decision.write.state.details.scheduled_time == at(5)


# --- derived columns -----------------------------------------------------------------------------------


def written(run: FlowRun, new: T, seconds: float = 0, **details: object) -> FlowRun:
    decision = decide_flow_run(run, propose(new, **details), FlowRunFacts(), inputs(at(seconds)))  # type: ignore[arg-type]
    assert decision.status is Status.ACCEPT
    assert decision.write is not None
    return decision.write.run


def test_times_of_a_whole_life() -> None:
    run = FlowRun(uid(), None, deployment_id=uid())
    run = written(run, T.SCHEDULED, 0, scheduled_time=at(5))
    assert (run.expected_start_time, run.next_scheduled_start_time, run.start_time) == (at(5), at(5), None)
    run = written(run, T.PENDING, 6)
    assert run.next_scheduled_start_time is None
    run = written(run, T.RUNNING, 7)
    assert (run.start_time, run.run_count, run.total_run_time) == (at(7), 1, 0.0)
    run = written(run, T.RUNNING, 9)
    assert (run.start_time, run.run_count, run.total_run_time) == (at(7), 2, 2.0)
    run = written(run, T.COMPLETED, 10.5)
    assert (run.end_time, run.total_run_time, run.expected_start_time) == (at(10.5), 3.5, at(5))
    run = written(run, T.FAILED, 20)
    assert (run.end_time, run.total_run_time) == (at(10.5), 3.5)
    run = written(run, T.SCHEDULED, 30, scheduled_time=at(40))
    assert (run.end_time, run.start_time) == (None, at(7))
    assert (run.expected_start_time, run.next_scheduled_start_time) == (at(5), at(40))


def test_a_run_that_never_started_starts_and_ends_when_it_is_cancelled() -> None:
    run = written(FlowRun(uid(), state(T.SCHEDULED)), T.CANCELLED, 3)
    assert run.start_time == run.end_time == at(3)


def test_scheduled_without_a_time_is_due_at_once() -> None:
    assert written(FlowRun(uid(), None), T.SCHEDULED, 3).next_scheduled_start_time == at(3)


@pytest.mark.parametrize("behind", [timedelta(0), timedelta(seconds=7)])
def test_timestamps_grow_even_if_the_clock_does_not(behind: timedelta) -> None:
    run = FlowRun(uid(), state(T.RUNNING, timestamp=NOW + behind))
    after = written(run, T.COMPLETED)
    assert after.state is not None
    assert after.state.timestamp == NOW + behind + timedelta(microseconds=1)
    assert after.total_run_time == pytest.approx(1e-6)


def test_ids_in_details_are_the_servers() -> None:
    run = FlowRun(uid(), state(T.PENDING), parent_task_run_id=uid())
    decision = decide_flow_run(run, propose(T.RUNNING, flow_run_id=uid(), task_run_id=uid()), FlowRunFacts(), inputs())
    assert decision.write is not None
    assert decision.write.state.details == StateDetails(flow_run_id=run.id, task_run_id=run.parent_task_run_id)


def test_unpersisted_data_is_left_in_the_decision() -> None:
    decision = decide_flow_run(
        FlowRun(uid(), state(T.RUNNING)), propose(T.COMPLETED, data=NO_RESULT), FlowRunFacts(), inputs()
    )
    assert decision.write is not None
    assert decision.write.state.data == NO_RESULT


def test_a_subflow_is_mirrored_on_its_parent_task_run() -> None:
    given = inputs()
    run = FlowRun(uid(), state(T.RUNNING), parent_task_run_id=uid())
    decision = decide_flow_run(run, propose(T.COMPLETED, data=RESULT, message="done"), FlowRunFacts(), given)
    assert decision.write is not None
    mirror = decision.write.mirror
    assert mirror is not None
    assert (mirror.id, mirror.type, mirror.data, mirror.message) == (given.mirror_state_id, T.COMPLETED, RESULT, "done")
    assert mirror.details.child_flow_run_id == run.id
    assert decision.write.state.details.child_flow_run_id is None

    assert run.parent_task_run_id is not None
    parent = TaskRun(run.parent_task_run_id, state(T.RUNNING, timestamp=NOW), flow_run_id=uid(), run_count=1)
    write = mirror_write(parent, mirror)
    assert write.state.id == mirror.id
    assert write.state.timestamp > NOW
    assert (write.state.details.flow_run_id, write.state.details.task_run_id) == (parent.flow_run_id, parent.id)
    assert (write.run.run_count, write.run.end_time) == (1, write.state.timestamp)
    plain = FlowRun(uid(), state(T.RUNNING))
    lone = decide_flow_run(plain, propose(T.COMPLETED), FlowRunFacts(), given)
    assert lone.write is not None
    assert lone.write.mirror is None


def test_a_rejected_subflow_failure_mirrors_what_was_persisted() -> None:
    run = FlowRun(uid(), state(T.RUNNING), FlowRunPolicy(retries=1), parent_task_run_id=uid(), run_count=1)
    decision = decide_flow_run(run, propose(T.FAILED), FlowRunFacts(), inputs())
    assert decision.write is not None
    assert decision.write.mirror is not None
    assert decision.write.mirror.name == "AwaitingRetry"
