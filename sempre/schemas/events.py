"""Events: something that happened to a resource."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from sempre.schemas import limits
from sempre.schemas.base import DateTime, JsonObject, WireModel
from sempre.schemas.resources import RelatedResource, Resource, ResourceSpecification

__all__ = [
    "Countable",
    "Event",
    "EventCount",
    "EventPage",
    "ReceivedEvent",
    "RelatedResource",
    "Resource",
    "ResourceSpecification",
    "TimeUnit",
]


def _check_event_name(value: str) -> str:
    bound = limits.current().event_name
    if len(value) > bound:
        raise ValueError(f"Event name must be at most {bound} characters")
    return value


def _check_related(value: list[RelatedResource]) -> list[RelatedResource]:
    bound = limits.current().related_resources
    if len(value) > bound:
        raise ValueError(f"The maximum number of related resources is {bound}")
    return value


class Event(WireModel):
    """What a client sends. ``id`` is the sender's and makes sending it twice harmless."""

    occurred: DateTime
    event: Annotated[str, AfterValidator(_check_event_name)]
    resource: Resource
    related: Annotated[list[RelatedResource], AfterValidator(_check_related)] = Field(default_factory=list)
    payload: JsonObject = Field(default_factory=dict)
    id: UUID
    follows: UUID | None = None

    def receive(self, received: datetime) -> "ReceivedEvent":
        """This event as the server took it in at ``received`` (UTC)."""
        return ReceivedEvent.model_construct(self.model_fields_set | {"received"}, **self.__dict__, received=received)


class ReceivedEvent(Event):
    received: DateTime


class EventPage(WireModel):
    """``next_page`` is the address of the rest; ``total`` counts all pages."""

    events: list[ReceivedEvent]
    total: int
    next_page: Annotated[str, Field(min_length=1, json_schema_extra={"format": "uri"})] | None


class Countable(StrEnum):
    """What events may be counted by."""

    day = "day"
    time = "time"
    event = "event"
    resource = "resource"


class TimeUnit(StrEnum):
    week = "week"
    day = "day"
    hour = "hour"
    minute = "minute"
    second = "second"


class EventCount(WireModel):
    value: str
    label: str
    count: int
    start_time: DateTime
    end_time: DateTime
