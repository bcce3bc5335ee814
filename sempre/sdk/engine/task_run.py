"""A task run from its arguments to its final state, as a generator of effects.

Nothing here blocks, reads a clock other than the states' own, or knows whether it is driven by a thread or a loop.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sempre.sdk.context import FlowRunContext, TaskRunContext
from sempre.sdk.engine.asset_events import asset_events
from sempre.sdk.engine.effects import Await, Call, Do, Emit, Hooks, Outcome, Say, Sleep, Steps
from sempre.sdk.engine.requests import HoldSlots, ReleaseSlots
from sempre.sdk.engine.task_events import task_run_event
from sempre.sdk.errors import Signal, TaskRunTimeoutError, UpstreamTaskError
from sempre.sdk.ids import now
from sempre.sdk.inputs import futures_in, resolve, to_states
from sempre.sdk.results.record import ResultRecord
from sempre.sdk.returned import crashed, failed, returned, timed_out
from sempre.sdk.runs import FlowRun, TaskRun
from sempre.sdk.states import AwaitingRetry, Cached, NotReady, Pending, Retrying, RolledBack, Running, State

if TYPE_CHECKING:
    from sempre.sdk.assets import Asset
    from sempre.sdk.results.store import ResultStore
    from sempre.sdk.tasks import Task
    from sempre.sdk.transactions import Transaction

__all__ = ["TaskCall", "begin", "run_task"]

_FAILED = "Task run encountered an exception"


@dataclass(slots=True)
class TaskCall:
    """One call of a task: everything that its run depends on."""

    task: Task[Any, Any]
    run: TaskRun
    parameters: dict[str, Any]
    wait_for: Any
    store: ResultStore
    persist: bool
    log_prints: bool
    logger: Any
    related: list[dict[str, str]]
    flow: FlowRunContext | None = None
    flow_run: FlowRun | None = None  # which its own belongs to, where no flow is around the call
    used_assets: tuple[Asset, ...] = ()
    returned: Outcome | None = None  # set once the function returned, with states in place of futures

    @property
    def flow_run_count(self) -> int:
        run = self.flow_run if self.flow is None else self.flow.flow_run
        return 0 if run is None else run.run_count

    def enter(self, state: State[Any]) -> Emit:
        """Take on a state; yields the event that tells of it."""
        before = self.run.enter(state, self.flow_run_count)
        return Emit(task_run_event(self.run, before, self.related))


def begin(call: TaskCall) -> Emit:
    """PENDING, at the moment of the call, so that what waits for others can be seen waiting."""
    return call.enter(Pending())


def run_task(call: TaskCall) -> Steps[State[Any]]:
    """From PENDING to the end. Returns the final state, or PENDING named NotReady if what it waits for failed.

    What ends a run from outside (interrupts, exits, cancellation) is raised on after CRASHED was told.
    """
    run = call.run
    waited = futures_in(call.parameters, call.wait_for)
    if waited:
        yield Await(waited)
    try:
        parameters = resolve(call.parameters)
        resolve({"wait_for": call.wait_for})
    except UpstreamTaskError as why:
        yield call.enter(NotReady(message=str(why)))
        yield Say(call.logger, logging.INFO, f"Does not start: {why}")
        return _state(run)
    context = TaskRunContext(call.task, run, parameters, call.store, call.persist, call.log_prints)
    with context:
        run.name = call.task.run_name(parameters, run.name)
        lease = yield from _hold_slots(run)
        try:
            yield from _attempts(call, context)
        finally:
            if lease is not None:
                yield ReleaseSlots(lease)
        final = _state(run)
        if call.task.assets:
            events = asset_events(run, call.task, call.used_assets, context.asset_metadata, final, call.related)
            for event in events:
                yield Emit(event)
        if call.flow is not None and final.is_completed():
            call.flow.lineage.note(final.result(), run.id)
    return final


def _attempts(call: TaskCall, context: TaskRunContext) -> Steps[None]:
    task, run = call.task, call.run
    yield call.enter(Running())
    if task.on_running_hooks:
        yield Hooks(call.logger, task.on_running_hooks, task, run, _state(run))
    txn = task.transaction_of(context, call.persist)
    while True:
        if txn is None:
            outcome = yield _call(task, context)
        else:
            with txn.current():
                outcome = yield from _in_transaction(call, context, txn)
            if outcome is None:
                return
        error = outcome.error
        if error is None or isinstance(error, (Signal, KeyboardInterrupt, SystemExit, GeneratorExit)):
            break
        if not isinstance(error, Exception):  # a cancelled coroutine
            break
        again = yield from _retry(call, error)
        if not again:
            break
    yield from _finish(call, outcome, txn)


def _call(task: Task[Any, Any], context: TaskRunContext) -> Call:
    args, kwargs = task.signature.unbind(context.parameters)
    return Call(task.fn, args, kwargs, task.timeout_seconds, TaskRunTimeoutError, task.isgenerator)


def _in_transaction(call: TaskCall, context: TaskRunContext, txn: Transaction) -> Steps[Outcome | None]:
    """One attempt inside of the task's transaction; None if there was nothing to do because the result is known."""
    try:
        known: ResultRecord | None = yield Do(txn.begin)
    except Exception as error:  # whether there is a result is not known; retries may find out
        return Outcome(error=error)
    if known is not None:
        yield from _end(call, Cached(data=known))
        txn.stage(known)
        yield Do(txn.close)
        return None
    outcome: Outcome = yield _call(call.task, context)
    return outcome


