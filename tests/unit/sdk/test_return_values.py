"""What a function returns or raises, and what its run ends as: every line here was seen with scripts of users."""

from __future__ import annotations

from typing import Any

import pytest

from sempre.sdk.errors import Abort, CancelledRun, CrashedRun, FailedRun, MissingResult, PausedRun, UnfinishedRun
from sempre.sdk.flows import flow
from sempre.sdk.states import Cancelled, Completed, Crashed, Failed, Paused, Pending, Running, State
from sempre.sdk.tasks import task
from tests.unit.sdk.fakes import FakeWorld


@task
def ok(x: Any = 1) -> Any:
    return x


@task
def bad(x: Any = 1) -> Any:
    raise ValueError("boom")


def run(body: Any) -> State[Any]:
    state: State[Any] = flow(name="f")(body)(return_state=True)
    return state


@pytest.mark.parametrize(
    ("body", "name", "type", "message"),
    [
        (lambda: 4, "Completed", "COMPLETED", None),
        (lambda: None, "Completed", "COMPLETED", None),
        (lambda: Completed(name="Skipped", message="why"), "Skipped", "COMPLETED", "why"),
        (lambda: Failed(message="said so"), "Failed", "FAILED", "said so"),
        (lambda: Cancelled(), "Cancelled", "CANCELLED", None),
        (lambda: Crashed(message="c"), "Crashed", "CRASHED", "c"),
        (lambda: [ok.submit(1), ok.submit(2)], "Completed", "COMPLETED", "All states completed."),
        (lambda: [ok.submit(1), bad.submit(2)], "Failed", "FAILED", "1/2 states failed."),
        (lambda: bad.submit(1), "Failed", "FAILED", "1/1 states failed."),
        (lambda: ok(return_state=True), "Completed", "COMPLETED", "All states completed."),
        (lambda: [Completed(), Failed(), Cancelled()], "Cancelled", "CANCELLED", "1/3 states cancelled."),
        (lambda: [Completed(), Running()], "Failed", "FAILED", "1/2 states are not final."),
        (lambda: [ok.submit(1), 5], "Completed", "COMPLETED", None),
        (lambda: {"a": Failed()}, "Completed", "COMPLETED", None),
        (lambda: bad(), "Failed", "FAILED", "Flow run encountered an exception: ValueError: boom"),
        (lambda: ValueError("a value"), "Completed", "COMPLETED", None),
    ],
)
def test_final_state_of_a_flow(world: FakeWorld, body: Any, name: str, type: str, message: str | None) -> None:
    state = run(body)
    assert (state.name, state.type.value, state.message) == (name, type, message)
    assert world.flow_states() == ["Pending", "Running", name]


def test_what_calling_a_flow_gives(world: FakeWorld) -> None:
    assert flow(lambda: 4)() == 4
    assert flow(lambda: None)() is None
    assert flow(lambda: Completed(data=5))() == 5
    assert flow(lambda: Completed(message="nothing"))() is None
    assert isinstance(flow(lambda: ok(return_state=True))(), State)
    states: Any = flow(lambda: [bad.submit(1), ok.submit(2)])()
    assert [state.name for state in states] == ["Failed", "Completed"]
    for body, error, said in [
        (lambda: bad(), ValueError, "boom"),
        (lambda: bad.submit(1), ValueError, "boom"),
        (lambda: Failed(message="said so"), FailedRun, "said so"),
        (lambda: Cancelled(), CancelledRun, "Run cancelled."),
        (lambda: Crashed(message="c"), CrashedRun, "c"),
    ]:
        with pytest.raises(error, match=said):
            flow(body)()


def test_a_flow_that_returns_a_state_which_is_not_final_is_refused_by_the_server(world: FakeWorld) -> None:
    from sempre.sdk.engine.requests import Answer

    def body() -> Any:
        world.api.answers.append(Answer("ABORT", None, "cannot go back"))
        return Pending()

    with pytest.raises(Abort, match="cannot go back"):
        flow(body)()


def test_what_calling_a_task_gives(world: FakeWorld) -> None:
    assert ok(3) == 3
    assert isinstance(task(lambda: Failed(message="tf"))(), State)
    with pytest.raises(ValueError, match="boom"):
        bad()
    state = bad(return_state=True)
    assert (state.name, state.message) == ("Failed", "Task run encountered an exception ValueError: boom")
    assert isinstance(state.result(raise_on_failure=False), ValueError)


def test_results_of_states() -> None:
    assert Completed(data=5).result() == 5
    for state, error in [
        (Completed(), MissingResult),
        (Failed(message="fm"), FailedRun),
        (Crashed(), CrashedRun),
        (Cancelled(), CancelledRun),
        (Paused(), PausedRun),
        (Running(), UnfinishedRun),
    ]:
        with pytest.raises(error):
            state.result()
    assert isinstance(Failed(message="fm").result(raise_on_failure=False), FailedRun)
    assert Failed(data=[Completed(), Failed(data=KeyError("k"))]).result(raise_on_failure=False)[0].is_completed()
    with pytest.raises(KeyError):
        Failed(data=[Completed(), Failed(data=KeyError("k"))]).result()


def test_how_states_are_shown() -> None:
    assert str(Failed(message="x")) == "Failed('x')"
    assert str(Completed(name="Skipped")) == "Skipped(type=COMPLETED)"
    assert repr(Completed(data=5)) == "Completed(message=None, type=COMPLETED, result=5)"
