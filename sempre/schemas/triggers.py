"""Triggers of automations: what must happen, or fail to happen, before the automation acts."""

from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import Discriminator, Field, Tag, model_validator

from sempre.schemas.base import Duration, WireModel
from sempre.schemas.resources import ResourceSpecification

__all__ = [
    "CompoundTrigger",
    "EventTrigger",
    "MetricTrigger",
    "MetricTriggerQuery",
    "SequenceTrigger",
    "Trigger",
    "with_new_ids",
]

SHORTEST_WATCH = timedelta(seconds=10)


class _ResourceTrigger(WireModel):
    """A trigger that looks at one resource and those related to it."""

    type: str
    id: UUID = Field(default_factory=uuid4)
    match: ResourceSpecification = Field(default_factory=ResourceSpecification)
    match_related: ResourceSpecification | list[ResourceSpecification] = Field(default_factory=ResourceSpecification)

    def match_related_all(self) -> list[ResourceSpecification]:
        """The specifications that related resources must satisfy, each by one of its own."""
        return self.match_related if isinstance(self.match_related, list) else [self.match_related]


class EventTrigger(_ResourceTrigger):
    """Reactive: fires on ``threshold`` events within ``within``. Proactive: fires when so many did not come.

    ``after`` names the events that open the window (none: any expected event does), ``expect`` those that count
    (none: every event), ``for_each`` the labels whose values are counted apart.
    """

    type: Literal["event"] = "event"
    after: set[str] = Field(default_factory=set)
    expect: set[str] = Field(default_factory=set)
    for_each: set[str] = Field(default_factory=set)
    posture: Literal["Reactive", "Proactive"]
    threshold: int = 1
    within: Duration = timedelta(0)

    @model_validator(mode="after")
    def _check_within(self) -> "EventTrigger":
        if self.within < timedelta(0):
            raise ValueError("`within` must not be negative")
        if self.posture == "Proactive":
            if not self.within:
                self.within = SHORTEST_WATCH
            elif self.within < SHORTEST_WATCH:
                raise ValueError("`within` for Proactive triggers must be greater than or equal to 10 seconds")
        return self


_FIVE_MINUTES = timedelta(minutes=5)


class MetricTriggerQuery(WireModel):
    """A metric over the last ``range`` that stands beyond ``threshold`` for ``firing_for``."""

    name: Literal["lateness", "duration", "successes"]
    threshold: float = Field(default=0.0, allow_inf_nan=False)
    operator: Literal["<", "<=", ">", ">="]
    range: Duration = _FIVE_MINUTES
    firing_for: Duration = _FIVE_MINUTES

    @model_validator(mode="after")
    def _check_spans(self) -> "MetricTriggerQuery":
        for name in ("range", "firing_for"):
            if getattr(self, name) < _FIVE_MINUTES:
                raise ValueError(f"`{name}` must be greater than or equal to 300 seconds")
        return self


class MetricTrigger(_ResourceTrigger):
    """Fires on a metric of the matched runs."""

    type: Literal["metric"] = "metric"
    posture: Literal["Metric"] = "Metric"
    metric: MetricTriggerQuery


class CompoundTrigger(WireModel):
    """Fires when some of its triggers (any, all, or a number of them) have, within ``within`` of each other."""

    type: Literal["compound"] = "compound"
    id: UUID = Field(default_factory=uuid4)
    triggers: list["Trigger"]
    require: int | Literal["any", "all"]
    within: Duration | None

    @model_validator(mode="after")
    def _check_require(self) -> "CompoundTrigger":
        if isinstance(self.require, int):
            if self.require < 1:
                raise ValueError("require must be at least 1")
            if self.require > len(self.triggers):
                raise ValueError("require must be less than or equal to the number of triggers")
        return self


class SequenceTrigger(WireModel):
    """Fires when all its triggers have, in their order, within ``within``."""

    type: Literal["sequence"] = "sequence"
    id: UUID = Field(default_factory=uuid4)
    triggers: list["Trigger"]
    within: Duration | None


_BY_TYPE = {
    "event": "EventTrigger",
    "compound": "CompoundTrigger",
    "sequence": "SequenceTrigger",
    "metric": "MetricTrigger",
}


def _kind(value: Any) -> str | None:
    """Which trigger this is. Deciding before validating keeps a deep tree of broken triggers from being tried as
    every kind on every level, which would take time exponential in its depth."""
    if isinstance(value, WireModel):
        return type(value).__name__
    if not isinstance(value, dict):
        return None
    if "type" in value:
        kind = value["type"]
        return _BY_TYPE.get(kind) if isinstance(kind, str) else None
    if "posture" in value:
        return "MetricTrigger" if value["posture"] == "Metric" else "EventTrigger"
    if "triggers" in value:
        return "CompoundTrigger" if "require" in value else "SequenceTrigger"
    return "EventTrigger"


Trigger = Annotated[
    Annotated[EventTrigger, Tag("EventTrigger")]
    | Annotated[CompoundTrigger, Tag("CompoundTrigger")]
    | Annotated[SequenceTrigger, Tag("SequenceTrigger")]
    | Annotated[MetricTrigger, Tag("MetricTrigger")],
    Discriminator(_kind),
]

CompoundTrigger.model_rebuild()
SequenceTrigger.model_rebuild()


def with_new_ids(trigger: Trigger) -> Trigger:
    """The same trigger with fresh ids on every level: ids name counters, and counters start anew on each write."""
    changes: dict[str, Any] = {"id": uuid4()}
    if isinstance(trigger, CompoundTrigger | SequenceTrigger):
        changes["triggers"] = [with_new_ids(child) for child in trigger.triggers]
    return trigger.model_copy(update=changes)
