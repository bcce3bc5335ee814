"""Whatever is proposed in whatever order, the history stays legal and the slots add up."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from sempre.core.states import TERMINAL, State, StateType, default_name, has_persisted_result
from sempre.core.transitions import (
    Decision,
    DeploymentLimit,
    FlowRun,
    FlowRunFacts,
    FlowRunPolicy,
    FlowRunWrite,
    Policy,
    Proposal,
    SlotTake,
    Status,
    TagLimit,
    TaskRun,
    TaskRunFacts,
    TaskRunPolicy,
    TaskRunWrite,
    decide_flow_run,
    decide_task_run,
)
from tests.unit.core.builders import NOW, inputs, propose, uid

T = StateType
RESULT = {"type": "reference"}

names = st.sampled_from([None, None, None, "Late", "AwaitingRetry", "Submitting", "Resuming", "Suspended", "Other"])
types = st.sampled_from(list(StateType))
# What usually comes next; without it chance would rarely lead a run to hold a slot for long.
USUALLY = dict.fromkeys(TERMINAL, T.SCHEDULED) | {
    T.SCHEDULED: T.PENDING,
    T.PENDING: T.RUNNING,
    T.PAUSED: T.RUNNING,
    T.CANCELLING: T.CANCELLED,
}
steps_of_time = st.sampled_from([-30.0, 0.0, 0.3, 1.0, 400.0])


@dataclass
class Slots:
    """The rows a database would hold: at most one per run, never more than the limit."""

    size: int
    held: dict[UUID, UUID] = field(default_factory=dict)  # run -> lease

    def apply(self, run: UUID, take: SlotTake | None, release: bool) -> None:
        assert not (take is not None and release)
        if release:
            self.held.pop(run, None)
        if take is not None and take.renew_only:
            assert self.held[run] == take.lease_id
        elif take is not None:
            assert run not in self.held
            self.held[run] = take.lease_id
        assert len(self.held) <= self.size


@dataclass(frozen=True)
class FlowStep:
    """One proposal for one of the runs; ``usual`` = propose what usually comes next, if the run waits for it."""

    run: int
    proposal: Proposal
    usual: bool
    policy: Policy
    seconds: float
    lapses: bool  # the lease of the run's slot has run out before
    client: Any

    def proposal_for(self, old: State | None) -> Proposal:
        next = USUALLY.get(old.type) if self.usual and old is not None else None
        return self.proposal if next is None else propose(next)


@st.composite
def flow_steps(draw: st.DrawFn) -> list[FlowStep]:
    def step() -> FlowStep:
        type = draw(st.sampled_from([*T, T.PAUSED, T.PAUSED, T.PAUSED]))
        proposal = propose(
            type,
            draw(names) or default_name(type),
            data=draw(st.sampled_from([None, None, RESULT, {"type": "unpersisted"}, [1]])),
            pause_reschedule=type is T.PAUSED and draw(st.booleans()),
            pause_timeout=draw(st.sampled_from([None, NOW + timedelta(seconds=10)])) if type is T.PAUSED else None,
            pause_key=draw(st.sampled_from([None, "a", "b"])) if type is T.PAUSED else None,
            scheduled_time=draw(st.sampled_from([None, None, None, NOW, NOW + timedelta(seconds=100)])),
        )
        policy = draw(st.sampled_from([*[Policy.CORE] * 8, Policy.FORCED, Policy.LATE]))
        client = draw(st.sampled_from([None, (3, 0, 2), *[(3, 8, 8)] * 6]))
        return FlowStep(
            run=draw(st.integers(0, 2)),
            proposal=proposal,
            usual=draw(st.integers(0, 2)) < 2,
            policy=policy,
            seconds=draw(steps_of_time),
            lapses=draw(st.integers(0, 3)) == 3,
            client=client,
        )

    return [step() for _ in range(draw(st.integers(10, 40)))]


def check_flow_step(before: FlowRun, proposal: Proposal, policy: Policy, decision: Decision[FlowRunWrite]) -> None:
    old, write = before.state, decision.write
    if write is None:
        assert decision.status is not Status.ACCEPT
        return
    check_history(before, write)
    new = write.state
    assert write.run.run_count >= before.run_count
    assert (write.mirror is not None) == (before.parent_task_run_id is not None)
    if policy is not Policy.CORE:
        assert write.take is None
    elif old is not None:
        check_departure(before, old, new)


def lives_on(decision: Decision[FlowRunWrite]) -> bool:
    """Whether after this decision there can be a process to hold a slot for."""
    assert decision.write is not None
    new = decision.write.state
    if new.type is T.SCHEDULED:
        return decision.status is Status.REJECT and new.name == "AwaitingRetry"
    if new.type is T.PAUSED:
        return not new.details.pause_reschedule
    return new.type in (T.PENDING, T.RUNNING, T.CANCELLING)


def check_departure(before: FlowRun, old: State, new: State) -> None:
    """What the core rules promise about leaving a state."""
    if old.type is T.CANCELLING:
        assert new.type is T.CANCELLED
    if old.type is T.PAUSED:
        assert new.type not in (T.PENDING, T.PAUSED)
    if old.type in TERMINAL:
        assert new.type not in (T.CANCELLING, T.PAUSED, T.CRASHED)
        if new.type is T.SCHEDULED:
            assert before.deployment_id is not None
        if old.type is T.COMPLETED and isinstance(old.data, dict) and has_persisted_result(old):
            assert new.type in TERMINAL
            assert new.type is not T.COMPLETED or has_persisted_result(new)


def check_history(before: FlowRun | TaskRun, write: FlowRunWrite | TaskRunWrite) -> None:
    old, new, after = before.state, write.state, write.run
    assert after.state is new
    assert old is None or new.timestamp > old.timestamp
    assert after.total_run_time >= before.total_run_time >= 0
    assert (after.end_time is not None) == (new.type in TERMINAL)
    assert (after.next_scheduled_start_time is not None) == (new.type is T.SCHEDULED)
    assert after.start_time is not None or new.type not in TERMINAL | {T.RUNNING}
    if old is not None and old.type in TERMINAL and new.type in TERMINAL:
        assert after.end_time == before.end_time
    if before.start_time is not None:
        assert after.start_time == before.start_time
    if before.expected_start_time is not None:
        assert after.expected_start_time == before.expected_start_time


@settings(max_examples=300, deadline=None)
@given(
    steps=flow_steps(),
    size=st.sampled_from([1, 1, 2, 0]),
    active=st.sampled_from([True, True, True, False]),
    cancel_new=st.booleans(),
    retries=st.sampled_from([None, 0, 1, 3]),
    deployed=st.sampled_from([True, True, True, False]),
    subflow=st.sampled_from([False, False, True]),
)
def test_flow_runs_sharing_a_limit(
    steps: list[FlowStep],
    size: int,
    active: bool,
    cancel_new: bool,
    retries: int | None,
    deployed: bool,
    subflow: bool,
) -> None:
    deployment, limit_id = uid(), uid()
    runs = [
        FlowRun(
            uid(),
            None,
            FlowRunPolicy(retries=retries),
            deployment_id=deployment if deployed else None,
            parent_task_run_id=uid() if subflow else None,
        )
        for _ in range(3)
    ]
    slots = Slots(size)
    clock = NOW
    for step in steps:
        run, policy = runs[step.run], step.policy
        proposal = step.proposal_for(run.state)
        clock += timedelta(seconds=step.seconds)
        if step.lapses:
            slots.held.pop(run.id, None)
        facts = FlowRunFacts(
            limit=DeploymentLimit(limit_id, size, active, len(slots.held), "CANCEL_NEW" if cancel_new else "ENQUEUE"),
            holds_slot=run.id in slots.held,
            held_lease_id=slots.held.get(run.id),
            client_version=step.client,
        )
        given_inputs = inputs(clock)
        decision = decide_flow_run(run, proposal, facts, given_inputs, policy)
        assert decision == decide_flow_run(run, proposal, facts, given_inputs, policy)
        check_flow_step(run, proposal, policy, decision)
        if decision.write is None:
            continue
        slots.apply(run.id, decision.write.take, decision.write.release)
        runs[step.run] = decision.write.run
        assert run.id not in slots.held or lives_on(decision)
    for run in runs:
        ended = decide_flow_run(
            run, propose(T.CANCELLED), FlowRunFacts(holds_slot=run.id in slots.held), inputs(clock), Policy.FORCED
        )
        assert ended.write is not None
        slots.apply(run.id, ended.write.take, ended.write.release)
    assert slots.held == {}


@st.composite
def task_steps(draw: st.DrawFn) -> list[tuple[int, Proposal, Policy, float]]:
    def step() -> tuple[int, Proposal, Policy, float]:
        type = draw(types)
        proposal = propose(
            type,
            draw(names) or default_name(type),
            data=draw(st.sampled_from([None, RESULT, {"type": "unpersisted"}, [1]])),
            deferred=draw(st.integers(0, 5)) == 0,
            retriable=draw(st.sampled_from([None, True, False])),
            scheduled_time=draw(st.sampled_from([None, NOW, NOW + timedelta(seconds=100)])),
        )
        policy = draw(st.sampled_from([Policy.CORE, Policy.CORE, Policy.FORCED]))
        return draw(st.integers(0, 3)), proposal, policy, draw(steps_of_time)

    return [step() for _ in range(draw(st.integers(1, 40)))]


@settings(max_examples=250, deadline=None)
@given(steps=task_steps(), sizes=st.tuples(st.integers(0, 3), st.integers(1, 3)), draw=st.floats(0, 0.999))
def test_task_runs_sharing_tag_limits(
    steps: list[tuple[int, Proposal, Policy, float]], sizes: tuple[int, int], draw: float
) -> None:
    limits = [(uid(), tag, Slots(size)) for tag, size in zip("ab", sizes, strict=True)]
    retrying = TaskRunPolicy(retries=2, retry_delay=1.0, retry_jitter_factor=0.5)
    runs = [TaskRun(uid(), None, retrying, tags=("a", "b")) for _ in range(4)]
    clock = NOW
    for index, proposal, policy, seconds in steps:
        run = runs[index]
        clock += timedelta(seconds=seconds)
        facts = TaskRunFacts(
            tag_limits=tuple(
                TagLimit(id, tag, slots.size, True, len(slots.held), run.id in slots.held) for id, tag, slots in limits
            )
        )
        given_inputs = inputs(clock, draw)
        decision = decide_task_run(run, proposal, facts, given_inputs, policy)
        assert decision == decide_task_run(run, proposal, facts, given_inputs, policy)
        write = decision.write
        if write is None:
            assert decision.status is not Status.ACCEPT
            continue
        check_history(run, write)
        if policy is Policy.FORCED:
            assert write.take is None
        for id, _, slots in limits:
            mine = write.take if write.take is not None and id in write.take.limit_ids else None
            slots.apply(run.id, mine, write.release)
            assert run.id not in slots.held or write.state.type in (T.RUNNING, T.CANCELLING)
        runs[index] = write.run
