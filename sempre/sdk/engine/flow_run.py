"""A flow run from its arguments to its final state, as a generator of effects.

The server has the last word on states: each one is proposed, and its answer decides how it goes on.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sempre.sdk.context import FlowRunContext
from sempre.sdk.engine.effects import Await, Call, Do, Hooks, Outcome, Say, Sleep, Steps
from sempre.sdk.engine.flow_creation import create_run
from sempre.sdk.engine.related import related_to_flow_run
from sempre.sdk.engine.requests import Answer, Propose
from sempre.sdk.engine.world import Watch, World
from sempre.sdk.errors import Abort, FlowRunTimeoutError, Pause, Signal, TerminationSignal
from sempre.sdk.ids import now
from sempre.sdk.inputs import futures_in, to_states
from sempre.sdk.loggers import capture_prints, flow_logger
from sempre.sdk.results.record import ResultRecord
from sempre.sdk.results.store import ResultStore, default_store
from sempre.sdk.returned import crashed, failed, returned, timed_out
from sempre.sdk.runners.base import ends_tasks
from sempre.sdk.runs import FlowRun
from sempre.sdk.states import AwaitingRetry, Cancelled, Cancelling, Running, State
from sempre.settings import get_current_settings

if TYPE_CHECKING:
    from sempre.sdk.flows import Flow

__all__ = ["FlowCall", "FlowEnd", "propose", "run_flow"]

_FAILED = "Flow run encountered an exception:"
_PENDING_PAUSE = 0.2  # seconds before RUNNING is proposed again for a run that somebody holds back in PENDING


@dataclass(slots=True)
class FlowCall:
    """One call of a flow. ``run`` is set if the server has the run already; ``parent`` if a flow called."""

    flow: Flow[Any, Any]
    parameters: dict[str, Any]
    wait_for: Any
    parent: FlowRunContext | None
    run: FlowRun | None = None
    tags: frozenset[str] = frozenset()
    reschedules: bool = False  # a SIGTERM hands the run back, to be executed again elsewhere, instead of crashing it
    relinquishes: bool = False  # a SIGTERM ends the process without a word: whoever restarts it goes on with the run
    logger: Any = field(default_factory=lambda: logging.getLogger("sempre.flow_runs"))


@dataclass(slots=True)
class FlowEnd:
    """How a flow run ended here. ``returned`` is set if its function returned, ``error`` if it raised."""

    state: State[Any]
    returned: Outcome | None = None
    error: BaseException | None = None

    def outcome(self, return_state: bool) -> Any:
        """What the call gives: a state or exception as the run's state says, any other value as it was returned."""
        if return_state:
            return self.state
        if self.returned is not None and not isinstance(self.returned.value, State):
            return self.returned.value
        if self.error is not None and self.state.is_failed():  # also if somebody else had failed the run before
            raise self.error
        return self.state.result()


def run_flow(call: FlowCall, world: World) -> Steps[FlowEnd]:
    """All of it. Returns how the run ended; raises Abort if another process has the run, Pause if it was suspended, and
    what ended it from outside (interrupts, exits) after CRASHED was told."""
    created = yield from create_run(call)
    run = created.run
    call.logger = flow_logger(run, call.flow)
    if created.end is not None:
        return FlowEnd(created.end)
    if created.problem is not None:
        return (yield from _does_not_start(call, run, created.problem))
    watch = world.watch(run, call.flow.name)
    try:
        return (yield from _attempts(call, run, created.parameters, watch))
    except (KeyboardInterrupt, SystemExit, Signal, asyncio.CancelledError) as error:
        # No exception of the code's own: the run was cancelled, suspended, taken over or killed. It may have been
        # raised anywhere, also while a state was being proposed.
        return (yield from _stopped(call, run, error, watch))
    finally:
        watch.end()


def _does_not_start(call: FlowCall, run: FlowRun, problem: State[Any]) -> Steps[FlowEnd]:
    """Its arguments do not fit, or what it waits for failed."""
    yield from _keep_error(call, problem, _store(call))
    final = yield from propose(run, problem)
    yield from _end(call, run, final)
    return FlowEnd(final)


