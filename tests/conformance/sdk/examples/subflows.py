"""Flows in flows."""

import asyncio
from typing import Any

from sempre import flow, runtime, tags, task
from tests.conformance.sdk.tools import ended, error_of


@task
def one() -> int:
    return 1


@flow(flow_run_name="child {number}")
def child(number: int) -> int:
    if number < 0:
        raise ValueError("negative")
    return number + one()


@flow
async def async_child(number: int) -> int:
    await asyncio.sleep(0.01)
    return number + one()


@flow
def parent() -> Any:
    first = child(1)
    with tags("in-parent"):
        second = child(first)
    return [second, ended(child(-1, return_state=True))]


def plain() -> Any:
    return parent()


@flow
def failing_parent() -> None:
    child(-2)


def failing() -> Any:
    return [error_of(failing_parent), ended(failing_parent(return_state=True))]


@flow
async def async_parent() -> Any:
    gathered = await asyncio.gather(async_child(1), async_child(2))
    state = await async_child(3, return_state=True)
    return [gathered, state.name, child(4)]


def asynchronous() -> Any:
    return asyncio.run(async_parent())


@flow
def grandparent() -> Any:
    return [middle(), runtime.flow_run.parent_flow_run_id]


@flow
def middle() -> Any:
    run = runtime.flow_run
    return [child(10), run.parent_flow_run_id is not None, run.root_flow_run_id == run.parent_flow_run_id]


def three_levels() -> Any:
    return grandparent()


@flow
def waiting_parent() -> Any:
    future = one.submit()
    return [child(future.result()), child(7, wait_for=[future])]


def waits() -> Any:
    return waiting_parent()


EXAMPLES = [plain, failing, asynchronous, three_levels, waits]
