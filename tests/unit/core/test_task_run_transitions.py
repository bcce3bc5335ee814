"""Task-run rules: everything is accepted but what the rules name."""

from dataclasses import replace
from typing import Any

import pytest

from sempre.core.states import State, StateDetails, StateType
from sempre.core.transitions import (
    CachedState,
    Decision,
    Policy,
    SlotTake,
    Status,
    TagLimit,
    TaskRun,
    TaskRunFacts,
    TaskRunPolicy,
    TaskRunWrite,
    decide_task_run,
)
from tests.unit.core.builders import EARLIER, NOW, at, inputs, outcome, propose, state, uid

T = StateType
TYPES = list(StateType)
TERMINAL = {T.COMPLETED, T.FAILED, T.CRASHED, T.CANCELLED}
SUBMITTED = {T.PENDING, T.RUNNING, T.CANCELLING, T.CANCELLED}
LOST = {T.CANCELLING, T.PAUSED, T.CRASHED}


def decide(old: State | None, new: T, policy: Policy = Policy.CORE, **details: Any) -> Decision[TaskRunWrite]:
    return decide_task_run(TaskRun(uid(), old), propose(new, **details), TaskRunFacts(), inputs(), policy)


@pytest.mark.parametrize("new", TYPES)
@pytest.mark.parametrize("old", [None, *TYPES])
@pytest.mark.parametrize("kind", ["core", "forced", "background", "forced background"])
def test_matrix(kind: str, old: T | None, new: T) -> None:
    policy = Policy.FORCED if "forced" in kind else Policy.CORE
    background = "background" in kind
    decision = decide(state(old) if old else None, new, policy, deferred=background)
    lost = kind != "forced" and old in TERMINAL and new in LOST
    pending_again = background and old in SUBMITTED and new is T.PENDING
    assert outcome(decision) == ("Ab" if lost or pending_again else "A")
    if lost:
        assert decision.reason == f"Run is already {old}."


@pytest.mark.parametrize("new", TYPES)
def test_a_result_is_never_left(new: T) -> None:
    for data in ({"type": "reference"}, [1, 2], "text"):
        decision = decide_task_run(
            TaskRun(uid(), state(T.COMPLETED, data=data)), propose(new), TaskRunFacts(), inputs()
        )
        assert outcome(decision) == ("Ab" if new in LOST else "R0")
    decision = decide(state(T.COMPLETED, data={"type": "unpersisted"}), new)
    assert outcome(decision) == ("Ab" if new in LOST else "A")


# --- names, counts, times ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "run_count", "attempts", "name", "count"),
    [
        (state(T.PENDING), 0, (0, 1), "Running", 1),
        (state(T.RUNNING), 1, (1, 1), "Rerunning", 2),
        (state(T.SCHEDULED, "AwaitingRetry"), 1, (1, 1), "Retrying", 2),
        (state(T.PENDING), 2, (1, 1), "Rerunning", 3),
        (state(T.FAILED), 3, (1, 1), "Running", 1),
        (state(T.FAILED), 3, (1, 2), "Retrying", 1),
        (state(T.COMPLETED), 1, (1, 2), "Retrying", 1),
    ],
)
def test_names_and_counts_of_attempts(
    old: State, run_count: int, attempts: tuple[int, int], name: str, count: int
) -> None:
    """A finished run that runs again counts from zero; ``attempts`` are the flow's, as the task knew and as it is."""
    flow_run = uid()
    run = TaskRun(uid(), old, flow_run_id=flow_run, run_count=run_count, flow_run_run_count=attempts[0])
    facts = TaskRunFacts(flow_run_run_count=attempts[1], flow_run_state=state(T.RUNNING))
    decision = decide_task_run(run, propose(T.RUNNING), facts, inputs())
    assert decision.write is not None
    assert (decision.write.state.name, decision.write.run.run_count) == (name, count)
    assert decision.write.run.flow_run_run_count == attempts[1]


