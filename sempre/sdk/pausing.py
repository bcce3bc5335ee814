"""Pausing, suspending and resuming flow runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from sempre.client import get_client
from sempre.sdk.context import FlowRunContext, TaskRunContext
from sempre.sdk.dual import dual
from sempre.sdk.engine.requests import Answer, Propose, ReadFlowRun
from sempre.sdk.engine.world import current_world
from sempre.sdk.errors import Abort, FlowPauseTimeout, MissingContextError, NotPausedError, Pause
from sempre.sdk.loggers import get_run_logger
from sempre.sdk.run_inputs import Expected, keyset_of
from sempre.sdk.runs import FlowRun
from sempre.sdk.states import Paused, State, Suspended

__all__ = [
    "apause_flow_run",
    "aresume_flow_run",
    "asuspend_flow_run",
    "pause_flow_run",
    "resume_flow_run",
    "suspend_flow_run",
]

_FIRST_LOOK = 0.25  # seconds; looks then become rarer, up to the poll interval


async def apause_flow_run(
    wait_for_input: Any = None, timeout: float = 3600, poll_interval: float = 10, key: str | None = None
) -> Any:
    """As :func:`pause_flow_run`, to be awaited."""
    context = _flow("paused")
    number, expected, keys = _asked(context, "paused", wait_for_input)
    state = Paused(timeout_seconds=timeout, pause_key=key or number)
    get_run_logger(context).info("The run pauses here until it is resumed")
    answer = await _propose(context, state, expected, keys)
    run_id = context.flow_run.id
    if answer.state is not None and answer.state.is_running():  # this pause is over since an earlier attempt
        return await expected.answer(run_id, keys) if expected else None
    if answer.status != "ACCEPT":
        raise RuntimeError(f"The run cannot be paused: {answer.reason}")
    deadline = time.monotonic() + timeout
    pause = _FIRST_LOOK
    while True:
        await asyncio.sleep(max(0.0, min(pause, deadline - time.monotonic())))
        pause = min(pause * 2, max(poll_interval, _FIRST_LOOK))
        run: FlowRun = await current_world().aask(ReadFlowRun(run_id))
        if run.state is not None and run.state.is_running():
            context.flow_run.state = run.state
            get_run_logger(context).info("The run was resumed")
            return await expected.answer(run_id, keys) if expected else None
        if run.state is not None and not run.state.is_paused():
            raise Abort(f"The run was not resumed, it is in state {run.state}.")
        if time.monotonic() >= deadline:
            raise FlowPauseTimeout(f"Nobody resumed the run within {timeout:g} seconds.")


async def asuspend_flow_run(
    wait_for_input: Any = None,
    flow_run_id: UUID | str | None = None,
    timeout: float | None = 3600,
    key: str | None = None,
) -> Any:
    """As :func:`suspend_flow_run`, to be awaited."""
    context = FlowRunContext.get()
    if flow_run_id is not None and (context is None or UUID(str(flow_run_id)) != context.flow_run.id):
        if wait_for_input is not None:
            raise ValueError("Input can be waited for in the run itself only.")
        state = Suspended(timeout_seconds=timeout, pause_key=key or uuid4().hex)
        answer: Answer = await current_world().aask(Propose(UUID(str(flow_run_id)), state, uuid4()))
        if answer.status != "ACCEPT":
            raise RuntimeError(f"The run cannot be suspended: {answer.reason}")
        return None
    if TaskRunContext.get() is not None:
        raise RuntimeError("Only flow runs can be suspended, and this is a task run.")
    context = _flow("suspended")
    number, expected, keys = _asked(context, "suspended", wait_for_input)
    state = Suspended(timeout_seconds=timeout, pause_key=key or number)
    answer = await _propose(context, state, expected, keys)
    if answer.state is not None and answer.state.is_running():  # this process is the one that goes on after it
        return await expected.answer(context.flow_run.id, keys) if expected else None
    if answer.status != "ACCEPT":
        raise RuntimeError(f"The run cannot be suspended: {answer.reason}")
    raise Pause("The run is suspended.", state=answer.state)


async def aresume_flow_run(flow_run_id: UUID | str, run_input: Mapping[str, Any] | None = None) -> None:
    """As :func:`resume_flow_run`, to be awaited."""
    told = await get_client().resume_flow_run(flow_run_id, run_input)
    if str(told.status) in ("REJECT", "ABORT", "SetStateStatus.REJECT", "SetStateStatus.ABORT"):
        reason = getattr(told.details, "reason", None) or "it is not paused"
        raise NotPausedError(f"Flow run {flow_run_id} cannot be resumed: {reason}")


def pause_flow_run(
    wait_for_input: Any = None, timeout: float = 3600, poll_interval: float = 10, key: str | None = None
) -> Any:
    """Wait here until somebody resumes the run; code and process stay as they are.

    ``wait_for_input``: a RunInput class, or another type, that has to be entered then; it is returned. Tasks that were
    submitted go on. Raises FlowPauseTimeout after ``timeout`` seconds. ``key`` tells the pauses of a run apart; they
    are counted otherwise. To be awaited in coroutines.
    """
    return _pause(wait_for_input, timeout, poll_interval, key)


def suspend_flow_run(
    wait_for_input: Any = None,
    flow_run_id: UUID | str | None = None,
    timeout: float | None = 3600,
    key: str | None = None,
) -> Any:
    """Give this process up until somebody resumes the run, which a worker then executes again from the beginning: this
    call then returns, with the input if some was waited for. Only runs of deployments can be suspended.

    ``flow_run_id``: suspend that run instead; whoever executes it notices. To be awaited in coroutines.
    """
    return _suspend(wait_for_input, flow_run_id, timeout, key)


def resume_flow_run(flow_run_id: UUID | str, run_input: Mapping[str, Any] | None = None) -> None:
    """Resume a paused or suspended run, with the input that it waits for. Raises NotPausedError if it is neither, or
    the input does not fit. To be awaited in coroutines."""
    return _resume(flow_run_id, run_input)


_pause = dual(apause_flow_run)
_suspend = dual(asuspend_flow_run)
_resume = dual(aresume_flow_run)


def _flow(what: str) -> FlowRunContext:
    context = FlowRunContext.get()
    if context is None:
        raise MissingContextError(f"There is no flow run here that could be {what}.")
    return context


def _asked(context: FlowRunContext, kind: str, wanted: Any) -> tuple[str, Expected | None, dict[str, str]]:
    number = str(context.next_call("pause") + 1)
    return number, None if wanted is None else Expected(wanted), keyset_of(kind, number)


async def _propose(
    context: FlowRunContext, state: State[Any], expected: Expected | None, keys: dict[str, str]
) -> Answer:
    if expected is not None:
        state.state_details = replace(state.state_details, run_input_keyset=keys)
        await expected.ask(context.flow_run.id, keys)
    answer: Answer = await current_world().aask(Propose(context.flow_run.id, state, uuid4()))
    return answer
