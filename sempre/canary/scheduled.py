"""The flow of canaries that are played by schedule: its runs fail when the canary does, and events tell of both."""

from __future__ import annotations

from sempre.canary.canary import CanaryFailed
from sempre.canary.clean_up import SCHEDULED_FLOW
from sempre.canary.every import CANARIES
from sempre.canary.playing import new_token, play
from sempre.sdk.events import emit_event
from sempre.sdk.flows import flow

__all__ = ["ENTRYPOINT", "canary"]

ENTRYPOINT = "sempre.canary.scheduled:canary"


@flow(name=SCHEDULED_FLOW, flow_run_name="{name}")
def canary(name: str, seconds: float | None = None) -> str:
    """Play one canary. Emits `sempre.canary.passed` or `sempre.canary.failed` about `sempre.canary.<name>`."""
    outcome = play(CANARIES[name], new_token(), seconds)
    emit_event(
        f"sempre.canary.{'passed' if outcome.passed else 'failed'}",
        {"prefect.resource.id": f"sempre.canary.{name}", "prefect.resource.name": name},
        payload={
            "result": outcome.result,
            "seconds": outcome.seconds,
            "message": outcome.message,
            "left_behind": list(outcome.left_behind),
        },
    )
    if not outcome.passed:
        raise CanaryFailed(f"{name} {outcome.result}: {outcome.message}")
    return f"passed in {outcome.seconds:g} s"
