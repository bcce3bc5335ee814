"""Automatic retries of flow runs and task runs."""

from typing import Any

import pytest

from sempre.core.states import StateType
from sempre.core.transitions import (
    FlowRun,
    FlowRunFacts,
    FlowRunPolicy,
    Policy,
    Status,
    TaskRun,
    TaskRunFacts,
    TaskRunPolicy,
    decide_flow_run,
    decide_task_run,
)
from sempre.core.transitions.retries import task_retry_delay
from tests.unit.core.builders import at, inputs, outcome, propose, state, uid

T = StateType
DATA = {"type": "reference"}


def test_a_flow_with_two_retries_runs_three_times() -> None:
    policy = FlowRunPolicy(retries=2, retry_delay=1, pause_keys=("k",), resuming=True)
    run = FlowRun(uid(), state(T.RUNNING, deployment_concurrency_lease_id=uid()), policy, run_count=1)
    clock = 0.0
    for attempt in (1, 2):
        failed = decide_flow_run(run, propose(T.FAILED, message="boom", data=DATA), FlowRunFacts(), inputs(at(clock)))
        assert (outcome(failed), failed.reason) == ("R>SCHEDULED", "Retrying")
        assert failed.write is not None
        new = failed.write.state
        assert (new.name, new.message, new.data) == ("AwaitingRetry", "boom", DATA)
        assert new.details.scheduled_time == at(clock + 1)
        assert run.state is not None
        assert new.details.deployment_concurrency_lease_id == run.state.details.deployment_concurrency_lease_id
        run = failed.write.run
        assert run.policy == FlowRunPolicy(retries=2, retry_delay=1, retry_type="in_process")
        assert run.run_count == attempt
        early = decide_flow_run(run, propose(T.RUNNING), FlowRunFacts(), inputs(at(clock)))
        assert (outcome(early), early.delay_seconds) == ("W", 1)
        clock += 2
        again = decide_flow_run(run, propose(T.RUNNING), FlowRunFacts(), inputs(at(clock)))
        assert again.write is not None
        run = again.write.run
    last = decide_flow_run(run, propose(T.FAILED), FlowRunFacts(), inputs(at(clock + 1)))
    assert last.status is Status.ACCEPT
    assert last.write is not None
    assert last.write.run.run_count == 3
    assert last.write.run.policy.retry_type is None


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (T.RUNNING, T.FAILED, "R>SCHEDULED"),
        (T.RUNNING, T.CRASHED, "A"),
        (T.RUNNING, T.CANCELLED, "A"),
        (T.PENDING, T.FAILED, "A"),
    ],
)
def test_only_failures_of_running_runs_are_retried(old: T, new: T, expected: str) -> None:
    flow = FlowRun(uid(), state(old), FlowRunPolicy(retries=5), run_count=1)
    assert outcome(decide_flow_run(flow, propose(new, "TimedOut"), FlowRunFacts(), inputs())) == expected
    assert outcome(decide_flow_run(flow, propose(new), FlowRunFacts(), inputs(), Policy.FORCED)) == "A"
    task = TaskRun(uid(), state(old), TaskRunPolicy(retries=5), run_count=1)
    assert outcome(decide_task_run(task, propose(new), TaskRunFacts(), inputs())) == expected
    assert outcome(decide_task_run(task, propose(new), TaskRunFacts(), inputs(), Policy.FORCED)) == "A"


@pytest.mark.parametrize("retries", [None, 0])
def test_without_retries_failures_stand(retries: int | None) -> None:
    flow = FlowRun(uid(), state(T.RUNNING), FlowRunPolicy(retries=retries, retry_type="in_process"), run_count=1)
    decision = decide_flow_run(flow, propose(T.FAILED), FlowRunFacts(), inputs())
    assert outcome(decision) == "A"
    assert decision.write is not None
    assert decision.write.run.policy.retry_type is None
    task = TaskRun(uid(), state(T.RUNNING), TaskRunPolicy(retries=retries), run_count=1)
    assert outcome(decide_task_run(task, propose(T.FAILED), TaskRunFacts(), inputs())) == "A"


