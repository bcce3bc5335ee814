"""Tasks without a flow around them."""

import asyncio
from typing import Any

from sempre import runtime, task
from tests.conformance.sdk.tools import ended, error_of


@task
def add(x: int, y: int = 1) -> int:
    return x + y


@task(tags=["arithmetic"], task_run_name="times {y}", retries=1)
def times(x: int, y: int) -> int:
    if runtime.task_run.run_count < 2:
        raise ValueError("again")
    return x * y


@task
def broken() -> None:
    raise ValueError("broken")


@task
async def later(x: int) -> int:
    await asyncio.sleep(0.01)
    return x + add(100)


def tasks() -> Any:
    return [add(1), ended(times(2, 2, return_state=True)), error_of(broken), asyncio.run(later(1))]


def outside() -> Any:
    """What there is in flows only."""
    return [error_of(lambda: add.submit(1))[0], runtime.flow_run.id, runtime.task_run.id]


EXAMPLES = [tasks, outside]
