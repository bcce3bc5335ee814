"""Task runs: states, retries, timeouts, upstream failures, hooks, and what the server is told of them."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from sempre.sdk.annotations import allow_failure, quote, unmapped
from sempre.sdk.errors import (
    MappingLengthMismatch,
    MappingMissingIterable,
    ParameterBindError,
    TaskRunTimeoutError,
    UnfinishedRun,
)
from sempre.sdk.flows import flow
from sempre.sdk.futures import as_completed, wait
from sempre.sdk.runners.threads import ThreadPoolTaskRunner
from sempre.sdk.states import State
from sempre.sdk.tasks import Task, exponential_backoff, task
from tests.unit.sdk.fakes import FakeWorld


@task
def ok(x: Any = 1) -> Any:
    return x


@task
def bad(x: Any = 1) -> Any:
    raise ValueError("boom")


def failing(times: int, **options: Any) -> Task[[], int]:
    seen: list[int] = []

    def fails() -> int:
        seen.append(1)
        if len(seen) <= times:
            raise ValueError(f"attempt {len(seen)}")
        return len(seen)

    return Task(fails, **options)


def test_retries_with_and_without_delay(world: FakeWorld) -> None:
    assert failing(2, retries=2, retry_delay_seconds=[0.01, 0])() == 3
    assert world.states() == ["Pending", "Running", "AwaitingRetry", "Retrying", "Retrying", "Completed"]


def test_retries_run_out(world: FakeWorld) -> None:
    with pytest.raises(ValueError, match="attempt 2"):
        failing(5, retries=1)()
    assert world.states() == ["Pending", "Running", "Retrying", "Failed"]


def test_a_retry_condition_is_asked(world: FakeWorld) -> None:
    asked: list[tuple[str, str]] = []

    def condition(task: Any, run: Any, state: State[Any]) -> bool:
        asked.append((task.name, state.name))
        return False

    with pytest.raises(ValueError, match="attempt 1"):
        failing(5, retries=3, retry_condition_fn=condition)()
    assert asked == [("fails", "Failed")]


def test_delays() -> None:
    assert [failing(0, retries=3, retry_delay_seconds=exponential_backoff(10)).retry_delay(n) for n in (1, 2, 3)] == [
        10,
        20,
        40,
    ]
    assert failing(0, retries=3, retry_delay_seconds=[1, 2]).retry_delay(3) == 2
    jittered = failing(0, retries=1, retry_delay_seconds=10, retry_jitter_factor=0.5)
    assert all(5 <= jittered.retry_delay(1) <= 15 for _ in range(50))
    with pytest.raises(ValueError, match="50"):
        failing(0, retry_delay_seconds=[1] * 51)


def test_a_timeout_ends_an_attempt_in_any_thread(world: FakeWorld) -> None:
    def slow() -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            time.sleep(0.005)

    timed = Task(slow, timeout_seconds=0.05)
    with pytest.raises(TaskRunTimeoutError):
        timed()
    assert world.states() == ["Pending", "Running", "TimedOut"]
    state: State[Any] = flow(lambda: timed.submit(return_state=True))(return_state=True)
    assert state.message == "1/1 states failed."

    async def aslow() -> None:
        await asyncio.sleep(10)

    with pytest.raises(TaskRunTimeoutError):
        asyncio.run(Task(aslow, timeout_seconds=0.05)())


def test_who_waits_for_a_failure_is_not_ready(world: FakeWorld) -> None:
    @flow
    def downstream() -> list[Any]:
        a = bad.submit()
        futures = [ok.submit(a), ok.submit(1, wait_for=[a]), ok.submit({"deep": [a]})]
        allowed = ok.submit(allow_failure(a))
        wait([*futures, allowed])
        assert isinstance(allowed.result(), ValueError)
        for future in futures:
            with pytest.raises(UnfinishedRun):
                future.result()
        return [(f.state.type.value, f.state.name) for f in futures]

    assert downstream() == [("PENDING", "NotReady")] * 3


def test_map(world: FakeWorld) -> None:
    @task
    def pair(a: Any, b: Any, c: str = "xyz") -> Any:
        return (a, b, c)

    @flow
    def maps() -> None:
        assert pair.map([1, 2], unmapped([0])).result() == [(1, [0], "xyz"), (2, [0], "xyz")]
        assert pair.map(ok.map([1, 2]), b="text").result() == [(1, "text", "xyz"), (2, "text", "xyz")]
        assert pair.map(ok.submit([1, 2]), 0).result() == [(1, 0, "xyz"), (2, 0, "xyz")]
        assert ok.map([]) == []
        assert [s.name for s in bad.map([1, 2], return_state=True)] == ["Failed", "Failed"]
        with pytest.raises(MappingLengthMismatch, match=r"\{'a': 2, 'b': 1\}"):
            pair.map([1, 2], [1])
        with pytest.raises(MappingMissingIterable):
            pair.map(1, 2)

    maps()


def test_a_runner_with_one_thread_does_not_wait_for_itself(world: FakeWorld) -> None:
    release = threading.Event()

    @task
    def first() -> int:
        release.wait(60)
        return 1

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def chain() -> int:
        a = first.submit()
        b = ok.submit(a)
        c = ok.submit(5)
        release.set()
        done = [future.result() for future in as_completed([a, b, c], timeout=60)]
        return sum(done)

    assert chain() == 7


def test_inputs_are_told(world: FakeWorld) -> None:
    @flow
    def inputs() -> None:
        a = ok.submit([1])
        value = a.result()
        ok(value)
        ok.submit([a], wait_for=[a]).wait()
        ok(quote([a]))

    inputs()
    told = [e["payload"]["task_run"]["task_inputs"] for e in world.events if e["event"].endswith("Pending")]
    first = next(e for e in world.events if e["event"].endswith("Pending"))
    link = [{"input_type": "task_run", "id": first["resource"]["prefect.resource.id"].rpartition(".")[2]}]
    assert told == [{"x": []}, {"x": link}, {"x": link, "wait_for": link}, {"x": []}]


def test_an_event_tells_all_of_a_state(world: FakeWorld) -> None:
    @flow(name="told")
    def told() -> None:
        task(name="t", tags=["blue"], version="7")(lambda: None)()

    told()
    pending, running, completed = world.events
    assert [e["follows"] for e in world.events] == [None, pending["id"], running["id"]]
    assert completed["payload"]["intended"] == {"from": "RUNNING", "to": "COMPLETED"}
    assert completed["payload"]["initial_state"] == {
        "type": "RUNNING",
        "name": "Running",
        "message": "",
        "state_details": {},
    }
    run = completed["payload"]["task_run"]
    assert run["end_time"] == completed["occurred"] > run["start_time"] == running["occurred"]
    assert (run["run_count"], run["flow_run_run_count"], run["tags"]) == (1, 1, ["blue"])
    assert completed["resource"]["prefect.run-count"] == "1"
    assert {e["prefect.resource.role"] for e in completed["related"]} == {"flow-run", "flow", "tag"}


def test_slots_of_tags_are_waited_for_and_given_back(world: FakeWorld) -> None:
    world.api.busy = [0.01, 0.01]
    assert Task(lambda: len(world.api.leases), tags=["limited"])() == 1
    assert not world.api.leases


def test_hooks(world: FakeWorld) -> None:
    called: list[tuple[str, ...]] = []

    def hook(task: Any, run: Any, state: State[Any]) -> None:
        called.append((task.name, run.name[:5], state.name))
        raise RuntimeError("hooks hold nothing up")

    async def later(task: Any, run: Any, state: State[Any]) -> None:
        called.append(("async", state.name))

    t = failing(1, retries=1, on_running=[hook], on_completion=[hook, later], on_failure=[hook])
    assert t() == 2
    assert called == [
        ("fails", "fails", "Running"),
        ("fails", "fails", "Retrying"),
        ("fails", "fails", "Completed"),
        ("async", "Completed"),
    ]


def test_names_of_runs(world: FakeWorld) -> None:
    from sempre import runtime

    @task(task_run_name="hi-{x}")
    def named(x: int) -> tuple[Any, ...]:
        return runtime.task_run.name, runtime.task_run.parameters, runtime.flow_run.name

    @flow(flow_run_name=lambda: "called")
    def names() -> Any:
        return named(3)

    assert names() == ("hi-3", {"x": 3}, "called")
    assert runtime.task_run.name is None


def test_a_call_that_does_not_fit_makes_no_run(world: FakeWorld) -> None:
    @task
    def two(a: int, b: int) -> int:
        return a + b

    with pytest.raises(ParameterBindError, match="missing a required argument: 'b'"):
        two(1)  # type: ignore[call-overload]
    assert world.events == []
    with pytest.raises(RuntimeError, match="no flow here"):
        two.submit(1, 2)


def test_tasks_of_methods_and_partial_arguments(world: FakeWorld) -> None:
    class Loader:
        def __init__(self, factor: int) -> None:
            self.factor = factor

        @task
        def load(self, x: int) -> int:
            return self.factor * x

    assert Loader(3).load(2) == 6

    @task
    def varied(a: int, /, *rest: int, key: str = "k", **more: int) -> Any:
        return a, rest, key, more

    assert varied(1, 2, 3, key="j", z=4) == (1, (2, 3), "j", {"z": 4})


def test_options_that_do_not_go_together() -> None:
    from sempre.sdk.caching import INPUTS

    with pytest.raises(ValueError, match="not both"):
        Task(lambda: 1, cache_policy=INPUTS, cache_key_fn=lambda c, a: "k")
    with pytest.raises(ValueError, match="persist_result"):
        Task(lambda: 1, cache_policy=INPUTS, persist_result=False)
    with pytest.raises(TypeError):
        task(nonsense=1)(lambda: 1)  # type: ignore[call-overload]
    copy = ok.with_options(name="other", retries=4)
    assert (copy.name, copy.retries, ok.name) == ("other", 4, "ok")
