"""The flow of canaries that are played by schedule: its runs fail when the canary does, and events tell of both."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sempre.canary.canary import CanaryFailed, Outcome
from sempre.canary.clean_up import SCHEDULED_FLOW
from sempre.canary.every import CANARIES
from sempre.canary.playing import new_token, play
from sempre.client import get_client
from sempre.sdk.context import FlowRunContext
from sempre.sdk.events import emit_event
from sempre.sdk.flows import flow
from sempre.sdk.runs import FlowRun
from sempre.sdk.states import Cancelled, State

__all__ = ["canary"]


@flow(name=SCHEDULED_FLOW, flow_run_name="{name}")
def canary(name: str, seconds: float | None = None) -> str | State[Any]:
    """Play one canary. Emits `sempre.canary.passed`, `.failed` or `.skipped` about `sempre.canary.<name>`.

    Of runs that were missed only the latest plays, the others are Cancelled.
    """
    context = FlowRunContext.get()
    if context is not None and _is_overtaken(context.flow_run):
        return Cancelled(message="A later run of the same canary is due already.")
    outcome = play(CANARIES[name], new_token(), seconds)
    _tell(outcome)
    if outcome.failed:
        raise CanaryFailed(f"{name} {outcome.result}: {outcome.message}")
    return f"{outcome.result} in {outcome.seconds:g} s"


def _is_overtaken(run: FlowRun) -> bool:
    """Whether a later run of the same deployment is due, or has begun. Somebody who has this one repeated wants it."""
    planned = run.expected_start_time
    if run.deployment_id is None or planned is None or run.run_count > 1:
        return False
    between = {"after_": planned.isoformat(), "before_": datetime.now(UTC).isoformat()}
    found = get_client(sync_client=True).read_flow_runs(
        deployment_filter={"id": {"any_": [str(run.deployment_id)]}},
        flow_run_filter={"expected_start_time": between},
        limit=10,
    )
    return any(each.expected_start_time is not None and each.expected_start_time > planned for each in found)


def _tell(outcome: Outcome) -> None:
    result = "failed" if outcome.failed else outcome.result
    emit_event(
        f"sempre.canary.{result}",
        {"prefect.resource.id": f"sempre.canary.{outcome.name}", "prefect.resource.name": outcome.name},
        payload={
            "result": outcome.result,
            "seconds": outcome.seconds,
            "message": outcome.message,
            "left_behind": list(outcome.left_behind),
        },
    )
