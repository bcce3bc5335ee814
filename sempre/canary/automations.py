"""Automations of canaries: created, made to fire by events, and seen firing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sempre.canary.stage import TAG, Stage
from sempre.client.streams import EventStream
from sempre.sdk.events import emit_event

__all__ = ["create_automation", "emit", "fires", "matching"]

_TRIGGERED = "prefect.automation.triggered"


def _resource(stage: Stage) -> str:
    return f"sempre.{stage.name}"


def emit(stage: Stage, what: str) -> None:
    """An event about this stage's own resource."""
    emit_event(f"{TAG}.{what}", {"prefect.resource.id": _resource(stage)})


def matching(stage: Stage, expect: str, **fields: Any) -> dict[str, Any]:
    """A trigger on such events."""
    reactive = {"type": "event", "posture": "Reactive", "threshold": 1, "within": 60}
    match = {"prefect.resource.id": _resource(stage)}
    return {**reactive, "match": match, "expect": [f"{TAG}.{expect}"], **fields}


def create_automation(stage: Stage, trigger: dict[str, Any], *actions: dict[str, Any]) -> UUID:
    """An automation of this stage's own; without actions it does nothing but fire."""
    id = stage.client.create_automation(
        {
            "name": stage.name,
            "description": "Made by a canary, which removes it in a minute.",
            "tags": [TAG],
            "trigger": trigger,
            "actions": list(actions) or [{"type": "do-nothing"}],
        }
    )
    stage.cleaner(f"automation {stage.name}", lambda: stage.client.delete_automation(id))
    return id


def fires(stage: Stage, automation: UUID, tell: Callable[[], None], every: float = 10.0) -> None:
    """Emit the events that make it fire until it is seen firing. Again every so many seconds, because servers may take
    a moment until they heed a new automation."""
    criteria = {"event": {"name": [_TRIGGERED]}, "resource": {"id": [f"prefect.automation.{automation}"]}}
    stage.waits_for = "the automation fires"
    with EventStream(criteria) as fired:
        while stage.left > 0:
            tell()
            if fired.next(min(every, max(0.1, stage.left))) is not None:
                return
    stage.fail(f"the automation did not fire within {stage.seconds:.0f} s, whatever it was told")