def _attempts(call: FlowCall, run: FlowRun, parameters: dict[str, Any], watch: Watch) -> Steps[FlowEnd]:
    store = _store(call)
    while True:
        state = yield from _enter_running(run)
        if not state.is_running():
            yield Say(call.logger, logging.INFO, f"Does not start: the run is in state {state}")
            return FlowEnd(state)
        outcome, context = yield from _call(call, run, parameters, store, watch)
        if outcome.error is not None and not isinstance(outcome.error, Exception):
            raise outcome.error
        state = yield from _final_state(call, outcome, context)
        final = yield from propose(run, state)
        if final.is_failed() and final.data is None:  # the server had failed it already: here the reason is known
            final.data = state.data
        if not final.is_scheduled():
            yield from _end(call, run, final)
            return FlowEnd(final, outcome if outcome.error is None else None, outcome.error)
        yield Say(call.logger, logging.INFO, f"The run ended in {state}, and runs again: {final}")


def _enter_running(run: FlowRun) -> Steps[State[Any]]:
    while True:
        state = yield from propose(run, Running())
        if state.is_running():
            if not run.empirical_policy.get("resuming"):
                run.run_count += 1
            run.empirical_policy = {**run.empirical_policy, "resuming": False}
            run.start_time = run.start_time or state.timestamp
            return state
        if state.is_scheduled():
            due = state.state_details.scheduled_time
            yield Sleep(_PENDING_PAUSE if due is None else max(_PENDING_PAUSE, (due - now()).total_seconds()))
        elif state.is_pending():
            yield Sleep(_PENDING_PAUSE)
        else:
            return state


def propose(run: FlowRun, state: State[Any], force: bool = False) -> Steps[State[Any]]:
    """The state that the run is in after the server's answer.

    Raises Abort if the run must not go on here, Pause if it was paused meanwhile.
    """
    transition = uuid4()
    while True:
        answer: Answer = yield Propose(run.id, state, transition, force)
        if answer.status == "WAIT":
            yield Sleep(answer.delay)
            continue
        if answer.status == "ABORT":
            raise Abort(answer.reason or "The server says that this run must not go on here.")
        told = answer.state
        if told is None:
            raise Abort(answer.reason or "The run has no state any more.")
        if answer.status == "ACCEPT":
            state.id, state.timestamp, state.state_details = told.id, told.timestamp, told.state_details
            run.state = state
            return state
        run.state = told
        if told.is_paused():
            raise Pause(answer.reason or "The run is paused.", state=told)
        return told


def _call(
    call: FlowCall, run: FlowRun, parameters: dict[str, Any], store: ResultStore, watch: Watch
) -> Steps[tuple[Outcome, FlowRunContext]]:
    """One call of the function, with the flow's task runner open. Returns once all submitted tasks have ended."""
    flow = call.flow
    kind = "subflow" if call.parent is not None else "flow"
    related = related_to_flow_run(run, flow.name)
    context = FlowRunContext(
        flow, run, flow.new_task_runner(), related, parameters, store, _persists(call), _log_prints(call)
    )
    context.watch = watch
    context.is_rerun = call.run is not None or run.run_count > 1
    with context:
        yield Say(call.logger, logging.INFO, f"Beginning {kind} run {run.name!r} of flow {flow.name!r}")
        if flow.on_running_hooks:
            yield Hooks(call.logger, flow.on_running_hooks, flow, run, run.state)
        args, kwargs = flow.signature.unbind(parameters)
        runner = context.task_runner.__enter__()
        outcome: Outcome = yield Call(
            flow.fn, args, kwargs, flow.timeout_seconds, FlowRunTimeoutError, flow.isgenerator
        )
        if outcome.error is None:
            outcome = yield from _awaited(outcome)
        error = outcome.error
        try:
            yield Do(runner.__exit__, None if error is None else type(error), error, None)
        except BaseException as problem:
            outcome = outcome if error is not None else Outcome(error=problem)
            if ends_tasks(problem):  # while it waited for tasks
                yield Do(runner.__exit__, type(problem), problem, None)
    return outcome, context


def _awaited(outcome: Outcome) -> Steps[Outcome]:
    """What was returned, with the states that its futures end in."""
    waited = futures_in(outcome.value)
    if not waited:
        return outcome
    try:
        yield Await(waited)
    except BaseException as error:
        return Outcome(error=error)
    return Outcome(to_states(outcome.value))


