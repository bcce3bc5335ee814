"""Limits of concurrency and of rates. The test makes the limits `SIDE-two`, `SIDE-rate` and the tag `SIDE-tag`."""

import asyncio
import threading
import time
from typing import Any

from sempre import flow, task
from sempre.concurrency.asyncio import concurrency as aconcurrency
from sempre.concurrency.sync import concurrency, rate_limit
from tests.conformance.sdk.tools import error_of, own

inside: list[int] = []
most: list[int] = []
lock = threading.Lock()


def work() -> None:
    with lock:
        inside.append(1)
        most.append(len(inside))
    time.sleep(0.1)
    with lock:
        inside.pop()


@task
def limited() -> None:
    with concurrency(own("two"), occupy=1):
        work()


@flow
def slots() -> int:
    most.clear()
    for future in [limited.submit() for _ in range(4)]:
        future.result()
    return max(most)


def concurrency_slots() -> Any:
    return slots()


@flow
async def async_slots() -> str:
    async with aconcurrency([own("two")], occupy=2):
        await asyncio.sleep(0.05)
    return "held"


@flow
def strictly() -> None:
    with concurrency(own("missing"), strict=True):
        pass


@flow
def leniently() -> str:
    with concurrency(own("missing")):
        return "went on"


@flow
def too_long() -> list[str]:
    with concurrency(own("two"), occupy=2):
        return [error_of(occupied)[0]]


def occupied() -> None:
    with concurrency(own("two"), occupy=1, timeout_seconds=0.5):
        pass


def ends() -> Any:
    return [asyncio.run(async_slots()), error_of(strictly)[0], leniently(), too_long()]


@flow
def at_a_rate() -> bool:
    began = time.monotonic()
    for _ in range(3):
        rate_limit(own("rate"))
    return time.monotonic() - began > 0.5


def rates() -> Any:
    return at_a_rate()


@task(tags=[own("tag")])
def one_at_a_time(number: int) -> int:
    work()
    return number


@flow
def tagged() -> Any:
    most.clear()
    return [one_at_a_time.map([1, 2]).result(), max(most)]


def tags_of_tasks() -> Any:
    return tagged()


EXAMPLES = [concurrency_slots, ends, rates, tags_of_tasks]
