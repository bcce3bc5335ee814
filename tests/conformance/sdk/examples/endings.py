"""How runs end: what is returned, what is raised, what takes too long."""

import asyncio
import sys
import time
from typing import Any

from sempre import State, flow, task
from sempre.states import Cancelled, Completed, Failed
from tests.conformance.sdk.tools import ended, error_of


@task
def fine() -> int:
    return 1


@task
def fails() -> None:
    raise RuntimeError("fails")


@task
def returns_state(kind: str) -> State[Any]:
    return Completed(message="made by hand", data=5) if kind == "good" else Failed(message="made by hand")


@flow
def returning(what: str) -> Any:
    made: dict[str, Any] = {
        "nothing": lambda: None,
        "value": lambda: {"a": [1, 2]},
        "completed": lambda: Completed(message="by hand", data=7),
        "failed": lambda: Failed(message="by hand"),
        "named": lambda: Completed(name="Polished"),
        "cancelled": lambda: Cancelled(message="by hand"),
        "future": lambda: fine.submit(),
        "failed future": lambda: fails.submit(),
        "futures": lambda: [fine.submit(), fine.submit()],
        "mixed futures": lambda: (fine.submit(), fails.submit()),
        "task state": lambda: fine(return_state=True),
        "failed task state": lambda: fails(return_state=True),
        "states": lambda: [Completed(), Completed()],
        "mixed states": lambda: [Completed(), Failed(message="one")],
        "dict of futures": lambda: {"a": fine.submit()},
        "exception": lambda: ValueError("returned, not raised"),
    }
    return made[what]()


RETURNED = (
    "nothing", "value", "completed", "named", "future", "failed future", "task state", "failed task state", "states",
    "mixed states", "exception",
)  # fmt: skip
RETURNED_STATES = ("failed", "futures", "mixed futures", "dict of futures", "cancelled")


def returned() -> Any:
    return [[what, *ended(returning(what, return_state=True))] for what in RETURNED]


def returned_states() -> Any:
    states = [returning(what, return_state=True) for what in RETURNED_STATES]
    return [[state.type.value, state.name, state.message] for state in states]


@flow
def task_states() -> Any:
    good, bad = returns_state("good", return_state=True), returns_state("bad", return_state=True)
    return [ended(good), [bad.type.value, bad.name, bad.message], error_of(lambda: returns_state("bad"))[0]]


def states_of_tasks() -> Any:
    return task_states()


@flow
def raising() -> None:
    raise KeyError("raised")


def raised() -> Any:
    return [error_of(raising), ended(raising(return_state=True))]


@flow
def exits() -> None:
    sys.exit(3)


@task
def exits_in_task() -> None:
    sys.exit(4)


@flow
def task_exits() -> None:
    exits_in_task()


def crashes() -> Any:
    kinds = []
    for crashing in (exits, task_exits):
        try:
            crashing()
        except BaseException as error:
            kinds.append(type(error).__name__)
    return kinds


@task(timeout_seconds=0.8)
def slow() -> None:
    time.sleep(10)


@task(timeout_seconds=0.8)
async def slow_later() -> None:
    await asyncio.sleep(10)


@task(timeout_seconds=0.8, retries=1)
def slow_again() -> None:
    time.sleep(10)


@flow
async def slow_tasks() -> Any:
    return [
        (await slow_later(return_state=True)).name,
        error_of(lambda: slow())[0],
        slow_again(return_state=True).name,
        slow.submit(return_state=True).name,
    ]


@flow(timeout_seconds=0.8)
def slow_flow() -> None:
    for _ in range(100):
        time.sleep(0.1)


@flow(timeout_seconds=0.8)
async def slow_flow_later() -> None:
    await asyncio.sleep(10)


def timeouts() -> Any:
    return [
        asyncio.run(slow_tasks()),
        slow_flow(return_state=True).name,
        asyncio.run(slow_flow_later(return_state=True)).name,
        error_of(slow_flow)[0],
    ]


EXAMPLES = [returned, returned_states, states_of_tasks, raised, crashes, timeouts]
