"""Taking a run back from a claimant who fell silent: whatever returns, and whenever, one process executes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sempre.core.states import TERMINAL, Claimant, StateDetails, StateType
from sempre.core.transitions import (
    Decision,
    FlowRun,
    FlowRunFacts,
    FlowRunPolicy,
    FlowRunWrite,
    Policy,
    Proposal,
    Status,
    decide_flow_run,
)
from tests.unit.core.builders import NOW, inputs, outcome, propose, state, uid

T = StateType
ONE, TWO = Claimant("one"), Claimant("two")
OLD, NEW = Claimant("same", "a"), Claimant("same", "b")  # a worker that was started again under its name


def by(proposer: Claimant | None, **facts: object) -> FlowRunFacts:
    return FlowRunFacts(proposer=proposer, **facts)  # type: ignore[arg-type]


def a_run(type: StateType, **details: object) -> FlowRun:
    return FlowRun(uid(), state(type, **details), deployment_id=uid())  # type: ignore[arg-type]


def decide(
    run: FlowRun, type: StateType, proposer: Claimant | None, policy: Policy = Policy.CORE, name: str | None = None
) -> Decision[FlowRunWrite]:
    return decide_flow_run(run, propose(type, name), by(proposer), inputs(), policy)


def written(decision: Decision[FlowRunWrite]) -> StateDetails:
    assert decision.write is not None
    return decision.write.state.details


@dataclass
class World:
    """One run and its server. Each accepted claim makes a process, which may start at any time."""

    run: FlowRun
    seconds: float = 0.0

    def propose(self, proposal: Proposal, proposer: Claimant | None) -> bool:
        self.seconds += 1
        now = NOW + timedelta(seconds=self.seconds)
        decision = decide_flow_run(self.run, proposal, by(proposer), inputs(now))
        if decision.write is not None:
            self.run = decision.write.run
        return decision.status is Status.ACCEPT

    @property
    def type(self) -> StateType:
        assert self.run.state is not None
        return self.run.state.type

    def take_back(self) -> None:
        """As the service does: from Pending only."""
        assert self.run.state is not None
        if self.type is T.PENDING:
            lost = (self.run.state.details.claim or Claimant(),)
            assert self.propose(propose(T.SCHEDULED, taken_back=lost), None)


claimants = st.sampled_from([None, None, ONE, TWO, OLD, NEW])
moves = st.lists(
    st.tuples(st.sampled_from(["claim", "claim", "start", "start", "back", "rename", "give up", "end"]), claimants),
    min_size=5,
    max_size=40,
)


@settings(max_examples=600, deadline=None)
@given(moves=moves, picks=st.lists(st.integers(0, 50), min_size=40, max_size=40))
def test_one_process_executes(moves: list[tuple[str, Claimant | None]], picks: list[int]) -> None:
    world = World(FlowRun(uid(), state(T.SCHEDULED), deployment_id=uid()))
    idle: list[Claimant | None] = []  # processes that were or will be started for a claim, and have not run
    running: Claimant | None = None
    executions = 0
    for (move, who), pick in zip(moves, picks, strict=False):
        lost = bool(world.run.state and world.run.state.details.taken_back)
        if move == "claim" and (lost or not executions) and world.propose(propose(T.PENDING), who):
            idle.append(who)
        elif move == "start" and idle:
            who = idle.pop(pick % len(idle))
            if world.propose(propose(T.RUNNING), who):
                executions, running = executions + 1, who
        elif move == "back":
            world.take_back()
        elif move == "rename" and (lost or not executions):
            world.propose(propose(T.PENDING, "Submitting"), who)
        elif move == "give up" and idle:
            # A worker whose process failed to start says so: that does not end a run that another one executes.
            before = world.type
            loser = idle.pop(pick % len(idle))
            world.propose(propose(T.CRASHED), loser)
            if before is T.RUNNING and loser is not None and running is not None and loser.differs(running):
                assert world.type is T.RUNNING or not world.run.state.details.taken_back  # type: ignore[union-attr]
        elif move == "end" and executions and world.type is T.RUNNING:
            assert world.propose(propose(T.COMPLETED), running)
        assert executions <= 1, "executed twice"
        if executions and world.type is T.PENDING:
            raise AssertionError("a run that was executed waits for its start")


def test_the_property_bites_without_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run(T.RUNNING, taken_back=(ONE,), claim=TWO)
    assert outcome(decide(run, T.RUNNING, ONE)) == "Ab"
    assert run.state is not None
    unfenced = replace(run, state=run.state.with_details(taken_back=()))
    assert outcome(decide(unfenced, T.RUNNING, ONE)) == "A", "the protocol's own rules let a second process in"


@pytest.mark.parametrize(
    ("type", "claim", "proposer", "new", "expected"),
    [
        # who claimed the run goes on with it
        (T.PENDING, TWO, TWO, T.RUNNING, "A"),
        (T.PENDING, TWO, None, T.RUNNING, "A"),  # a process of an older client does not say whose it is
        (T.RUNNING, TWO, TWO, T.COMPLETED, "A"),
        (T.RUNNING, TWO, TWO, T.CRASHED, "A"),
        (T.PENDING, ONE, ONE, T.RUNNING, "A"),  # it lost the run, and claimed it again
        (T.RUNNING, ONE, ONE, T.COMPLETED, "A"),
        # who lost it does not
        (T.PENDING, TWO, ONE, T.RUNNING, "Ab"),
        (T.PENDING, NEW, OLD, T.RUNNING, "Ab"),
        (T.RUNNING, TWO, ONE, T.RUNNING, "Ab"),
        (T.RUNNING, TWO, ONE, T.CRASHED, "Ab"),
        (T.RUNNING, TWO, ONE, T.COMPLETED, "Ab"),
        (T.RUNNING, TWO, ONE, T.SCHEDULED, "Ab"),
        (T.PENDING, TWO, ONE, T.CRASHED, "Ab"),
        (T.PAUSED, TWO, ONE, T.RUNNING, "Ab"),
        (T.COMPLETED, TWO, ONE, T.RUNNING, "Ab"),
        (T.COMPLETED, None, None, T.RUNNING, "Ab"),
        (T.COMPLETED, None, None, T.PENDING, "Ab"),
        # each claim is good for one start
        (T.RUNNING, TWO, TWO, T.RUNNING, "Ab"),
        (T.RUNNING, None, None, T.RUNNING, "Ab"),
        # nobody has it: it is to be claimed first, by whomever
        (T.SCHEDULED, None, ONE, T.RUNNING, "Ab"),
        (T.SCHEDULED, None, TWO, T.RUNNING, "Ab"),
        (T.SCHEDULED, None, None, T.RUNNING, "Ab"),
        (T.SCHEDULED, None, ONE, T.PENDING, "A"),
        (T.SCHEDULED, None, TWO, T.PENDING, "A"),
        (T.SCHEDULED, None, ONE, T.CRASHED, "Ab"),
        # everybody else as ever: users, services, other workers that look after the same cluster
        (T.RUNNING, TWO, None, T.CANCELLING, "A"),
        (T.RUNNING, TWO, None, T.CRASHED, "A"),
        (T.RUNNING, TWO, Claimant("three"), T.CRASHED, "A"),
        (T.PAUSED, TWO, None, T.RUNNING, "A"),
        (T.COMPLETED, TWO, None, T.SCHEDULED, "A"),
    ],
)
def test_after_it_was_taken_back(
    type: StateType, claim: Claimant | None, proposer: Claimant | None, new: StateType, expected: str
) -> None:
    lost = (OLD,) if OLD in (claim, proposer) else (ONE,)
    run = a_run(type, claim=claim, taken_back=lost)
    assert outcome(decide(run, new, proposer)) == expected


def test_force_is_no_way_around() -> None:
    run = a_run(T.RUNNING, claim=TWO, taken_back=(ONE,))
    assert outcome(decide(run, T.CRASHED, ONE, Policy.FORCED)) == "Ab"
    assert outcome(decide(run, T.CRASHED, TWO, Policy.FORCED)) == "A"
    assert outcome(decide(run, T.CANCELLED, None, Policy.FORCED)) == "A"


def test_a_process_that_was_given_up_may_be_done_after_all() -> None:
    given_up = replace(a_run(T.SCHEDULED, taken_back=(ONE,)), run_count=1)
    assert outcome(decide(given_up, T.COMPLETED, ONE)) == "A"
    assert outcome(decide(given_up, T.FAILED, ONE)) == "Ab", "it is to be tried again anyway"


def test_a_retry_inside_the_process_goes_on_after_it_was_taken_back_once() -> None:
    policy = FlowRunPolicy(retries=2)
    run = replace(a_run(T.RUNNING, claim=TWO, taken_back=(ONE,)), policy=policy, run_count=1)
    retried = decide(run, T.FAILED, TWO)
    assert retried.write is not None
    assert retried.write.state.name == "AwaitingRetry"
    assert outcome(decide(retried.write.run, T.RUNNING, ONE)) == "Ab"
    assert outcome(decide(retried.write.run, T.RUNNING, TWO)) == "A"


def test_the_claim_follows_the_run() -> None:
    claimed = decide(a_run(T.SCHEDULED), T.PENDING, ONE)
    assert written(claimed).claim == ONE
    assert claimed.write is not None
    renamed = decide(claimed.write.run, T.PENDING, ONE, name="Submitting")
    assert written(renamed).claim == ONE
    assert renamed.write is not None
    started = decide(renamed.write.run, T.RUNNING, None)
    assert written(started).claim == ONE
    assert started.write is not None
    assert written(decide(started.write.run, T.COMPLETED, None)).claim == ONE
    assert written(decide(started.write.run, T.SCHEDULED, None)).claim is None
    assert written(decide(a_run(T.SCHEDULED), T.PENDING, None)).claim == Claimant()


def test_runs_that_nobody_claims_carry_nothing() -> None:
    made = decide_flow_run(FlowRun(uid(), None), propose(T.PENDING), by(None), inputs(), Policy.FORCED)
    assert made.write is not None
    assert written(made) == StateDetails(flow_run_id=made.write.run.id)
    started = decide(made.write.run, T.RUNNING, None)
    assert written(started).claim is None


def test_details_survive_being_stored() -> None:
    details = StateDetails(claim=TWO, taken_back=(ONE, OLD, Claimant()))
    assert StateDetails.from_json(details.to_json()) == details
    assert StateDetails().to_json() == {}


@pytest.mark.parametrize("type", sorted(TERMINAL | {T.RUNNING, T.PENDING, T.SCHEDULED}))
def test_who_lost_the_run_is_remembered(type: StateType) -> None:
    run = replace(a_run(T.RUNNING, claim=TWO, taken_back=(ONE,)))
    decision = decide(run, type, None)
    if decision.write is not None:
        assert written(decision).taken_back == (ONE,)


# --- retried because its process fell silent -----------------------------------------------------------------------


def lost(retries: int | None, run_count: int, **more: object) -> Decision[FlowRunWrite]:
    facts = by(None, **more)
    run = replace(
        a_run(T.RUNNING, claim=ONE), policy=FlowRunPolicy(retries=retries, retry_delay=7), run_count=run_count
    )
    return decide_flow_run(run, propose(T.CRASHED), facts, inputs(), Policy.SILENT)


@pytest.mark.parametrize(
    ("retries", "run_count", "expected"),
    [(None, 1, "A"), (0, 1, "A"), (1, 1, "R>SCHEDULED"), (1, 2, "A"), (3, 3, "R>SCHEDULED"), (3, 4, "A")],
)
def test_a_silent_run_is_retried_as_often_as_a_failing_one(retries: int | None, run_count: int, expected: str) -> None:
    assert outcome(lost(retries, run_count)) == expected


def test_where_a_silent_run_goes() -> None:
    write = lost(1, 1).write
    assert write is not None
    assert write.state.name == "AwaitingRetry"
    assert write.run.next_scheduled_start_time == NOW + timedelta(seconds=7)
    assert write.run.policy.retry_type == "reschedule", "pollers pass over runs that retry in their own process"
    assert write.state.details.taken_back == (ONE,)
    assert outcome(lost(1, 1, deployment_exists=False)) == "A"
    alone = replace(a_run(T.RUNNING), deployment_id=None, policy=FlowRunPolicy(retries=3), run_count=1)
    assert outcome(decide_flow_run(alone, propose(T.CRASHED), by(None), inputs(), Policy.SILENT)) == "A"
    assert outcome(decide(replace(alone, deployment_id=uid()), T.CRASHED, None)) == "A", (
        "who says so itself is believed"
    )
