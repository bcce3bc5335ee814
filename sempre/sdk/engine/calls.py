"""From a call of a task or flow to its engine: what the call depends on is gathered, and a driver chosen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from sempre.sdk.context import FlowRunContext, TaskRunContext, current_tags, parents
from sempre.sdk.engine.asset_events import upstream_assets
from sempre.sdk.engine.drivers import adrive, adrive_generator, drive, drive_generator
from sempre.sdk.engine.effects import Steps
from sempre.sdk.engine.flow_run import FlowCall, FlowEnd, run_flow
from sempre.sdk.engine.related import related_to_flow_run, with_tags
from sempre.sdk.engine.task_run import TaskCall, begin, run_task
from sempre.sdk.engine.world import World, current_world
from sempre.sdk.inputs import task_inputs
from sempre.sdk.loggers import capture_prints, task_logger
from sempre.sdk.results.store import default_store
from sempre.sdk.runs import FlowRun, TaskRun
from sempre.sdk.states import State
from sempre.sdk.tasks import UNSET
from sempre.settings import get_current_settings

if TYPE_CHECKING:
    from sempre.sdk.flows import Flow
    from sempre.sdk.futures import Future
    from sempre.sdk.tasks import Task

__all__ = ["call_flow", "call_task", "execute_flow_run", "perform", "prepare", "submit_task"]


def prepare(
    task: Task[Any, Any],
    parameters: dict[str, Any],
    wait_for: Iterable[Any] | None,
    run: TaskRun | None = None,
    flow_run: FlowRun | None = None,
) -> TaskCall:
    """A call of the task, its run PENDING. ``run``: one that was created before, elsewhere, in ``flow_run`` if any."""
    flow, outer = FlowRunContext.get(), TaskRunContext.get()
    settings = get_current_settings()
    if run is None:
        run = _new_run(task, parameters, wait_for, flow)
    around = flow.related if flow is not None else [] if flow_run is None else related_to_flow_run(flow_run, None)
    base = (outer or flow).result_store if outer or flow else default_store()  # type: ignore[union-attr]
    log_prints = task.log_prints
    if log_prints is None:
        log_prints = flow.log_prints if flow is not None else settings.logging.log_prints
    if log_prints:
        capture_prints()
    call = TaskCall(
        task=task,
        run=run,
        parameters=parameters,
        wait_for=wait_for,
        store=base.with_options(task.result_storage, task.result_serializer),
        persist=_persists(task, flow),
        log_prints=log_prints,
        logger=task_logger(run, task.name, flow),
        related=with_tags(around, run.tags) if run.tags else around,
        flow=flow,
        flow_run=flow_run,
        used_assets=upstream_assets(task, run, flow),
    )
    if run.state is None:
        current_world().emit(begin(call).event)
    return call


def call_task(
    task: Task[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any, return_state: bool
) -> Any:
    """Run a task in the calling thread; for a coroutine function: the coroutine that does."""
    parameters = task.signature.bind(args, kwargs)
    if task.isgenerator and not return_state:
        generate = _agenerate_task if task.isasync else _generate_task
        return generate(task, parameters, wait_for)
    if task.isasync:
        return _acall_task(task, parameters, wait_for, return_state)
    call = prepare(task, parameters, wait_for)
    return _outcome(call, drive(run_task(call), current_world()), return_state)


def _generate_task(task: Task[Any, Any], parameters: dict[str, Any], wait_for: Any) -> Iterator[Any]:
    call = prepare(task, parameters, wait_for)
    yield from drive_generator(run_task(call), current_world())
    if call.returned is None and call.run.state is not None:
        call.run.state.result()


async def _agenerate_task(task: Task[Any, Any], parameters: dict[str, Any], wait_for: Any) -> AsyncIterator[Any]:
    call = prepare(task, parameters, wait_for)
    items = adrive_generator(run_task(call), current_world())
    async with aclosing(items):
        async for item in items:
            yield item
    if call.returned is None and call.run.state is not None:
        call.run.state.result()


async def _acall_task(task: Task[Any, Any], parameters: dict[str, Any], wait_for: Any, return_state: bool) -> Any:
    call = prepare(task, parameters, wait_for)
    return _outcome(call, await adrive(run_task(call), current_world()), return_state)


def submit_task(task: Task[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any) -> Future[Any]:
    """Hand a task to the runner of the flow around. Raises RuntimeError outside of one."""
    return submit_parameters(task, task.signature.bind(args, kwargs), wait_for)


def submit_parameters(task: Task[Any, Any], parameters: dict[str, Any], wait_for: Any) -> Future[Any]:
    flow = FlowRunContext.get()
    if flow is None:
        raise RuntimeError(
            "There is no flow here whose task runner could run this task. Submit tasks inside of flows; outside of "
            "them, call the task, or use .delay() to have a task worker run it."
        )
    return flow.task_runner.submit(prepare(task, parameters, wait_for))


def perform(call: TaskCall) -> State[Any]:
    """A call from beginning to end in this thread, coroutine functions in a loop of their own."""
    if call.task.isasync:
        return asyncio.run(adrive(run_task(call), current_world()))
    return drive(run_task(call), current_world())


def call_flow(
    flow: Flow[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any, return_state: bool
) -> Any:
    """Run a flow in the calling thread; for a coroutine function: the coroutine that does."""
    call = FlowCall(flow, flow.signature.bind(args, kwargs), wait_for, FlowRunContext.get(), tags=current_tags())
    return _run(call, return_state)


def execute_flow_run(
    flow: Flow[Any, Any],
    run: FlowRun,
    return_state: bool = False,
    *,
    reschedules: bool = False,
    relinquishes: bool = False,
) -> Any:
    """Run the flow for a run that the server has already. A coroutine for a coroutine function.

    ``reschedules``: a SIGTERM hands the run back to the server, which schedules it again, instead of crashing it.
    ``relinquishes``: a SIGTERM leaves the run as it is, for a process that is started in the place of this one.
    """
    call = FlowCall(flow, dict(run.parameters), None, None, run=run, reschedules=reschedules, relinquishes=relinquishes)
    return _run(call, return_state)


def _run(call: FlowCall, return_state: bool) -> Any:
    world = current_world()
    if call.flow.isgenerator and not return_state:
        return _agenerate_flow(call, world) if call.flow.isasync else _generate_flow(call, world)
    if not call.flow.isasync:
        return drive(run_flow(call, world), world).outcome(return_state)

    async def run() -> Any:
        end: FlowEnd = await adrive(run_flow(call, world), world)
        return end.outcome(return_state)

    return run()


def _generate_flow(call: FlowCall, world: World) -> Iterator[Any]:
    ends: list[FlowEnd] = []

    def steps() -> Steps[None]:
        ends.append((yield from run_flow(call, world)))

    yield from drive_generator(steps(), world)
    if ends[0].returned is None:
        ends[0].state.result()


async def _agenerate_flow(call: FlowCall, world: World) -> AsyncIterator[Any]:
    ends: list[FlowEnd] = []

    def steps() -> Steps[None]:
        ends.append((yield from run_flow(call, world)))

    items = adrive_generator(steps(), world)
    async with aclosing(items):
        async for item in items:
            yield item
    if ends[0].returned is None:
        ends[0].state.result()


def _outcome(call: TaskCall, state: State[Any], return_state: bool) -> Any:
    """What a call of a task gives: what the function returned, a kept value, or an exception."""
    if return_state:
        return state
    return state.result() if call.returned is None else call.returned.value


def _new_run(
    task: Task[Any, Any],
    parameters: dict[str, Any],
    wait_for: Iterable[Any] | None,
    flow: FlowRunContext | None,
) -> TaskRun:
    inputs = task_inputs(parameters, wait_for, flow.lineage.origin if flow is not None else lambda _: None)
    run = TaskRun(
        name="",
        task_key=task.task_key,
        flow_run_id=None if flow is None else flow.flow_run.id,
        tags=sorted({*task.tags, *current_tags()}),
        task_inputs={**inputs, **parents()},
        task_version=task.version,
        empirical_policy=_policy(task),
    )
    run.name = task.name if flow is None else f"{task.name}-{run.dynamic_key[:3]}"
    return run


def _policy(task: Task[Any, Any]) -> dict[str, Any]:
    policy = {
        "max_retries": 0,
        "retry_delay_seconds": 0.0,
        "retries": task.retries,
        "retry_delay": task.retry_delay_seconds,
    }
    if task.retry_jitter_factor is not None:
        policy["retry_jitter_factor"] = task.retry_jitter_factor
    return policy


def _persists(task: Task[Any, Any], flow: FlowRunContext | None) -> bool:
    """Whether the task's values are kept: what it says, what its options imply, what the flow says, the settings."""
    if task.persist_result is not None:
        return task.persist_result
    if task.cache_policy is not UNSET and getattr(task.cache_policy, "caches", False):
        return True
    if task.cache_key_fn or task.result_storage or task.result_serializer or task.result_storage_key:
        return True
    if flow is not None and flow.persist_result is not None:
        return flow.persist_result
    settings = get_current_settings()
    by_default = settings.tasks.default_persist_result
    return settings.results.persist_by_default if by_default is None else by_default
