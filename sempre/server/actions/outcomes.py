"""The events that tell what became of an action."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sempre.db.pool import Executor
from sempre.server.actions.invocation import Invocation
from sempre.server.events.emit import ServerEvent, emit, named, resource

__all__ = ["tell"]

# An event follows its cause only if that is recent.
_RECENT = timedelta(minutes=5)


async def tell(tx: Executor, invocation: Invocation, *, reason: str | None) -> None:
    """Emit ``action.triggered`` and ``action.executed``, or with a ``reason`` ``action.failed``."""
    fired = datetime.fromisoformat(invocation.firing["triggered"])
    triggered = replace(_event(invocation, "triggered", {}), occurred=fired, follows=_cause(invocation, fired))
    details = invocation.details if reason is None else {"reason": reason, **invocation.details}
    ended = replace(_event(invocation, "executed" if reason is None else "failed", details), follows=triggered.id)
    await emit(tx, invocation.scope.workspace_id, triggered, ended)


def _cause(invocation: Invocation, fired: datetime) -> UUID | None:
    """The triggering event, if it was recent."""
    cause = invocation.triggering_event
    if cause is None or abs(fired - datetime.fromisoformat(cause["occurred"])) >= _RECENT:
        return None
    return UUID(cause["id"])


def _event(invocation: Invocation, change: str, details: dict[str, Any]) -> ServerEvent:
    trigger = invocation.firing["trigger"] or {}
    labels = {"prefect.trigger-type": trigger.get("type", "event")}
    if trigger.get("posture"):
        labels["prefect.posture"] = trigger["posture"]
    told = [("automation-triggered-event", invocation.told), ("triggering-event", invocation.triggering_event)]
    events = [named(role, "event", event["id"]) for role, event in told if event is not None]
    return ServerEvent(
        event=f"prefect.automation.action.{change}",
        resource=resource("automation", invocation.automation["id"], invocation.automation["name"], **labels),
        related=[*invocation.related, *events],
        payload={
            "action_index": invocation.index,
            "action_type": invocation.action.type,
            "invocation": str(invocation.id),
            **details,
        },
    )
