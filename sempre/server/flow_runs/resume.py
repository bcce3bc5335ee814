"""``/flow_runs/{id}/resume``: let a paused flow run go on, with what it asked for."""

import json
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import Body
from starlette.responses import Response

from sempre.core.hydration import KIND, HydrationError, hydrate
from sempre.core.parameters import InvalidSchema, InvalidValue, validate
from sempre.core.states import State
from sempre.core.transitions import resume_proposal
from sempre.core.transitions.model import Decision, FlowRun, Proposal, Status
from sempre.schemas.responses import OrchestrationResult
from sempre.server.errors import NotFound
from sempre.server.flow_runs import input_queries, queries
from sempre.server.flow_runs.orchestration import Answer, run_of, set_flow_run_state
from sempre.server.orchestration import MAX_ATTEMPTS, Outcome, gave_up
from sempre.server.responses import JSON, dumps
from sempre.server.routing import Room
from sempre.server.scope import Scope, ScopeDep
from sempre.server.variables.queries import values_by_name

__all__ = ["resume", "router"]

router = Room(prefix="/flow_runs", tags=["Flow Runs"])


class _Unacceptable(Exception):
    """The input is not what the run asked for; the text is shown to whoever resumes it."""


@router.post("/{id:uuid}/resume", response_model=OrchestrationResult)
async def resume_flow_run(
    scope: ScopeDep, id: UUID, run_input: Annotated[dict[str, Any] | None, Body(embed=True)] = None
) -> Response:
    """Resume a paused run: a suspended one is scheduled, any other goes on where it waits.

    A run that asked for input checks ``run_input`` against its own schema and finds it stored once it goes on.
    """
    outcome = await resume(scope, id, run_input or {})
    return JSON(outcome.to_wire(), 201 if outcome.written else 200)


async def resume(scope: Scope, id: UUID, run_input: dict[str, Any], *, transition_id: UUID | None = None) -> Outcome:
    """Answer a pause; with a ``transition_id`` that was used before, no further one. Raises NotFound for an unknown
    run.
    """
    for _ in range(MAX_ATTEMPTS):
        row = await queries.find(scope.db, scope.workspace_id, id)
        if row is None:
            raise NotFound("Flow run not found")
        run = run_of(row)
        proposal = resume_proposal(run, row["now"])
        if isinstance(proposal, Decision):
            return Outcome(proposal.status, None, proposal.reason)
        assert run.state is not None  # it is paused
        proposal = replace(proposal, details=replace(proposal.details, transition_id=transition_id))
        try:
            answer = await _answer(scope, run, run.state, run_input)
        except _Unacceptable as refusal:
            return Outcome(Status.REJECT, run.state, str(refusal), details_type="abort_details")
        outcome = await _propose(scope, run, run.state, proposal, answer)
        if outcome is not None:
            return outcome
    raise gave_up("flow run", id)


async def _propose(
    scope: Scope, run: FlowRun, paused: State, proposal: Proposal, answer: Answer | None
) -> Outcome | None:
    """``None``: the run left this pause in the meantime, so whatever it is in now has not been looked at."""
    outcome = await set_flow_run_state(scope, run.id, proposal, only_from=paused.id, answer=answer)
    moved = outcome.status is Status.ABORT and outcome.state is not None and outcome.state.id != paused.id
    return None if moved and not outcome.written else outcome


async def _answer(scope: Scope, run: FlowRun, paused: State, run_input: dict[str, Any]) -> Answer | None:
    """What to store for the run. Raises _Unacceptable if it does not fit the schema that the run left."""
    keyset = paused.details.run_input_keyset
    if not keyset:
        return None
    try:
        hydrated = hydrate(run_input, await _variables(scope, run_input))
    except HydrationError as error:
        raise _Unacceptable(f"Error hydrating run input: {error}") from None
    text = None
    if "schema" in keyset:
        text = await input_queries.value_of(scope.db, scope.workspace_id, run.id, keyset["schema"])
    if text is None:
        raise _Unacceptable("Run input schema not found.")
    try:
        schema = json.loads(text)
    except ValueError:
        raise _Unacceptable("Run input schema is not valid JSON.") from None
    try:
        validate(hydrated, schema)
    except InvalidValue as error:
        raise _Unacceptable(f"Reason: {error}") from None
    except InvalidSchema as error:
        raise _Unacceptable(str(error)) from None
    if not hydrated or "response" not in keyset:
        return None
    return Answer(keyset["response"], dumps(hydrated).decode())


async def _variables(scope: Scope, run_input: dict[str, Any]) -> dict[str, Any]:
    """The workspace's variables, if the input may name any."""
    if KIND not in json.dumps(run_input):
        return {}
    return await values_by_name(scope.db, scope.workspace_id)
