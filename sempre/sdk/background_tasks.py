"""Tasks that others run: `task.delay(...)` leaves a call with the server, `serve(task, ...)` runs such calls."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import signal
import time
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

from sempre.client import backstage
from sempre.core.states import StateDetails
from sempre.sdk.api import ClientOrchestrator, state_of
from sempre.sdk.context import FlowRunContext, current_tags, parents
from sempre.sdk.engine.calls import perform, prepare
from sempre.sdk.engine.requests import ReadFlowRun
from sempre.sdk.engine.task_events import task_run_event
from sempre.sdk.engine.world import current_world
from sempre.sdk.errors import SempreException
from sempre.sdk.inputs import futures_in, task_inputs
from sempre.sdk.results.store import ResultStore, default_store
from sempre.sdk.runs import TaskRun
from sempre.sdk.states import Scheduled, State
from sempre.sdk.tasks import Task

__all__ = ["DistributedFuture", "aserve", "delay", "serve"]

R = TypeVar("R")

_FIRST_LOOK, _LONGEST_LOOK = 0.1, 2.0  # seconds between two looks at a run


class DistributedFuture(Generic[R]):
    """A task run that some task worker has, or will have."""

    def __init__(self, task_run_id: UUID) -> None:
        self._task_run_id = task_run_id
        self._final: State[R] | None = None

    @property
    def task_run_id(self) -> UUID:
        return self._task_run_id

    @property
    def state(self) -> State[R]:
        """The run's state as the server knows it now."""
        if self._final is not None:
            return self._final
        return backstage.run(self._look())

    def done(self) -> bool:
        return self.state.is_final()

    def wait(self, timeout: float | None = None) -> None:
        """Return once the run has ended, or after ``timeout`` seconds."""
        backstage.run(self.wait_async(timeout))

    async def wait_async(self, timeout: float | None = None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_LOOK
        while not (await self._look()).is_final():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            await asyncio.sleep(pause if left is None else min(pause, left))
            pause = min(2 * pause, _LONGEST_LOOK)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """The run's value, waited for. Its storage has to be within reach of this process.

        Raises the run's exception, or returns it if not ``raise_on_failure``; TimeoutError after ``timeout`` seconds.
        """
        self.wait(timeout)
        if self._final is None:
            raise TimeoutError(f"Task run {self._task_run_id} did not end within {timeout} seconds")
        return self._final.result(raise_on_failure)

    async def _look(self) -> State[R]:
        if self._final is not None:
            return self._final
        told = await ClientOrchestrator().call("GET", f"/task_runs/{self._task_run_id}")
        state: State[R] = state_of(told["state"])
        if state.is_final():
            self._final = state
        return state

    def __repr__(self) -> str:
        return f"<Future of background task run {self._task_run_id}>"


def delay(
    task: Task[Any, R], args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any = None
) -> DistributedFuture[R]:
    """Keep the arguments where task workers find them, and tell the server of the call."""
    parameters = task.signature.bind(args, kwargs)
    if futures_in(parameters, wait_for):
        raise SempreException(
            "Futures cannot be handed to a task worker: it could not wait for them. Hand over their results."
        )
    parameters_id = uuid4()
    store = _store_of(task)
    kept = store.with_options(serializer="pickle").record(
        {"parameters": parameters, "wait_for": wait_for, "context": None}, _key(parameters_id)
    )
    store.write(kept)
    flow = FlowRunContext.get()
    run = TaskRun(
        name=task.name if flow is None else f"{task.name}-{uuid4().hex[:3]}",
        task_key=task.task_key,
        dynamic_key=f"{task.task_key}-{uuid4().hex}",
        flow_run_id=None if flow is None else flow.flow_run.id,
        tags=sorted({*task.tags, *current_tags()}),
        task_inputs={**task_inputs(parameters, None, lambda _: None), **parents()},
        task_version=task.version,
        empirical_policy={"retries": task.retries, "retry_delay": task.retry_delay_seconds},
    )
    run.enter(Scheduled(state_details=StateDetails(deferred=True, task_parameters_id=parameters_id)))
    told = backstage.run(ClientOrchestrator().call("POST", "/task_runs/", _body(run)))
    run.state = state_of(told["state"])  # as the server has it: the event tells of that state, not of another one
    if run.state.is_scheduled():  # else this is the answer to a repeated request, and a worker was faster
        current_world().emit(task_run_event(run, None, [] if flow is None else flow.related))
    return DistributedFuture(run.id)


def _body(run: TaskRun) -> dict[str, Any]:
    names = ("name", "task_key", "dynamic_key", "task_version", "tags", "task_inputs", "empirical_policy")
    state: Any = run.state
    return {
        "id": str(run.id),
        "flow_run_id": None if run.flow_run_id is None else str(run.flow_run_id),
        "state": {"type": "SCHEDULED", "name": "Scheduled", "state_details": state.state_details.to_json()},
        **{name: getattr(run, name) for name in names},
    }


def serve(*tasks: Task[Any, Any], limit: int | None = 10) -> None:
    """Run calls that were left by `delay` of these tasks, up to ``limit`` at a time, until SIGTERM or SIGINT; what is
    running then is finished."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(aserve(*tasks, limit=limit))


async def aserve(*tasks: Task[Any, Any], limit: int | None = 10) -> None:
    """As :func:`serve`, to be awaited."""
    if not tasks:
        raise ValueError("say which tasks to serve")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop.set)
    await _Worker(tasks, limit or 1_000_000).run(stop)


class _Worker:
    def __init__(self, tasks: Iterable[Task[Any, Any]], limit: int) -> None:
        self._tasks = {task.task_key: task for task in tasks}
        self._room = asyncio.Semaphore(limit)
        self._pool = ThreadPoolExecutor(min(limit, 1000), "sempre-background-task")
        self._running: set[asyncio.Future[Any]] = set()
        self._log = logging.getLogger("sempre.task_worker")

    async def run(self, stop: asyncio.Event) -> None:
        from sempre.client.scheduled_tasks import ScheduledTaskRuns
        from sempre.sdk.loggers import setup

        setup()
        client_id = f"{os.uname().nodename}-{os.getpid()}" if hasattr(os, "uname") else None
        self._log.info(f"Serving {', '.join(task.name for task in self._tasks.values())}")
        stopping = asyncio.ensure_future(stop.wait())
        try:
            async with ScheduledTaskRuns(self._tasks, client_id=client_id) as runs:
                while not stop.is_set():
                    await self._room.acquire()
                    told = await _unless(stopping, runs.next())
                    if told is not None:
                        self._begin(told)
        finally:
            stopping.cancel()
        for told in runs.unclaimed:  # came when nobody waited any more, and is this worker's all the same
            self._begin(told)
        await asyncio.gather(*self._running, return_exceptions=True)
        self._pool.shutdown()

    def _begin(self, told: Any) -> None:
        context = contextvars.copy_context()
        future = asyncio.get_running_loop().run_in_executor(self._pool, context.run, self._execute, told)
        self._running.add(future)

        def ended(_: object) -> None:
            self._running.discard(future)
            self._room.release()

        future.add_done_callback(ended)

    def _execute(self, told: Any) -> None:
        try:
            execute_background_run(self._tasks[told.task_key], told)
        except Exception as error:
            self._log.error(f"Task run {told.id} could not be executed: {error}", exc_info=error)


async def _unless(stopping: asyncio.Future[Any], work: Coroutine[Any, Any, R]) -> R | None:
    """What the work returns; None if it is time to stop before that."""
    coming = asyncio.ensure_future(work)
    try:
        await asyncio.wait({coming, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return coming.result() if coming.done() else None
    finally:
        coming.cancel()


def execute_background_run(task: Task[Any, Any], told: Any) -> State[Any] | None:
    """Execute a call that was left for workers; ``told`` is the task run as the server tells of it."""
    scheduled = state_of(told.state.model_dump(mode="json"))
    details = scheduled.state_details
    run = TaskRun(
        name=told.name,
        task_key=told.task_key,
        dynamic_key=told.dynamic_key,
        id=told.id,
        flow_run_id=told.flow_run_id,
        tags=list(told.tags or ()),
        task_inputs=told.model_dump(mode="json").get("task_inputs") or {},
        task_version=told.task_version,
        empirical_policy={"retries": task.retries, "retry_delay": task.retry_delay_seconds},
        expected_start_time=told.expected_start_time,
    )
    run.state = scheduled
    if details.task_parameters_id is None:
        parameters: dict[str, Any] = {}
    else:
        found = _store_of(task).read(_key(details.task_parameters_id))
        if found is None:
            raise SempreException(f"Its arguments are not in {_store_of(task).storage!r}, where they should be.")
        parameters = found.result["parameters"]
    flow_run = None if run.flow_run_id is None else current_world().ask(ReadFlowRun(run.flow_run_id))
    call = prepare(task, parameters, None, run, flow_run)
    call.persist = call.persist or task.persist_result is None  # who asked for it reads it elsewhere
    from sempre.sdk.engine.task_run import begin

    current_world().emit(begin(call).event)
    return perform(call)


def _store_of(task: Task[Any, Any]) -> ResultStore:
    return default_store().with_options(task.result_storage, task.result_serializer)


def _key(parameters_id: UUID) -> str:
    return f"parameters/{parameters_id}"
