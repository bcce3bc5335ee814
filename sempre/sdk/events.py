"""Events of users' own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sempre.sdk.context import FlowRunContext
from sempre.sdk.engine.task_events import iso
from sempre.sdk.engine.world import current_world
from sempre.sdk.ids import new_id, now

__all__ = ["emit_event"]


def emit_event(
    event: str,
    resource: Mapping[str, str],
    occurred: datetime | None = None,
    related: Sequence[Mapping[str, str]] | None = None,
    payload: Mapping[str, Any] | None = None,
    id: UUID | None = None,
    follows: Any = None,
) -> dict[str, Any]:
    """Send an event some time soon; returns it as it is sent. Never blocks.

    ``resource`` has at least `prefect.resource.id`. The flow run around the caller, and what belongs to it, is related
    too. ``follows`` is the event that comes before this one, or its id. Raises ValueError for a resource without an id.
    """
    if not resource.get("prefect.resource.id"):
        raise ValueError("the resource of an event needs a label prefect.resource.id")
    flow = FlowRunContext.get()
    at = now() if occurred is None else occurred
    before = follows.get("id") if isinstance(follows, Mapping) else follows
    told: dict[str, Any] = {
        "occurred": iso((at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)),
        "event": event,
        "resource": dict(resource),
        "related": [*map(dict, related or ()), *([] if flow is None else flow.related)],
        "payload": dict(payload or {}),
        "id": str(id or new_id()),
        "follows": None if before is None else str(before),
    }
    current_world().emit(told)
    return told