def test_forced_running_counts_but_does_not_track_the_flow() -> None:
    run = TaskRun(uid(), state(T.FAILED), flow_run_id=uid(), run_count=3, flow_run_run_count=1)
    decision = decide_task_run(run, propose(T.RUNNING), TaskRunFacts(flow_run_run_count=2), inputs(), Policy.FORCED)
    assert decision.write is not None
    after = decision.write.run
    assert (decision.write.state.name, after.run_count, after.flow_run_run_count) == ("Running", 4, 1)


def test_a_reset_count_is_undone_with_the_attempt() -> None:
    run = TaskRun(uid(), state(T.FAILED), flow_run_id=uid(), run_count=3)
    facts = TaskRunFacts(flow_run_state=state(T.PAUSED, pause_timeout=at(9), pause_reschedule=True))
    decision = decide_task_run(run, propose(T.RUNNING), facts, inputs())
    assert decision.write is not None
    assert decision.write.run.run_count == 3


def test_derived_columns() -> None:
    run = TaskRun(uid(), state(T.RUNNING, timestamp=EARLIER), flow_run_id=uid(), task_key="k", tags=("a",), run_count=1)
    decision = decide_task_run(run, propose(T.COMPLETED, task_run_id=uid()), TaskRunFacts(), inputs())
    assert decision.write is not None
    after = decision.write.run
    assert after.state is decision.write.state
    assert decision.write.state.details == StateDetails(flow_run_id=run.flow_run_id, task_run_id=run.id)
    assert (after.start_time, after.end_time, after.total_run_time) == (NOW, NOW, 60.0)
    assert (after.task_key, after.tags, after.flow_run_id) == ("k", ("a",), run.flow_run_id)


def test_scheduled_times_are_waited_for_and_carried() -> None:
    waiting = state(T.SCHEDULED, scheduled_time=at(10.7))
    decision = decide(waiting, T.RUNNING)
    assert (outcome(decision), decision.delay_seconds, decision.reason) == ("W", 11, "Scheduled time is in the future")
    pending = decide(waiting, T.PENDING)
    assert pending.write is not None
    assert pending.write.state.details.scheduled_time == at(10.7)
    assert outcome(decide(pending.write.state, T.RUNNING)) == "W"
    assert outcome(decide(waiting, T.RUNNING, Policy.FORCED)) == "A"


# --- the flow around it --------------------------------------------------------------------------------


@pytest.mark.parametrize("flow", [None, *TYPES])
def test_a_task_runs_only_inside_a_running_flow(flow: T | None) -> None:
    run = TaskRun(uid(), state(T.PENDING), flow_run_id=uid())
    flow_state = state(flow, pause_timeout=at(5), pause_reschedule=True) if flow else None
    decision = decide_task_run(run, propose(T.RUNNING), TaskRunFacts(flow_run_state=flow_state), inputs())
    if flow is T.RUNNING:
        assert outcome(decision) == "A"
    elif flow is T.PAUSED:
        assert outcome(decision) == "R>PAUSED"
        assert decision.write is not None
        new = decision.write.state
        assert (new.name, new.details.pause_timeout, new.details.pause_reschedule) == ("NotReady", at(5), True)
        assert decision.reason == (
            f"The flow is paused, new tasks can execute after resuming flow run: {run.flow_run_id}."
        )
    else:
        assert outcome(decision) == "Ab"
        assert decision.reason == "The enclosing flow must be running to begin task execution."
    background = decide_task_run(
        run, propose(T.RUNNING, deferred=True), TaskRunFacts(flow_run_state=flow_state), inputs()
    )
    assert outcome(background) == "A"
    gone = TaskRunFacts(flow_run_exists=False)
    assert outcome(decide_task_run(run, propose(T.RUNNING), gone, inputs())) == "A"


# --- cache ---------------------------------------------------------------------------------------------


