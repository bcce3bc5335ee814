"""Waiting for the end of runs that others execute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sempre.sdk.dual import dual
from sempre.sdk.engine.requests import ReadFlowRun
from sempre.sdk.engine.world import current_world
from sempre.sdk.errors import FlowRunWaitTimeout
from sempre.sdk.loggers import get_logger
from sempre.sdk.runs import FlowRun
from sempre.sdk.states import State

__all__ = ["await_flow_run", "end_of", "wait_for_flow_run"]

_FIRST_LOOK = 0.25  # seconds; looks then become rarer, up to the poll interval


async def await_flow_run(
    flow_run_id: UUID | str, timeout: float | None = 10800, poll_interval: float = 5, log_states: bool = False
) -> FlowRun:
    """The run once it has ended, however it did; ``log_states`` logs each state that is seen on the way.

    Raises FlowRunWaitTimeout after ``timeout`` seconds, ObjectNotFound if there is no such run.
    """

    def say(state: State[Any]) -> None:
        if log_states:
            get_logger("flow_runs").info(f"Flow run {flow_run_id} is in state {state}")

    run = await end_of(UUID(str(flow_run_id)), timeout, poll_interval, say)
    if run.state is None or not run.state.is_final():
        raise FlowRunWaitTimeout(f"Flow run {run.name!r} ({run.id}) has not ended within {timeout:g} seconds.")
    return run


wait_for_flow_run = dual(await_flow_run)


async def end_of(
    id: UUID, timeout: float | None, poll_interval: float, seen: Callable[[State[Any]], None] | None = None
) -> FlowRun:
    """The run once it has ended, or as it is after ``timeout`` seconds; ``seen`` is called with each new state."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = _FIRST_LOOK
    last: UUID | None = None
    while True:
        run: FlowRun = await current_world().aask(ReadFlowRun(id))
        state = run.state
        if seen is not None and state is not None and state.id != last:
            last = state.id
            seen(state)
        left = None if deadline is None else deadline - time.monotonic()
        if (state is not None and state.is_final()) or (left is not None and left <= 0):
            return run
        await asyncio.sleep(pause if left is None else min(pause, left))
        pause = min(pause * 2, max(poll_interval, _FIRST_LOOK))