def _final_state(call: FlowCall, outcome: Outcome, context: FlowRunContext) -> Steps[State[Any]]:
    error, store = outcome.error, context.result_store
    if isinstance(error, FlowRunTimeoutError):
        yield Say(call.logger, logging.ERROR, f"Took longer than {call.flow.timeout_seconds} second(s)")
        return timed_out(error, call.flow.timeout_seconds or 0, "Flow")
    if error is not None:
        yield Say(call.logger, logging.ERROR, f"Flow run failed with {error!r}", error)
        state = failed(error, _FAILED)
        yield from _keep_error(call, state, store)
        return state
    state = returned(outcome.value)
    if not state.is_final():
        return state
    if not isinstance(state.data, ResultRecord):
        state.data = ResultRecord(state.data)
    if context.persist_result:
        state.data = store.record(state.data.result, _key(call, context))
        try:
            yield Do(store.write, state.data)
        except Exception as problem:
            yield Say(call.logger, logging.ERROR, f"The result could not be kept: {problem}", problem)
            return failed(problem, "The result of the flow run could not be kept:")
    return state


def _keep_error(call: FlowCall, state: State[Any], store: ResultStore) -> Steps[None]:
    """Write the exception, so that it can be raised where the run is waited for. Without it, its text has to do."""
    error = getattr(state.data, "result", None)
    if not isinstance(error, BaseException):
        return
    record = store.record(error)
    try:
        yield Do(store.write, record)
    except Exception as problem:
        call.logger.debug(f"The exception could not be kept: {problem}")
    else:
        state.data = record


def _stopped(call: FlowCall, run: FlowRun, error: BaseException, watch: Watch) -> Steps[FlowEnd]:
    is_order = isinstance(error, (TerminationSignal, asyncio.CancelledError))
    if is_order and (watch.suspended or (call.parent is not None and call.parent.is_suspended())):
        error = Pause("The run was suspended from elsewhere.", state=run.state)
    if isinstance(error, Pause):
        yield Say(call.logger, logging.INFO, "The run is suspended: this process gives it up")
        raise error
    if isinstance(error, Abort):
        yield Say(call.logger, logging.INFO, f"The run does not go on here: {error}")
        raise error
    flow = call.flow
    around = call.parent.is_cancelled() if call.parent is not None else False
    if is_order and (watch.cancelled or around):
        if flow.on_cancellation_hooks:
            yield Hooks(call.logger, flow.on_cancellation_hooks, flow, run, Cancelling())
        final = yield from propose(run, Cancelled(message="Flow run was cancelled."), force=True)
        yield Say(call.logger, logging.INFO, f"Finished in state {final}")
        if around:
            raise error
        return FlowEnd(final)
    if call.reschedules and is_order:
        yield Say(call.logger, logging.INFO, "This process has to end: the run is handed back")
        state = AwaitingRetry(message="Handed back by a process that had to end.")
        final = yield from propose(run, state, force=True)
        raise error
    if call.relinquishes and is_order:
        yield Say(call.logger, logging.INFO, "This process has to end: whoever restarts it goes on with the run")
        raise error
    yield Say(call.logger, logging.ERROR, f"Crashed: {error!r}")
    state = crashed(error)
    yield from _keep_error(call, state, _store(call))
    final = yield from propose(run, state, force=True)
    yield from _end(call, run, final)
    raise error


def _end(call: FlowCall, run: FlowRun, state: State[Any]) -> Steps[None]:
    level = logging.INFO if state.is_completed() else logging.ERROR
    yield Say(call.logger, level, f"Finished in state {state}")
    if state.is_final():
        run.end_time = state.timestamp
    hooks = call.flow.hooks_for(state)
    if hooks:
        yield Hooks(call.logger, hooks, call.flow, run, state)


def _key(call: FlowCall, context: FlowRunContext) -> str | None:
    template = call.flow.result_storage_key
    return None if template is None else template.format(**context.parameters, parameters=context.parameters)


def _store(call: FlowCall) -> ResultStore:
    base = default_store() if call.parent is None else call.parent.result_store
    return base.with_options(call.flow.result_storage, call.flow.result_serializer)


def _persists(call: FlowCall) -> bool | None:
    """True or False as the flow, its options or the flow around say; the settings' wish if nobody does."""
    flow = call.flow
    if flow.persist_result is not None:
        return flow.persist_result
    if flow.result_storage or flow.result_serializer:
        return True
    if call.parent is not None and call.parent.persist_result is not None:
        return call.parent.persist_result
    return True if get_current_settings().results.persist_by_default else None


def _log_prints(call: FlowCall) -> bool:
    wanted = call.flow.log_prints
    if wanted is None:
        wanted = get_current_settings().logging.log_prints if call.parent is None else call.parent.log_prints
    if wanted:
        capture_prints()
    return wanted