def test_a_cached_result_replaces_the_run() -> None:
    cached = CachedState(
        "Completed", "from then", {"type": "reference"}, StateDetails(task_run_id=uid(), cache_key="k")
    )
    facts = TaskRunFacts(cached=cached)
    run = TaskRun(uid(), state(T.PENDING))
    given = inputs()
    decision = decide_task_run(run, propose(T.RUNNING, cache_key="k"), facts, given)
    assert (outcome(decision), decision.reason) == ("R>COMPLETED", "Retrieved state from cache")
    assert decision.write is not None
    new, after = decision.write.state, decision.write.run
    assert (new.id, new.name, new.message, new.data) == (given.state_id, "Cached", "from then", cached.data)
    assert (new.details.task_run_id, new.details.cache_key) == (run.id, "k")
    assert (after.run_count, after.start_time, after.end_time) == (0, NOW, NOW)
    assert decision.write.cache is None
    refreshed = propose(T.RUNNING, cache_key="k", refresh_cache=True)
    assert outcome(decide_task_run(run, refreshed, facts, given)) == "A"
    assert outcome(decide_task_run(run, propose(T.RUNNING), facts, given)) == "A"
    assert outcome(decide_task_run(run, propose(T.RUNNING, cache_key="k"), TaskRunFacts(), given)) == "A"
    assert outcome(decide_task_run(run, propose(T.RUNNING, cache_key="k"), facts, given, Policy.FORCED)) == "A"


def test_completed_states_are_remembered_by_their_key() -> None:
    decision = decide(state(T.RUNNING), T.COMPLETED, cache_key="k", cache_expiration=at(60))
    assert decision.write is not None
    assert decision.write.cache == ("k", at(60))
    for other in (
        decide(state(T.RUNNING), T.COMPLETED),
        decide(state(T.RUNNING), T.FAILED, cache_key="k"),
        decide(state(T.RUNNING), T.COMPLETED, Policy.FORCED, cache_key="k"),
    ):
        assert other.write is not None
        assert other.write.cache is None


def test_a_cache_key_that_is_too_long_completes_without_caching() -> None:
    decision = decide(state(T.RUNNING), T.COMPLETED, cache_key="k" * 2001)
    assert outcome(decision) == "R>COMPLETED"
    assert decision.reason == "Cache key exceeded maximum allowed length of 2000 characters."
    assert decision.write is not None
    assert (decision.write.cache, decision.write.state.name) == (None, "Completed")
    longest = decide(state(T.RUNNING), T.COMPLETED, cache_key="k" * 2000)
    assert outcome(longest) == "A"


# --- tag limits ----------------------------------------------------------------------------------------


def tag(name: str, size: int, in_use: int, **other: Any) -> TagLimit:
    return TagLimit(uid(), name, size, other.pop("active", True), in_use, **other)


def run_with(limits: tuple[TagLimit, ...], old: State | None = None, draw: float = 0.5) -> Decision[TaskRunWrite]:
    run = TaskRun(uid(), old or state(T.PENDING), tags=tuple(limit.tag for limit in limits))
    return decide_task_run(run, propose(T.RUNNING), TaskRunFacts(tag_limits=limits), inputs(draw=draw))


def test_running_takes_a_slot_of_each_active_limit() -> None:
    a, b, off = tag("a", 1, 0), tag("b", 2, 1), tag("c", 1, 1, active=False)
    decision = run_with((b, a, off))
    assert decision.write is not None
    take = decision.write.take
    assert take is not None
    assert take == SlotTake(tuple(sorted([a.id, b.id])), take.lease_id, None)
    assert decision.write.release is False
    without = run_with((off,))
    assert without.write is not None
    assert without.write.take is None


def test_one_full_limit_takes_none() -> None:
    decision = run_with((tag("b", 1, 1), tag("a", 5, 0)))
    assert (outcome(decision), decision.write) == ("W", None)
    assert decision.reason == "Concurrency limit reached for tags: a, b"


def test_a_zero_limit_aborts_before_anything_else() -> None:
    decision = run_with((tag("a", 1, 1), tag("z", 0, 0)))
    assert outcome(decision) == "Ab"
    assert decision.reason == (
        'The concurrency limit on tag "z" is 0 and will deadlock if the task tries to run again.'
    )
    assert outcome(run_with((tag("z", 0, 0, active=False),))) == "A"


