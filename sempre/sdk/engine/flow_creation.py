"""How a called flow becomes a run on the server, or finds the one that an earlier attempt of its parent made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sempre.sdk.context import naming, parents
from sempre.sdk.engine.effects import Await, Steps
from sempre.sdk.engine.requests import (
    CreateFlow,
    CreateFlowRun,
    FindChild,
    NameFlowRun,
    NewFlowRun,
    NewTrackingRun,
    TrackChild,
)
from sempre.sdk.errors import ParameterBindError, ParameterTypeError, SignatureMismatchError, UpstreamTaskError
from sempre.sdk.inputs import futures_in, resolve, task_inputs
from sempre.sdk.returned import failed
from sempre.sdk.runs import FlowRun
from sempre.sdk.states import NotReady, Pending, State

if TYPE_CHECKING:
    from sempre.sdk.engine.flow_run import FlowCall

__all__ = ["Created", "create_run"]

_INVALID = "Validation of flow parameters failed with error:"


@dataclass(slots=True)
class Created:
    """A run, and either the parameters to call the function with, a state it cannot get beyond (``problem``), or the
    one that it had ended in before (``end``)."""

    run: FlowRun
    parameters: dict[str, Any] = field(default_factory=dict)
    problem: State[Any] | None = None
    end: State[Any] | None = None


def create_run(call: FlowCall) -> Steps[Created]:
    waited = futures_in(call.parameters, call.wait_for)
    if waited:
        yield Await(waited)
    given, parameters, problem = _checked(call)
    if call.run is not None:
        if problem is None:
            yield from _rename(call, call.run, parameters)
        return Created(call.run, parameters, problem)
    tracking: UUID | None = None
    if call.parent is not None:
        tracking = yield from _track(call, call.parent)
        if call.parent.is_rerun:
            earlier: FlowRun | None = yield FindChild(tracking)
            found = None if earlier is None else _taken_up(earlier, parameters, problem)
            if found is not None:
                return found
    run = yield from _create(call, given, parameters, tracking)
    return Created(run, parameters, problem)


def _checked(call: FlowCall) -> tuple[dict[str, Any], dict[str, Any], State[Any] | None]:
    """The parameters with values for futures, first as they were given and then as the type hints want them; or why
    the run cannot start."""
    flow = call.flow
    try:
        parameters = resolve(call.parameters)
        resolve({"wait_for": call.wait_for})
    except UpstreamTaskError as why:
        given = dict(call.parameters)
        return given, given, NotReady(message=str(why))
    try:
        if call.run is not None:
            parameters = flow.signature.accept(parameters)
        checked = flow.signature.validate(parameters) if flow.should_validate_parameters else parameters
        return parameters, checked, None
    except (ParameterTypeError, ParameterBindError, SignatureMismatchError) as error:
        return parameters, parameters, failed(error, _INVALID)


def _taken_up(earlier: FlowRun, parameters: dict[str, Any], problem: State[Any] | None) -> Created | None:
    """What an earlier attempt of the parent left: a result to be used again, or a run to go on with."""
    state = earlier.state
    if state is None or not state.is_final():
        return Created(earlier, parameters, problem)
    if not state.is_completed():
        return None
    try:
        state.result()
    except Exception:  # not kept, or not here: the run is done again
        return None
    return Created(earlier, end=state)


def _track(call: FlowCall, parent: Any) -> Steps[UUID]:
    flow = call.flow
    number = parent.next_call(flow.task_key)
    id: UUID = yield TrackChild(
        NewTrackingRun(
            name=f"{flow.name}-{number}",
            flow_run_id=parent.flow_run.id,
            task_key=flow.task_key,
            dynamic_key=str(number),
            task_inputs={**task_inputs(call.parameters, call.wait_for, parent.lineage.origin), **parents()},
            version=flow.version,
            tags=sorted(call.tags),
        )
    )
    return id


def _create(call: FlowCall, given: dict[str, Any], parameters: dict[str, Any], tracking: UUID | None) -> Steps[FlowRun]:
    """The run as the server keeps it: with the parameters as they were given, so that it can be started again alike."""
    flow = call.flow
    flow_id: UUID = yield CreateFlow(flow.name)
    run: FlowRun = yield CreateFlowRun(
        NewFlowRun(
            flow_id=flow_id,
            key=f"sempre-{uuid4()}",
            state=Pending(),
            parameters=given,
            name=_name(call, parameters),
            version=flow.version,
            tags=sorted(call.tags),
            parent_task_run_id=tracking,
            retries=flow.retries,
            retry_delay=int(flow.retry_delay_seconds),
        )
    )
    return run


def _rename(call: FlowCall, run: FlowRun, parameters: dict[str, Any]) -> Steps[None]:
    """Whoever created the run did not know the name that the flow has for it."""
    name = _name(call, parameters)
    if name is not None and name != run.name:
        yield NameFlowRun(run.id, name)
        run.name = name


def _name(call: FlowCall, parameters: dict[str, Any]) -> str | None:
    with naming(call.flow.name, parameters):
        return call.flow.run_name(parameters, "") or None
