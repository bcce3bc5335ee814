"""Whoever waits for an event can be stopped at any moment, that of the event included."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from sempre.db.waiting import wait_at_most

LONG = 600.0
SOON = 60.0  # by far enough for the busiest machine, and far from LONG


async def begun(event: asyncio.Event, seconds: float = LONG) -> asyncio.Task[None]:
    task = asyncio.create_task(wait_at_most(seconds, event))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_it_waits_for_the_event_and_no_longer() -> None:
    event = asyncio.Event()
    waiting = await begun(event)
    event.set()
    await asyncio.wait([waiting], timeout=SOON)
    assert waiting.done(), "it goes on waiting for what has happened"
    await waiting


async def test_an_event_that_was_set_before_is_enough() -> None:
    event = asyncio.Event()
    event.set()
    waiting = asyncio.create_task(wait_at_most(LONG, event))
    await asyncio.wait([waiting], timeout=SOON)
    assert waiting.done()
    await waiting


@pytest.mark.parametrize("seconds", [0.05, 0.0, -1.0])
async def test_it_ends_without_the_event_and_says_nothing(seconds: float) -> None:
    event = asyncio.Event()
    began = time.monotonic()
    await wait_at_most(seconds, event)
    assert time.monotonic() - began >= seconds
    assert not event.is_set()


async def test_a_cancellation_in_the_turn_of_the_event_is_not_lost() -> None:
    """At every number of turns between the two: wait_for swallows it at some of them."""
    for turns in range(6):
        for event_first in (True, False):
            event = asyncio.Event()
            waiting = asyncio.create_task(_for_ever(event))
            for _ in range(3):
                await asyncio.sleep(0)
            first, second = _both(event.set, waiting.cancel, event_first)
            first()
            for _ in range(turns):
                await asyncio.sleep(0)
            second()
            await asyncio.wait([waiting], timeout=SOON)
            assert waiting.cancelled(), (turns, event_first)


async def test_a_cancellation_in_the_turn_of_the_end_is_not_lost() -> None:
    loop = asyncio.get_running_loop()
    for ahead in (-0.0005, 0.0, 0.0005):
        waiting = asyncio.create_task(_for_ever(asyncio.Event(), 0.02))
        await asyncio.sleep(0)
        loop.call_later(0.02 + ahead, waiting.cancel)
        await asyncio.wait([waiting], timeout=SOON)
        assert waiting.cancelled(), ahead


async def _for_ever(event: asyncio.Event, seconds: float = LONG) -> None:
    """As the loops of the server do."""
    while True:
        await wait_at_most(seconds, event)
        event.clear()


def _both(
    one: Callable[[], object], other: Callable[[], object], in_order: bool
) -> tuple[Callable[[], object], Callable[[], object]]:
    return (one, other) if in_order else (other, one)
