"""What players propose for runs that they take: claims, ends, and the way back. All of it is safe to repeat, and is
repeated until the API answers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sempre.client.client import Client
from sempre.client.errors import ApiRefused, ApiUnreachable, ObjectNotFound
from sempre.core.dispatching import Ending, Verdict, crash_message, verdict, won
from sempre.core.states import StateType
from sempre.schemas.flow_runs import FlowRun
from sempre.schemas.states import State
from sempre.sdk.serving.claim_folder import Claim

__all__ = ["cancel", "claim_run", "crash", "hand_back", "is_claimed_by", "read_run", "settle", "submit"]

T = TypeVar("T")
log = logging.getLogger("sempre.serving")


async def _answered(call: Callable[[], Awaitable[T]]) -> T:
    """The answer to a call, however long the API is away."""
    while True:
        try:
            return await call()
        except ApiUnreachable as error:
            log.warning("%s", error)


async def claim_run(client: Client, run_id: UUID, claim: Claim) -> State | None:
    """Propose PENDING; the state that makes the run ours, None if it is not."""
    state = {"type": "PENDING", "name": "Pending", "state_details": {"transition_id": claim.claim_id}}
    try:
        told = await _answered(lambda: client.set_flow_run_state(run_id, state))
    except ApiRefused as error:
        log.warning("Flow run %s could not be claimed: %s", run_id, error)
        return None
    found = told.state
    if found is None or not won(told.status, found.type, _transition(found), claim.claim_id):
        return None
    return found


async def submit(client: Client, run_id: UUID, claim: Claim) -> bool:
    """Say that infrastructure is about to be started. False if the run is no more to be started by this claim, because
    it was cancelled or taken back."""
    state = {"type": "PENDING", "name": "Submitting", "state_details": {"transition_id": claim.submitting_id}}
    try:
        told = await _answered(lambda: client.set_flow_run_state(run_id, state))
    except ObjectNotFound:
        return False
    except ApiRefused as error:
        log.warning("Flow run %s could not be shown as Submitting: %s", run_id, error)
        return True
    if told.status == "ACCEPT":
        return True
    run = await read_run(client, run_id)
    return run is not None and is_claimed_by(run.state, claim)


def is_claimed_by(state: State | None, claim: Claim) -> bool:
    """Whether a run is PENDING by this very claim."""
    return state is not None and state.type is StateType.PENDING and _transition(state) in claim.state_ids


def _transition(state: State) -> str | None:
    found = state.state_details.transition_id
    return None if found is None else str(found)


async def read_run(client: Client, run_id: UUID) -> FlowRun | None:
    """The run; None if it was deleted."""
    try:
        return await _answered(lambda: client.read_flow_run(run_id))
    except ObjectNotFound:
        return None


async def settle(client: Client, run_id: UUID, claim: Claim | None, ending: Ending) -> Verdict:
    """Tell the API what the end of infrastructure means for its run, unless it knows; returns what that was. `claim` is
    None where somebody else has claimed the run for us."""
    run = await read_run(client, run_id)
    state = None if run is None else run.state
    ours = claim is None or is_claimed_by(state, claim)
    inside = run is not None and run.empirical_policy.retry_type == "in_process"
    found = verdict(ending.exit_code, None if state is None else state.type, is_its_claim=ours, retries_inside=inside)
    if run is None:
        return Verdict.NOTHING
    if found is Verdict.CANCELLED:
        await cancel(client, run_id, "The flow run was cancelled, and its infrastructure has ended.")
    elif found is Verdict.CRASHED:
        await crash(client, run_id, crash_message(ending))
    elif found is Verdict.HAND_BACK and claim is not None:
        await hand_back(client, run, claim, "Its infrastructure was gone before it began.")
    return found


async def crash(client: Client, run_id: UUID, message: str) -> None:
    await _propose(client, run_id, {"type": "CRASHED", "name": "Crashed", "message": message})


async def cancel(client: Client, run_id: UUID, message: str, *, force: bool = False) -> None:
    await _propose(client, run_id, {"type": "CANCELLED", "name": "Cancelled", "message": message}, force)


async def hand_back(client: Client, run: FlowRun, claim: Claim, why: str, *, delay: float = 0.0) -> None:
    """Let somebody else have a run that was claimed and for which nothing was started, if it still is ours; `delay`
    seconds from now at the earliest."""
    now_there = await read_run(client, run.id)
    if now_there is None or not is_claimed_by(now_there.state, claim):
        return
    assert now_there.state is not None
    due = now_there.state.state_details.scheduled_time or run.expected_start_time or datetime.now(UTC)
    if delay:
        due = max(due, datetime.now(UTC) + timedelta(seconds=delay))
    state = {
        "type": "SCHEDULED",
        "name": "Scheduled",
        "message": why,
        "state_details": {"scheduled_time": due.isoformat()},
    }
    await _propose(client, run.id, state)


async def _propose(client: Client, run_id: UUID, state: dict[str, Any], force: bool = False) -> None:
    try:
        told = await _answered(lambda: client.set_flow_run_state(run_id, state, force))
    except ApiRefused as error:
        log.warning("Flow run %s did not become %s: %s", run_id, state["name"], error)
        return
    if told.status != "ACCEPT":
        reason = getattr(told.details, "reason", None)
        log.info("Flow run %s did not become %s: %s", run_id, state["name"], reason)
