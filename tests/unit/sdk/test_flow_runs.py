"""Flow runs: what the server answers, retries, subflows, parameters, crashes and cancellation."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from sempre.sdk.engine.requests import Answer
from sempre.sdk.errors import (
    Abort,
    FlowRunTimeoutError,
    ParameterBindError,
    ParameterTypeError,
    Pause,
    TerminationSignal,
)
from sempre.sdk.flows import Flow, flow
from sempre.sdk.states import Failed, Paused, Pending, State
from sempre.sdk.tasks import task
from tests.unit.sdk.fakes import FakeWorld


def test_the_server_says_wait_then_takes_it(world: FakeWorld) -> None:
    world.api.answers = [Answer("WAIT", None, "later", 0.01), Answer("WAIT", None, "later", 0.0)]
    assert flow(lambda: 3)() == 3
    assert world.flow_states() == ["Pending", "Running", "Completed"]


def test_a_run_held_back_in_pending_is_proposed_again(world: FakeWorld) -> None:
    world.api.answers = [Answer("REJECT", Pending(), "not yet")]
    assert flow(lambda: 3)() == 3


def test_a_run_that_another_has_is_left_alone(world: FakeWorld) -> None:
    world.api.answers = [Answer("ABORT", None, "somebody else has it")]
    with pytest.raises(Abort, match="somebody else"):
        flow(lambda: pytest.fail("must not run"))()


def test_a_run_that_is_paused_is_given_up(world: FakeWorld) -> None:
    world.api.answers = [Answer("REJECT", Paused(), "paused")]
    with pytest.raises(Pause):
        flow(lambda: pytest.fail("must not run"))()


def test_a_run_that_the_server_has_failed_keeps_its_exception(world: FakeWorld) -> None:
    """It ends expired pauses itself, and may be faster than the run."""
    error = ValueError("nobody came")

    @flow
    def paused() -> None:
        world.api.answers = [Answer("REJECT", Failed(message="never resumed"), "it is over")]
        raise error

    state = paused(return_state=True)
    assert state.message == "never resumed"
    assert state.result(raise_on_failure=False) is error


def test_the_server_decides_on_retries(world: FakeWorld) -> None:
    counts: list[int] = []

    @flow(retries=2)
    def retried() -> int:
        from sempre import runtime

        counts.append(runtime.flow_run.run_count)
        if len(counts) < 3:
            raise ValueError("again")
        return 7

    assert retried() == 7
    assert counts == [1, 2, 3]
    assert world.api.news[0].retries == 2
    assert world.flow_states() == ["Pending", "Running", *["AwaitingRetry", "Running"] * 2, "Completed"]


def test_parameters_are_checked_and_converted(world: FakeWorld) -> None:
    @flow
    def typed(x: int, y: list[float] | None = None, *, z: str = "z") -> Any:
        return x, y, z

    assert typed("3", ["1"]) == (3, [1.0], "z")  # type: ignore[call-overload]
    with pytest.raises(ParameterTypeError, match=" - x: Input should be a valid integer"):
        typed("x")  # type: ignore[call-overload]
    assert world.flow_states(1) == ["Pending", "Failed"]
    with pytest.raises(ParameterBindError, match="unexpected keyword argument 'q'"):
        typed(1, q=2)  # type: ignore[call-overload]
    assert len(world.api.runs) == 2
    assert typed.with_options(validate_parameters=False)("x") == ("x", None, "z")  # type: ignore[call-overload]


def test_the_schema_of_parameters() -> None:
    @flow
    def described(a: int, b: str = "x", *, c: list[int] | None = None, d=5) -> None:  # type: ignore[no-untyped-def]
        """Doc.

        Args:
            a: the a
        """

    assert described.parameters == {
        "title": "Parameters",
        "type": "object",
        "properties": {
            "a": {"title": "a", "type": "integer", "position": 0, "description": "the a"},
            "b": {"title": "b", "type": "string", "default": "x", "position": 1},
            "c": {
                "title": "c",
                "anyOf": [{"items": {"type": "integer"}, "type": "array"}, {"type": "null"}],
                "default": None,
                "position": 2,
            },
            "d": {"title": "d", "default": 5, "position": 3},
        },
        "required": ["a"],
        "definitions": {},
    }


@task
def inc(x: int) -> int:
    return x + 1


def test_subflows_and_their_places_in_the_parent(world: FakeWorld) -> None:
    @flow
    def child(x: int) -> int:
        return inc(x)

    @flow
    def parent() -> int:
        future = inc.submit(1)
        return child(future) + child(5)  # type: ignore[call-overload,no-any-return]

    assert parent() == 9
    assert sorted(key[2] for key in world.api.tracking) == ["0", "1"]
    assert [new.parent_task_run_id is not None for new in world.api.news] == [False, True, True]


def test_a_retried_parent_takes_up_its_children(world: FakeWorld) -> None:
    ran: list[str] = []

    @flow(persist_result=True)
    def child() -> int:
        ran.append("child")
        return 5

    @flow(retries=1)
    def parent() -> int:
        value = child()
        ran.append("parent")
        if ran.count("parent") == 1:
            raise ValueError("once")
        return value

    assert parent() == 5
    assert ran == ["child", "parent", "parent"]


def test_a_subflow_that_waits_for_a_failure_does_not_start(world: FakeWorld) -> None:
    @task
    def bad() -> int:
        raise ValueError("boom")

    @flow
    def child(x: int) -> int:
        return pytest.fail("must not run")

    @flow
    def parent() -> str:
        state: State[int] = child(bad.submit(), return_state=True)
        return f"{state.type.value} {state.name}"

    assert parent() == "PENDING NotReady"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), TerminationSignal()])
def test_what_ends_a_run_from_outside_crashes_it(world: FakeWorld, error: BaseException) -> None:
    hooks: list[str] = []

    def dies() -> None:
        raise error

    crashing = Flow(
        dies, on_crashed=[lambda f, r, s: hooks.append(s.name)], on_failure=[lambda f, r, s: hooks.append("failure")]
    )
    with pytest.raises(type(error)):
        crashing()
    assert world.flow_states() == ["Pending", "Running", "Crashed"]
    assert hooks == ["Crashed"]
    assert world.watches[0].ended


def test_a_run_can_be_handed_back_when_its_process_has_to_end(world: FakeWorld) -> None:
    from sempre.sdk.engine.calls import execute_flow_run

    def dies() -> None:
        raise TerminationSignal()

    with pytest.raises(TerminationSignal):
        Flow(dies)()
    (run,) = world.api.runs.values()
    with pytest.raises(TerminationSignal):
        execute_flow_run(Flow(dies), run, reschedules=True)
    assert world.flow_states() == ["Pending", "Running", "Crashed", "Running", "AwaitingRetry"]


def test_a_cancelled_run_ends_cancelled(world: FakeWorld) -> None:
    hooks: list[str] = []

    @flow(on_cancellation=[lambda f, r, s: hooks.append(s.name)])
    def cancelled() -> None:
        world.watches[0].cancelled = True
        raise TerminationSignal()

    state: State[None] = cancelled(return_state=True)
    assert state.is_cancelled()
    assert hooks == ["Cancelling"]


def test_a_run_that_is_suspended_from_elsewhere_is_given_up(world: FakeWorld) -> None:
    @flow
    def suspended() -> None:
        world.watches[0].suspended = True
        raise TerminationSignal()

    with pytest.raises(Pause, match="elsewhere"):
        suspended()
    assert world.flow_states() == ["Pending", "Running"]


def test_cancelling_a_parent_ends_the_child_too(world: FakeWorld) -> None:
    @flow
    def child() -> None:
        world.watches[0].cancelled = True  # the parent's
        raise TerminationSignal()

    @flow
    def parent() -> None:
        child()
        pytest.fail("must not go on")

    state: State[None] = parent(return_state=True)
    assert state.is_cancelled()
    assert [history[-1].name for history in world.api.histories.values()] == ["Cancelled", "Cancelled"]


def test_a_flow_that_takes_too_long(world: FakeWorld) -> None:
    import time

    with pytest.raises(FlowRunTimeoutError):
        flow(timeout_seconds=0.05)(lambda: time.sleep(5))()
    assert world.flow_states() == ["Pending", "Running", "TimedOut"]


def test_coroutine_functions(world: FakeWorld) -> None:
    @task(retries=1, retry_delay_seconds=0.01)
    async def ainc(x: int, seen: list[int] = []) -> int:  # noqa: B006
        seen.append(x)
        if len(seen) == 1:
            raise ValueError("first")
        return x + 1

    @flow
    async def child(x: int) -> int:
        return await ainc(x)

    @flow
    async def parent() -> Any:
        both = await asyncio.gather(child(1), child(2))
        submitted = ainc.submit(5)
        return both, await submitted.result_async(), inc(1)

    assert asyncio.run(parent()) == ([2, 3], 6, 2)
    assert world.flow_states() == ["Pending", "Running", "Completed"]


def test_a_cancelled_coroutine_crashes_its_run(world: FakeWorld) -> None:
    began = asyncio.Event()

    @flow
    async def waits() -> None:
        began.set()
        await asyncio.sleep(60)

    async def main() -> None:
        running = asyncio.ensure_future(waits())
        await began.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert world.flow_states() == ["Pending", "Running", "Crashed"]


def test_flow_hooks(world: FakeWorld) -> None:
    called: list[str] = []

    def hook(flow: Any, run: Any, state: State[Any]) -> None:
        called.append(f"{flow.name} {run.name} {state.name}")

    decorated = flow(name="f", on_running=[hook], on_completion=[hook])(lambda: 1)
    decorated()
    assert called == ["f run-0 Running", "f run-0 Completed"]


def test_names_of_flows() -> None:
    def my_flow() -> None: ...

    assert Flow(my_flow).name == "my-flow"
    assert len(Flow(my_flow).version or "") == 32
    with pytest.raises(ValueError, match="cannot contain"):
        Flow(my_flow, name="a/b")


def test_generator_functions(world: FakeWorld) -> None:
    from sempre import runtime

    @task
    def numbers(n: int) -> Any:
        for each in range(n):
            yield runtime.task_run.name, each
            if each == 3:
                raise ValueError("too far")

    @flow
    def items() -> Any:
        for name, each in numbers(2):
            assert name.startswith("numbers")
            assert runtime.task_run.name is None
            yield each
        yield len(numbers.submit(3).result())
        for _ in numbers(3):
            break
        with pytest.raises(ValueError, match="too far"):
            list(numbers(5))

    assert list(items()) == [0, 1, 3]
    assert world.flow_states() == ["Pending", "Running", "Completed"]
    assert world.states("numbers") == [*["Pending", "Running", "Completed"] * 3, "Pending", "Running", "Failed"]


def test_asynchronous_generator_functions(world: FakeWorld) -> None:
    from sempre import runtime

    @task
    async def numbers(n: int) -> Any:
        for each in range(n):
            await asyncio.sleep(0)
            yield runtime.task_run.name, each
            if each == 3:
                raise ValueError("too far")

    @flow
    async def items() -> Any:
        async for name, each in numbers(2):
            assert name.startswith("numbers")
            assert runtime.task_run.name is None
            yield each
        yield len(numbers.submit(3).result())
        async with contextlib.aclosing(numbers(3)) as some:
            async for _ in some:
                break
        with pytest.raises(ValueError, match="too far"):
            [each async for each in numbers(5)]

    async def collect() -> list[int]:
        return [each async for each in items()]

    assert asyncio.run(collect()) == [0, 1, 3]
    assert world.flow_states() == ["Pending", "Running", "Completed"]
    assert world.states("numbers") == [*["Pending", "Running", "Completed"] * 3, "Pending", "Running", "Failed"]
    ended: Any = items(return_state=True)
    assert asyncio.run(ended).is_completed()


def test_a_decorator_that_is_given_the_function_takes_options_too(world: FakeWorld) -> None:
    assert flow(lambda: 1, name="named").name == "named"
    assert task(lambda: 1, name="named", retries=2).retries == 2
