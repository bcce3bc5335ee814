"""Calls of tasks that are executed in another process: packed, executed there, and settled here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cloudpickle

from sempre.sdk.context import FlowRunContext
from sempre.sdk.engine.world import World, current_world
from sempre.sdk.errors import TerminationSignal
from sempre.sdk.inputs import resolve
from sempre.sdk.returned import crashed

if TYPE_CHECKING:
    from sempre.sdk.engine.effects import Request
    from sempre.sdk.engine.task_run import TaskCall
    from sempre.sdk.engine.world import Watch
    from sempre.sdk.futures import Future
    from sempre.sdk.runs import FlowRun
    from sempre.sdk.states import State

__all__ = ["ForwardingWorld", "Tell", "execute_packed", "pack", "settle"]

Tell = Callable[[str, dict[str, Any]], None]
"""Called with `event` or `line`, and the content."""


def pack(call: TaskCall, future: Future[Any]) -> bytes | None:
    """The call for another process; None if it cannot be sent, which the future is told."""
    try:
        packed: bytes = cloudpickle.dumps(_portable(call))
    except Exception as error:
        future.resolve(crashed(TypeError(f"this task cannot be sent to another process: {error}")))
        return None
    return packed


def _portable(call: TaskCall) -> dict[str, Any]:
    """What another process needs of a call. What it waited for has ended: a failure is seen here and there alike."""
    try:
        parameters: Any = resolve(call.parameters)
        waited: Any = resolve({"wait_for": call.wait_for})["wait_for"]
    except Exception:
        parameters, waited = call.parameters, call.wait_for
    flow = call.flow
    return {
        "task": call.task,
        "run": call.run,
        "parameters": parameters,
        "wait_for": waited,
        "store": call.store.with_options(),
        "persist": call.persist,
        "log_prints": call.log_prints,
        "related": call.related,
        "used_assets": call.used_assets,
        "flow": None if flow is None else (flow.flow.name, replace(flow.flow_run, state=None), flow.parameters),
        "persist_in_flow": None if flow is None else flow.persist_result,
    }


def settle(call: TaskCall, future: Future[Any], packed: bytes | None, error: BaseException | None) -> None:
    """Take over how the call ended there, or that nothing is known of it."""
    if packed is not None:
        run, state = cloudpickle.loads(packed)
        call.run.state, call.run.run_count = state, run.run_count
        future.resolve(state)
        return
    state = crashed(error or RuntimeError("the flow ended before this task started"))
    current_world().emit(call.enter(state).event)
    future.resolve(state)


# In the other process


class ForwardingWorld:
    """Events and lines go to the flow's process, which ships them; questions to the API directly."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._own: World | None = None

    def emit(self, event: dict[str, Any]) -> None:
        self._tell("event", event)

    def log(self, line: dict[str, Any]) -> None:
        self._tell("line", line)

    def ask(self, request: Request) -> Any:
        return self._asked().ask(request)

    async def aask(self, request: Request) -> Any:
        return await self._asked().aask(request)

    def watch(self, run: FlowRun, flow_name: str) -> Watch:
        return self._asked().watch(run, flow_name)

    def _asked(self) -> World:
        if self._own is None:
            from sempre.sdk.engine.backstage_world import BackstageWorld

            self._own = BackstageWorld()
        return self._own


def execute_packed(packed: bytes) -> bytes:
    """Execute a packed call in this thread; returns how it ended, for :func:`settle`."""
    from sempre.sdk.engine.calls import perform
    from sempre.sdk.engine.task_run import TaskCall
    from sempre.sdk.loggers import capture_prints, task_logger

    given = cloudpickle.loads(packed)
    if given["log_prints"]:
        capture_prints()
    flow = _flow_context(given)
    call = TaskCall(
        task=given["task"],
        run=given["run"],
        parameters=given["parameters"],
        wait_for=given["wait_for"],
        store=given["store"],
        persist=given["persist"],
        log_prints=given["log_prints"],
        logger=task_logger(given["run"], given["task"].name, flow),
        related=given["related"],
        flow=flow,
        used_assets=given["used_assets"],
    )
    try:
        with flow or contextlib.nullcontext():
            state = perform(call)
    except TerminationSignal as error:
        state = call.run.state if call.run.state is not None and call.run.state.is_final() else crashed(error)
    packed_state: bytes = cloudpickle.dumps((call.run, _picklable(state)))
    return packed_state


def _flow_context(given: dict[str, Any]) -> FlowRunContext | None:
    if given["flow"] is None:
        return None
    from sempre.sdk.flows import Flow
    from sempre.sdk.runners.threads import ThreadPoolTaskRunner

    # The flow's function stays where it is: it may refer to what cannot be sent.
    name, run, parameters = given["flow"]
    return FlowRunContext(
        Flow(_elsewhere, name=name),
        run,
        ThreadPoolTaskRunner(),
        given["related"],
        parameters,
        given["store"],
        given["persist_in_flow"],
        given["log_prints"],
    )


def _elsewhere() -> None:
    """Stands for the function of a flow that another process is executing."""


def _picklable(state: State[Any]) -> State[Any]:
    """The state as the parent can read it: what cannot be pickled fails the task."""
    try:
        cloudpickle.dumps(state)
    except Exception as error:
        return crashed(TypeError(f"the task's result cannot be sent back to its flow: {error}"))
    return state
