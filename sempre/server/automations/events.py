"""What is told of automations themselves."""

from sempre.db.pool import Record
from sempre.server.events.emit import ServerEvent, resource

__all__ = ["automation_event"]


def automation_event(change: str, automation: Record) -> ServerEvent:
    """``change`` is created, updated or deleted."""
    return ServerEvent(
        event=f"prefect.automation.{change}",
        resource=resource("automation", automation["id"], automation["name"]),
        payload=dict(automation),
    )
