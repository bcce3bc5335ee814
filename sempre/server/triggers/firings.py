"""What comes of a firing: the event that tells of it, and the actions the automation owes."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sempre.core.triggers.model import Firing
from sempre.db.pool import Executor
from sempre.server.events.emit import ServerEvent, emit, named, resource
from sempre.server.ids import new_id
from sempre.server.responses import dumps
from sempre.server.triggers.definitions import Definition
from sempre.server.triggers.reading import Reading

__all__ = ["Owed", "document_of", "owed", "write_owed"]

# A firing is told with the whole event that set it off, up to this size in bytes of JSON.
_LARGEST_TOLD = 500_000


def document_of(definition: Definition, firing: Firing, reading: Reading, known: Mapping[UUID, Any]) -> dict[str, Any]:
    """A firing as clients know it. ``known`` has the documents of firings that were written earlier, by id."""
    return {
        "id": firing.id,
        "trigger": definition.triggers.get(firing.trigger_id),
        "trigger_states": ["Resolved" if firing.resolved else "Triggered"],
        "triggered": firing.triggered,
        "triggering_labels": dict(firing.labels),
        "triggering_firings": [
            known.get(child.id) or document_of(definition, child, reading, known) for child in firing.firings
        ],
        "triggering_event": None if firing.event is None else reading.document(firing.event),
        "triggering_value": firing.value,
    }


class Owed:
    """A firing of a whole automation: its document, and the event that tells of it."""

    __slots__ = ("definition", "event", "firing", "told")

    def __init__(
        self, definition: Definition, firing: dict[str, Any], event: ServerEvent, told: dict[str, Any]
    ) -> None:
        self.definition = definition
        self.firing = firing
        self.event = event
        self.told = told


def owed(definition: Definition, firing: dict[str, Any]) -> Owed:
    """What a firing (a document) of the automation's own trigger leads to, or the end of one."""
    change = "resolved" if firing["trigger_states"] == ["Resolved"] else "triggered"
    trigger = firing["trigger"] or {}
    labels = {"prefect.posture": trigger["posture"]} if trigger.get("posture") else {}
    cause = firing["triggering_event"]
    related = [] if cause is None else [named("triggering-event", "event", cause["id"])]
    event = ServerEvent(
        event=f"prefect.automation.{change}",
        resource=resource("automation", definition.automation.id, definition.document["name"], **labels),
        related=related,
        payload={"triggering_labels": firing["triggering_labels"], "triggering_event": _tellable(cause)},
        occurred=firing["triggered"],
    )
    told = {
        "occurred": event.occurred,
        "event": event.event,
        "resource": event.resource,
        "related": event.related,
        "payload": event.payload,
        "id": event.id,
        "follows": None,
        "received": event.occurred,
    }
    return Owed(definition, firing, event, told)


def _tellable(cause: dict[str, Any] | None) -> dict[str, Any] | None:
    """The triggering event, without its payload if that would make the one that tells of it too large."""
    if cause is None or len(dumps(cause)) <= _LARGEST_TOLD:
        return cause
    return {**cause, "payload": {}}


async def write_owed(tx: Executor, all_owed: Iterable[Owed]) -> None:
    """Write firings, the actions they owe and the events that tell of them. Ring ``events`` and ``actions`` after."""
    ordered = list(all_owed)
    await tx.execute(
        """
        INSERT INTO automation_firing (id, workspace_id, automation_id, fired_at, automation, firing, event)
        SELECT f.id, f.workspace_id, f.automation_id, f.fired_at, f.automation::jsonb, f.firing::jsonb, f.event::jsonb
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[], $7::text[])
            AS f(id, workspace_id, automation_id, fired_at, automation, firing, event)
        """,
        [UUID(str(one.firing["id"])) for one in ordered],
        [one.definition.automation.workspace_id for one in ordered],
        [one.definition.automation.id for one in ordered],
        [one.firing["triggered"] for one in ordered],
        [dumps(one.definition.document).decode() for one in ordered],
        [dumps(one.firing).decode() for one in ordered],
        [dumps(one.told).decode() for one in ordered],
    )
    await _write_actions(tx, ordered)
    by_workspace: dict[UUID, list[ServerEvent]] = {}
    for one in ordered:
        by_workspace.setdefault(one.definition.automation.workspace_id, []).append(one.event)
    for workspace_id, events in sorted(by_workspace.items()):
        await emit(tx, workspace_id, *events)


async def _write_actions(tx: Executor, ordered: list[Owed]) -> None:
    rows = [
        (
            new_id(),
            one.definition.automation.workspace_id,
            UUID(str(one.firing["id"])),
            one.definition.automation.id,
            index,
            dumps(action).decode(),
            triggered_by,
        )
        for one in ordered
        for index, (action, triggered_by) in enumerate(_actions(one))
    ]
    if not rows:
        return
    await tx.execute(
        """
        INSERT INTO automation_action (
            id, workspace_id, firing_id, automation_id, action_index, action, triggered_by
        )
        SELECT a.id, a.workspace_id, a.firing_id, a.automation_id, a.action_index, a.action::jsonb, a.triggered_by
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::int[], $6::text[], $7::text[])
            AS a(id, workspace_id, firing_id, automation_id, action_index, action, triggered_by)
        """,
        *(list(column) for column in zip(*rows, strict=True)),
    )


def _actions(one: Owed) -> list[tuple[dict[str, Any], str]]:
    """The actions in order, each with what it takes for its triggering event."""
    document = one.definition.document
    if one.event.event.endswith(".resolved"):
        return [(action, "automation") for action in document["actions_on_resolve"]]
    return [
        *((action, "firing") for action in document["actions"]),
        *((action, "automation") for action in document["actions_on_trigger"]),
    ]