def test_a_held_slot_is_not_waited_for() -> None:
    full = tag("a", 1, 1, held=True)
    decision = run_with((full,), state(T.RUNNING))
    assert decision.write is not None
    assert (decision.write.take, decision.write.release) == (None, False)
    other = tag("b", 1, 0)
    both = run_with((full, other), state(T.RUNNING))
    assert both.write is not None
    assert both.write.take is not None
    assert both.write.take.limit_ids == (other.id,)


@pytest.mark.parametrize(("average", "low", "high"), [(2.0, 2, 3), (5.0, 4, 6), (100.0, 8, 13), (0.1, 1, 1)])
def test_how_long_to_wait_for_a_slot(average: float, low: int, high: int) -> None:
    delays = [
        run_with((tag("a", 1, 1, avg_slot_occupancy_seconds=average), tag("b", 4, 1)), draw=draw / 10).delay_seconds
        for draw in range(10)
    ]
    assert min(d for d in delays if d is not None) >= low
    assert max(d for d in delays if d is not None) <= high


@pytest.mark.parametrize("new", TYPES)
@pytest.mark.parametrize("policy", list(Policy)[:2])
def test_what_stops_running_frees_the_slots(new: T, policy: Policy) -> None:
    held = tag("a", 2, 1, held=True)
    for limits in ((held,), ()):
        run = TaskRun(uid(), state(T.RUNNING), tags=("a",))
        decision = decide_task_run(run, propose(new), TaskRunFacts(tag_limits=limits), inputs(), policy)
        assert decision.write is not None
        assert decision.write.release is (new not in (T.RUNNING, T.CANCELLING))
    waiting = TaskRun(uid(), state(T.PENDING), tags=("a",))
    decision = decide_task_run(
        waiting, propose(T.CANCELLED), TaskRunFacts(tag_limits=(replace(held, held=False),)), inputs()
    )
    assert decision.write is not None
    assert decision.write.release is False


def test_a_slot_held_against_expectation_is_freed() -> None:
    facts = TaskRunFacts(tag_limits=(tag("a", 2, 1, held=True),))
    decision = decide_task_run(TaskRun(uid(), state(T.PENDING)), propose(T.CANCELLED), facts, inputs())
    assert decision.write is not None
    assert decision.write.release is True


# --- background tasks ----------------------------------------------------------------------------------


def test_background_runs_are_queued_even_if_forced() -> None:
    for policy in (Policy.CORE, Policy.FORCED):
        decision = decide(None, T.SCHEDULED, policy, deferred=True, scheduled_time=NOW)
        assert decision.write is not None
        assert decision.write.enqueue is True
        pending = decide(decision.write.state, T.PENDING, policy, deferred=True)
        assert pending.write is not None
        assert pending.write.enqueue is False
    plain = decide(None, T.SCHEDULED)
    assert plain.write is not None
    assert plain.write.enqueue is False


def test_background_runs_keep_their_parameters_and_are_queued_again() -> None:
    parameters = uid()
    run = TaskRun(uid(), None, TaskRunPolicy(retries=1), tags=("a",))
    facts = TaskRunFacts(tag_limits=(tag("a", 0, 0),))  # background runs take no tag slots
    proposals = [
        propose(T.SCHEDULED, deferred=True, task_parameters_id=parameters),
        propose(T.PENDING, deferred=True),
        propose(T.RUNNING, deferred=True),
        propose(T.FAILED, deferred=True),
    ]
    for number, proposal in enumerate(proposals):
        decision = decide_task_run(run, proposal, facts, inputs(at(number)))
        assert decision.write is not None
        assert decision.write.state.details.task_parameters_id == parameters
        assert decision.write.take is None
        run = decision.write.run
    assert decision.status is Status.REJECT
    assert decision.write is not None
    assert decision.write.enqueue is True
    assert (decision.write.state.name, decision.write.state.details.deferred) == ("AwaitingRetry", True)


def test_background_pending_is_won_once() -> None:
    decision = decide(state(T.PENDING), T.PENDING, deferred=True)
    assert decision.reason == "This run is in a PENDING state and cannot transition to a PENDING state."


def test_there_is_no_late_policy() -> None:
    with pytest.raises(ValueError, match="late"):
        decide(state(T.SCHEDULED), T.SCHEDULED, Policy.LATE)
