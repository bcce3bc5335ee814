"""Tasks: called, submitted, mapped; what they wait for, and what follows when one fails."""

import asyncio
from typing import Any

from sempre import allow_failure, flow, tags, task, unmapped
from sempre.futures import as_completed, wait
from sempre.states import Completed
from sempre.task_runners import ThreadPoolTaskRunner
from tests.conformance.sdk.tools import ended, error_of


@task
def add(x: int, y: int = 1) -> int:
    return x + y


@task(name="a task of another name", tags=["arithmetic"])
def times(x: int, y: int) -> int:
    return x * y


@task
def broken(x: int = 0) -> int:
    raise ValueError(f"broken {x}")


@flow
def calling() -> Any:
    total = add(times(2, 3))
    with tags("inner"):
        tagged = times.with_options(tags=["own"])(2, y=2)
    return [total, tagged, ended(add(1, return_state=True)), ended(broken(return_state=True)), add.fn(5)]


def calls() -> Any:
    return calling()


@flow(task_runner=ThreadPoolTaskRunner(max_workers=3))
def submitting() -> Any:
    first = add.submit(1)
    second = times.submit(first, y=10)
    third = add.submit(5, wait_for=[second])
    done, waiting = wait([first, second, third])
    several = [add.submit(number) for number in range(4)]
    ends = sorted(future.result() for future in as_completed(several))
    return [third.result(), second.state.name, len(done), len(waiting), ends]


def submits() -> Any:
    return submitting()


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@flow
def mapping() -> Any:
    doubled = times.map([1, 2, 3], unmapped(2))
    again: Any = add.map(doubled, [10, 20, 30])
    fixed = add.map([1, 2], y=7)
    after = add.map([0, 0], wait_for=[fixed[0]])
    return [again.result(), total(again), fixed.result(), [future.result() for future in after]]


def maps() -> Any:
    wrong: Any = flow(name="mapping wrongly")(lambda: times.map([1, 2], [1, 2, 3]))
    never: Any = flow(name="mapping nothing")(lambda: times.map(1, 2))
    return [mapping(), error_of(wrong)[0], error_of(never)[0]]


@task
async def later(x: int) -> int:
    await asyncio.sleep(0.01)
    return x + 100


@flow
async def awaiting() -> Any:
    submitted = [later.submit(number) for number in range(2)]
    gathered = await asyncio.gather(later(5), later(6))
    return [gathered, [future.result() for future in submitted], add(1), later.map([1, 2]).result()]


def coroutines() -> Any:
    return asyncio.run(awaiting())


@task
def told(result: Any) -> str:
    return type(result).__name__


@flow
def failing() -> Any:
    failed = broken.submit(1)
    never = add.submit(failed)
    after = add.submit(1, wait_for=[never])
    anyway = told.submit(allow_failure(failed))
    wait([failed, never, after, anyway])
    return Completed(data=[failed.state.name, never.state.name, after.state.name, anyway.result()])


@flow
def failing_uncaught() -> int:
    return add(broken(2))


@flow
def failing_left_behind() -> None:
    broken.submit(3)


@flow
def failing_returned() -> Any:
    return [add.submit(1), broken.submit(4), broken.submit(5)]


def failures() -> Any:
    state = failing_returned(return_state=True)
    return [
        failing(),
        error_of(failing_uncaught),
        ended(failing_left_behind(return_state=True)),
        [state.name, state.message],
    ]


@task
def outer(x: int) -> int:
    return add(x) + inner_flow(x)


@flow
def inner_flow(x: int) -> int:
    return add(x, 10)


@flow
def nesting() -> Any:
    return outer(1)


def nested() -> Any:
    return nesting()


class Counter:
    def __init__(self, start: int) -> None:
        self.start = start

    @task
    def from_start(self, x: int) -> int:
        return self.start + x

    @flow
    def counting(self, x: int) -> int:
        return self.from_start(x)


def methods() -> Any:
    return Counter(40).counting(2)


@task
def numbers(count: int) -> Any:
    yield from range(count)


@flow
def generating() -> list[int]:
    return [add(number) for number in list(numbers(3))]


def generators() -> Any:
    return generating()


EXAMPLES = [calls, submits, maps, coroutines, failures, nested, methods, generators]