@pytest.mark.parametrize(("api", "retry_type"), [((0, 8, 3), None), ((0, 8, 4), "in_process"), (None, "in_process")])
def test_older_interfaces_do_not_know_retry_types(api: Any, retry_type: str | None) -> None:
    run = FlowRun(uid(), state(T.RUNNING), FlowRunPolicy(retries=1), run_count=1)
    decision = decide_flow_run(run, propose(T.FAILED), FlowRunFacts(api_version=api), inputs())
    assert decision.write is not None
    assert decision.write.run.policy.retry_type == retry_type


def test_a_list_of_delays_is_used_up_and_its_last_repeats() -> None:
    run = TaskRun(uid(), state(T.RUNNING), TaskRunPolicy(retries=3, retry_delay=(5.0, 10.0)), run_count=1)
    delays = []
    clock = 0.0
    while True:
        failed = decide_task_run(run, propose(T.FAILED, message="m", data=DATA), TaskRunFacts(), inputs(at(clock)))
        assert failed.write is not None
        if failed.status is Status.ACCEPT:
            break
        new = failed.write.state
        assert (new.name, new.message, new.data, failed.reason) == ("AwaitingRetry", "m", DATA, "Retrying")
        assert new.details.scheduled_time is not None
        delays.append((new.details.scheduled_time - at(clock)).total_seconds())
        clock += 20
        again = decide_task_run(failed.write.run, propose(T.RUNNING), TaskRunFacts(), inputs(at(clock)))
        assert again.write is not None
        assert again.write.state.name == "Retrying"
        run = again.write.run
        clock += 1
    assert delays == [5, 10, 10]


def test_a_failure_that_is_not_retriable_stands() -> None:
    run = TaskRun(uid(), state(T.RUNNING), TaskRunPolicy(retries=3), run_count=1)
    for retriable, expected in ((False, "A"), (True, "R>SCHEDULED"), (None, "R>SCHEDULED")):
        decision = decide_task_run(run, propose(T.FAILED, retriable=retriable), TaskRunFacts(), inputs())
        assert outcome(decision) == expected


@pytest.mark.parametrize(
    ("delay", "run_count", "expected"),
    [(None, 1, 0), (3.5, 9, 3.5), ((), 1, 0), ((1.0, 2.0), 0, 1), ((1.0, 2.0), 2, 2), ((1.0, 2.0), 7, 2)],
)
def test_delay_of_an_attempt(delay: Any, run_count: int, expected: float) -> None:
    assert task_retry_delay(TaskRunPolicy(retry_delay=delay), run_count, 0.3) == expected


@pytest.mark.parametrize(("factor", "low", "high"), [(0.5, 0.6296, 1.5), (0.3, 0.7520, 1.3), (60.0, 0.0, 61.0)])
def test_jitter_stays_near_the_delay(factor: float, low: float, high: float) -> None:
    policy = TaskRunPolicy(retry_delay=10.0, retry_jitter_factor=factor)
    draws = [task_retry_delay(policy, 1, draw / 1000) for draw in range(1000)]
    assert draws == sorted(draws)
    assert len(set(draws)) == 1000
    assert draws[0] == pytest.approx(10 * low, abs=0.01)
    assert 10 * low <= draws[500] <= draws[-1] <= 10 * high
    if factor < 1:
        assert draws[-1] == pytest.approx(10 * high, abs=0.05)
    assert task_retry_delay(TaskRunPolicy(retry_delay=0.0, retry_jitter_factor=factor), 1, 0.5) == 0
    assert task_retry_delay(TaskRunPolicy(retry_delay=10.0, retry_jitter_factor=0.0), 1, 0.5) == 10