def _retry(call: TaskCall, error: Exception) -> Steps[bool]:
    """Whether there is another attempt; if so, waits for its time and enters RUNNING again."""
    task, run = call.task, call.run
    attempt = run.run_count
    if attempt > task.retries or not _may_retry(call, error):
        return False
    delay = task.retry_delay(attempt)
    said = f"Failed with {error!r}: retry {attempt}/{task.retries} starts "
    if delay > 0:
        yield Say(call.logger, logging.INFO, f"{said}in {delay:g} second(s)")
        yield call.enter(AwaitingRetry(now() + timedelta(seconds=delay)))
        yield Sleep(run.seconds_until_due())
    else:
        yield Say(call.logger, logging.INFO, f"{said}immediately")
    yield call.enter(Retrying())
    if task.on_running_hooks:
        yield Hooks(call.logger, task.on_running_hooks, task, run, _state(run))
    return True


def _may_retry(call: TaskCall, error: Exception) -> bool:
    condition = call.task.retry_condition_fn
    if condition is None:
        return True
    try:
        return bool(condition(call.task, call.run, failed(error, _FAILED)))
    except Exception:
        call.logger.exception("The retry condition of the task failed, so there is no retry")
        return False


def _finish(call: TaskCall, outcome: Outcome, txn: Transaction | None) -> Steps[None]:
    error = outcome.error
    if error is None:
        state = yield from _kept(call, outcome.value, txn)
        if txn is not None:
            try:
                yield Do(txn.close, None if state.is_completed() else RuntimeError(str(state)))
            except Exception as problem:  # the value could not be written
                call.returned = None
                yield Say(call.logger, logging.ERROR, f"The result could not be kept: {problem}", problem)
                state = failed(problem, "The result of the task run could not be kept:")
        yield from _end(call, state)
        return
    if txn is not None:
        yield Do(txn.close, error)
    if not isinstance(error, Exception):
        yield Say(call.logger, logging.ERROR, f"Crashed: {error!r}")
        yield from _end(call, crashed(error))
        raise error
    if isinstance(error, TaskRunTimeoutError):
        yield Say(call.logger, logging.ERROR, f"Took longer than {call.task.timeout_seconds} second(s)")
        yield from _end(call, timed_out(error, call.task.timeout_seconds or 0, "Task"))
        return
    spent = " and has no retries left" if call.task.retries else ""
    yield Say(call.logger, logging.ERROR, f"Task run failed with {error!r}{spent}", error)
    yield from _end(call, failed(error, _FAILED))


def _kept(call: TaskCall, value: Any, txn: Transaction | None) -> Steps[State[Any]]:
    """The state that a returned value makes, with the value staged to be persisted where that is wanted."""
    waited = futures_in(value)
    if waited:
        yield Await(waited)
        value = to_states(value)
    call.returned = Outcome(value)
    state = returned(value)
    if not state.is_completed():
        return state
    if not isinstance(state.data, ResultRecord):
        state.data = ResultRecord(state.data)
    if txn is not None:
        state.data = txn.record(state.data.result)
        txn.stage(state.data, call.task.on_rollback_hooks, call.task.on_commit_hooks)
        txn.on_rolled_back(_RollBack(call))
    return state


def _end(call: TaskCall, state: State[Any]) -> Steps[None]:
    yield call.enter(state)
    level = logging.INFO if state.is_completed() else logging.ERROR
    yield Say(call.logger, level, f"Finished in state {state}")
    hooks = call.task.hooks_for(state)
    if hooks:
        yield Hooks(call.logger, hooks, call.task, call.run, state)


class _RollBack:
    """Tells that the effects of a completed task run were undone."""

    def __init__(self, call: TaskCall) -> None:
        self.call = call

    def __call__(self, emit: Any) -> None:
        emit(self.call.enter(RolledBack(message="Task rolled back as part of transaction")).event)


def _hold_slots(run: TaskRun) -> Steps[Any]:
    """Wait for a slot of each limited tag; the id of the lease that holds them, or None."""
    if not run.tags:
        return None
    while True:
        lease, wait = yield HoldSlots(tuple(run.tags), run.id)
        if lease is not None or wait <= 0:
            return lease
        yield Sleep(wait)


def _state(run: TaskRun) -> State[Any]:
    state = run.state
    if state is None:
        raise RuntimeError("the run has not begun")
    return state
