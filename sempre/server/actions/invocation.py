"""One action that is being carried out, with everything it knows and whatever it finds out."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sempre.schemas.actions import Action
from sempre.server.errors import ServiceError
from sempre.server.events.emit import named
from sempre.server.scope import Scope

__all__ = ["ATTEMPTS", "ActionFailed", "Invocation", "unexpected_status"]

# How often an action is tried that fails in a way which may pass.
ATTEMPTS = 4


class ActionFailed(Exception):
    """An action that cannot be carried out, now or later. ``reason`` and ``details`` are told in its failed event."""

    def __init__(self, reason: str, **details: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.details = details


def unexpected_status(type: str, error: ServiceError) -> ActionFailed:
    """What clients are told of a refusal by the part of the server that was to act."""
    if error.status_code in (409, 422):
        return ActionFailed(f"Validation error occurred for '{type}' - {error.detail}", status_code=error.status_code)
    return ActionFailed(f"Unexpected status from '{type}' action: {error.status_code}", status_code=error.status_code)


@dataclass
class Invocation:
    """``scope`` acts for the automation, in its workspace. ``automation``, ``firing`` and ``told`` (the event that told
    of the firing) are documents as clients know them, as they were at the firing. ``related`` and ``details`` collect
    what the action touched and what came of it.
    """

    id: UUID
    scope: Scope
    action: Action
    index: int
    attempts: int
    automation: dict[str, Any]
    firing: dict[str, Any]
    told: dict[str, Any]
    triggering_event: dict[str, Any] | None
    related: list[dict[str, str]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def automation_id(self) -> UUID:
        return UUID(self.automation["id"])

    @property
    def is_last(self) -> bool:
        """Whether a failure now is final."""
        return self.attempts >= ATTEMPTS

    def touched(self, role: str, kind: str, id: object, name: str | None = None, **labels: str) -> None:
        """Tell, in the events about this action, of an object it dealt with."""
        self.related.append(named(role, kind, id, name, **labels))
