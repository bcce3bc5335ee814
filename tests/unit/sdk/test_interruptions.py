"""A flow that is cancelled, or whose time is over, takes its tasks in threads and processes with it."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sempre.sdk.errors import TerminationSignal
from sempre.sdk.flows import flow
from sempre.sdk.runners.processes import ProcessPoolTaskRunner
from sempre.sdk.runners.threads import ThreadPoolTaskRunner
from sempre.sdk.tasks import task
from tests.support.wait import eventually
from tests.unit.sdk.fakes import FakeWorld

LONG = 600.0
SOON = 60.0


def cancel(world: FakeWorld) -> None:
    """As the watch of a run that somebody cancels does it."""
    world.watches[0].cancelled = True
    raise TerminationSignal


class Begun:
    """Tasks that go on for ever, each in its way."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.seen: list[str] = []

    def computing(self) -> None:
        self.event.set()
        try:
            while True:
                time.sleep(0.01)
        finally:
            self.seen.append("cleaned up")

    async def awaiting(self) -> None:
        self.event.set()
        try:
            await asyncio.sleep(LONG)
        finally:
            self.seen.append("cleaned up")

    def failing(self) -> None:
        self.event.set()
        raise ValueError("again later")


@pytest.fixture
def begun() -> Begun:
    return Begun()


@pytest.mark.parametrize("kind", ["computing", "awaiting"])
def test_tasks_in_threads_are_interrupted(world: FakeWorld, begun: Begun, kind: str) -> None:
    endless, after = task(getattr(begun, kind)), task(lambda: begun.seen.append("after"), name="after")

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def cancelled() -> None:
        endless.submit()
        after.submit()
        assert begun.event.wait(SOON)
        cancel(world)

    began = time.monotonic()
    assert cancelled(return_state=True).is_cancelled()
    assert time.monotonic() - began < SOON
    assert begun.seen == ["cleaned up"]
    assert world.states(kind)[-1] == "Crashed"
    assert "Running" not in world.states("after")


def test_a_retry_is_not_waited_for(world: FakeWorld, begun: Begun) -> None:
    @flow
    def cancelled() -> None:
        task(begun.failing, retries=3, retry_delay_seconds=LONG).submit()
        eventually(lambda: "AwaitingRetry" in world.states(), "the task waits for its retry")
        cancel(world)

    began = time.monotonic()
    assert cancelled(return_state=True).is_cancelled()
    assert time.monotonic() - began < SOON


def test_when_the_time_of_a_flow_is_over(world: FakeWorld, begun: Begun) -> None:
    @flow(timeout_seconds=0.5)
    def slow() -> None:
        task(begun.computing).submit().wait()

    assert slow(return_state=True).name == "TimedOut"
    assert begun.seen == ["cleaned up"]


def test_a_flow_that_waits_for_its_tasks_only(world: FakeWorld, begun: Begun) -> None:
    """The function has returned, and the runner is being closed."""

    @flow(timeout_seconds=LONG)
    async def returned() -> None:
        task(begun.computing).submit()

    async def both() -> Any:
        running = asyncio.ensure_future(returned(return_state=True))
        await asyncio.to_thread(begun.event.wait, SOON)
        world.watches[0].cancelled = True
        running.cancel()
        return await running

    assert asyncio.run(both()).is_cancelled()
    assert begun.seen == ["cleaned up"]


def test_a_flow_in_a_thread_is_reached_while_it_waits(world: FakeWorld, begun: Begun) -> None:
    from sempre.sdk.engine.timeouts import interrupt_thread

    states: list[Any] = []

    @flow
    def waiting() -> None:
        task(begun.computing).submit().result()

    thread = threading.Thread(target=lambda: states.append(waiting(return_state=True)))
    thread.start()
    assert begun.event.wait(SOON)
    world.watches[0].cancelled = True
    assert thread.ident is not None
    interrupt_thread(thread.ident, TerminationSignal)
    thread.join(SOON)
    assert [state.name for state in states] == ["Cancelled"]


def endless(mark: Path) -> None:
    mark.write_text("begun")
    time.sleep(LONG)


def test_tasks_in_processes_are_interrupted(world: FakeWorld, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def cancelled() -> None:
        task(endless).submit(mark)
        eventually(mark.exists, "the task begins")
        cancel(world)

    began = time.monotonic()
    assert cancelled(return_state=True).is_cancelled()
    assert time.monotonic() - began < SOON
    eventually(lambda: world.states("endless")[-1] == "Crashed", "the end of the task is told")
