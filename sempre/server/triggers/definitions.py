"""Stored automations as the trigger engine sees them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from sempre.core.triggers import model
from sempre.core.triggers.metrics import MetricQuery
from sempre.db.pool import Record
from sempre.schemas import triggers as wire

__all__ = ["CONSUMER", "SHARDS", "Definition", "defined", "ids_below", "shard_of"]

CONSUMER = "triggers"
# Every automation belongs to one of these for ever: changing the number would hand automations to consumers that stand
# elsewhere in the log.
SHARDS = 4

_TRIGGER: TypeAdapter[wire.Trigger] = TypeAdapter(wire.Trigger)


class Definition:
    """An enabled automation: its machine, its texts for whoever is told of a firing, and since when it is so."""

    __slots__ = ("automation", "document", "since", "triggers")

    def __init__(self, automation: model.Automation, document: dict[str, Any], since: datetime) -> None:
        self.automation = automation
        self.document = document
        self.since = since
        self.triggers = {UUID(trigger["id"]): trigger for trigger in _documents_below(document["trigger"])}


def shard_of(automation_id: UUID) -> int:
    return automation_id.int % SHARDS


def defined(row: Record) -> Definition:
    """Raises ``ValueError`` for what is stored but is no trigger."""
    try:
        trigger = _compiled(_TRIGGER.validate_python(row["trigger"]))
    except ValidationError as error:
        raise ValueError(str(error)) from error
    automation = model.Automation(row["id"], row["workspace_id"], trigger)
    document = {name: value for name, value in row.items() if name != "workspace_id"}
    return Definition(automation, document, row["updated"])


def ids_below(trigger: dict[str, Any]) -> list[UUID]:
    """The ids of a stored trigger and of all below it: what its counters are filed under."""
    return [UUID(one["id"]) for one in _documents_below(trigger)]


def _documents_below(trigger: dict[str, Any]) -> list[dict[str, Any]]:
    below = [one for child in trigger.get("triggers", ()) for one in _documents_below(child)]
    return [trigger, *below]


def _compiled(trigger: wire.Trigger) -> model.Trigger:
    if isinstance(trigger, wire.EventTrigger):
        return _event_trigger(trigger)
    if isinstance(trigger, wire.MetricTrigger):
        return _metric_trigger(trigger)
    children = tuple(_compiled(child) for child in trigger.triggers)
    if isinstance(trigger, wire.SequenceTrigger):
        return model.CompositeTrigger(trigger.id, children, len(children), ordered=True, within=trigger.within)
    needed = {"any": 1, "all": len(children)}.get(str(trigger.require)) or int(trigger.require)
    return model.CompositeTrigger(trigger.id, children, needed, within=trigger.within)


def _event_trigger(trigger: wire.EventTrigger) -> model.EventTrigger:
    return model.EventTrigger(
        id=trigger.id,
        proactive=trigger.posture == "Proactive",
        match=dict(trigger.match),
        match_related=tuple(dict(spec) for spec in trigger.match_related_all() if spec),
        after=frozenset(trigger.after),
        expect=frozenset(trigger.expect),
        for_each=tuple(sorted(trigger.for_each)),
        threshold=trigger.threshold,
        within=_bounded(trigger.within),
    )


def _metric_trigger(trigger: wire.MetricTrigger) -> model.MetricTrigger:
    asked = trigger.metric
    query = MetricQuery(
        asked.name, asked.operator, asked.threshold, _bounded(asked.range, years=10), _bounded(asked.firing_for)
    )
    related = tuple(dict(spec) for spec in trigger.match_related_all() if spec)
    return model.MetricTrigger(trigger.id, query, dict(trigger.match), related)


def _bounded(within: timedelta, years: int = 100) -> timedelta:
    """Windows begin and end within the calendar, whatever was asked for."""
    return min(within, timedelta(days=365 * years))
