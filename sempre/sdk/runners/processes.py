"""Tasks in processes of their own."""

from __future__ import annotations

import contextlib
import contextvars
import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future as Handle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import cloudpickle

from sempre.sdk.context import FlowRunContext
from sempre.sdk.engine.world import World, current_world, set_world
from sempre.sdk.errors import TerminationSignal
from sempre.sdk.futures import Future
from sempre.sdk.inputs import resolve
from sempre.sdk.returned import crashed
from sempre.sdk.runners.base import TaskRunner

if TYPE_CHECKING:
    from sempre.sdk.engine.effects import Request
    from sempre.sdk.engine.task_run import TaskCall
    from sempre.sdk.engine.world import Watch
    from sempre.sdk.runs import FlowRun
    from sempre.sdk.states import State

__all__ = ["ProcessPoolTaskRunner"]


class ProcessPoolTaskRunner(TaskRunner):
    """Up to ``max_workers`` tasks at a time (one for each CPU by default), each in a process: for code that computes.

    Arguments and results have to be picklable (cloudpickle). Events and log lines go out through this process.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__()
        if max_workers is not None and max_workers < 1:
            raise ValueError(f"max_workers must be at least 1, not {max_workers}")
        self._max_workers = max_workers
        self._pool: ProcessPoolExecutor | None = None
        self._closing: ProcessPoolExecutor | None = None
        self._told: Any = None
        self._teller: threading.Thread | None = None
        self._children: set[int] = set()

    def duplicate(self) -> Self:
        return type(self)(self._max_workers)

    def opened(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._told = spawn.Queue()
        self._pool = ProcessPoolExecutor(
            self._max_workers, mp_context=spawn, initializer=_begin, initargs=(self._told,)
        )
        self._teller = threading.Thread(
            target=contextvars.copy_context().run, args=(self._pass_on,), name="sempre-teller", daemon=True
        )
        self._teller.start()

    def closed(self, failed: bool) -> None:
        if self._pool is not None:
            self._closing, self._pool = self._pool, None
        if self._closing is not None:
            self._closing.shutdown(wait=True, cancel_futures=failed)
        teller, self._teller = self._teller, None
        if teller is not None:
            self._told.put(None)
            teller.join()
            self._told.close()

    def interrupt(self) -> None:
        for pid in tuple(self._children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _pass_on(self) -> None:
        world = current_world()
        while (item := self._told.get()) is not None:
            kind, content = item
            if kind == "begun":
                self._children.add(content)
            else:
                (world.emit if kind == "event" else world.log)(content)

    def start(self, call: TaskCall, future: Future[Any], context: contextvars.Context) -> None:
        if self._pool is None:
            raise RuntimeError("The flow has ended, so its tasks do not start any more.")
        try:
            packed = cloudpickle.dumps(_portable(call))
        except Exception as error:
            future.resolve(crashed(TypeError(f"this task cannot be sent to another process: {error}")))
            return
        handle = self._pool.submit(_execute, packed)
        handle.add_done_callback(lambda done: _settle(done, call, future))


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


def _settle(handle: Handle[bytes], call: TaskCall, future: Future[Any]) -> None:
    error = handle.exception() if not handle.cancelled() else RuntimeError("the flow ended before this task started")
    if error is None:
        run, state = cloudpickle.loads(handle.result())
        call.run.state, call.run.run_count = state, run.run_count
        future.resolve(state)
        return
    state = crashed(error)
    current_world().emit(call.enter(state).event)
    future.resolve(state)


# In the other process


class _ChildWorld:
    """Events and lines go to the parent, which ships them; questions to the API directly."""

    def __init__(self, told: Any) -> None:
        self._told = told
        self._own: World | None = None

    def emit(self, event: dict[str, Any]) -> None:
        self._told.put(("event", event))

    def log(self, line: dict[str, Any]) -> None:
        self._told.put(("line", line))

    def ask(self, request: Request) -> Any:
        return self._asked().ask(request)

    async def aask(self, request: Request) -> Any:
        return await self._asked().aask(request)

    def watch(self, run: FlowRun) -> Watch:
        return self._asked().watch(run)

    def _asked(self) -> World:
        if self._own is None:
            from sempre.sdk.engine.backstage_world import BackstageWorld

            self._own = BackstageWorld()
        return self._own


_executing = False


def _begin(told: Any) -> None:
    set_world(_ChildWorld(told))
    signal.signal(signal.SIGTERM, _terminate)
    told.put(("begun", os.getpid()))


def _terminate(number: int, _: object) -> None:
    """SIGTERM interrupts a task. A process that has none to execute is ended by the pool."""
    if _executing:
        raise TerminationSignal(number)


def _execute(packed: bytes) -> bytes:
    from sempre.sdk.engine.calls import perform
    from sempre.sdk.engine.task_run import TaskCall
    from sempre.sdk.loggers import capture_prints, task_logger

    global _executing
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
    _executing = True
    try:
        with flow or contextlib.nullcontext():
            state = perform(call)
    except TerminationSignal as error:
        state = call.run.state if call.run.state is not None and call.run.state.is_final() else crashed(error)
    finally:
        _executing = False
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
