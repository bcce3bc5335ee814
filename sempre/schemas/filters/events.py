"""Filters on events. All criteria hold together; an empty list says nothing.

In a list of related (or any) resources every item must be met, each by a resource of its own choice.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import Field

from sempre.schemas.base import DateTime, FilterModel
from sempre.schemas.resources import ResourceSpecification
from sempre.schemas.sorting import EventOrder

__all__ = [
    "EventAnyResourceFilter",
    "EventFilter",
    "EventIDFilter",
    "EventNameFilter",
    "EventOccurredFilter",
    "EventRelatedFilter",
    "EventResourceFilter",
    "EventTextFilter",
]

HORIZON = timedelta(days=180)


def _now() -> datetime:
    return datetime.now(UTC)


def _horizon() -> datetime:
    return _now().replace(hour=0, minute=0, second=0, microsecond=0) - HORIZON


class EventOccurredFilter(FilterModel):
    """Both ends included; by default from 180 days before this UTC day until now."""

    since: DateTime = Field(default_factory=_horizon)
    until: DateTime = Field(default_factory=_now)


class EventNameFilter(FilterModel):
    prefix: list[str] | None = None
    exclude_prefix: list[str] | None = None
    name: list[str] | None = None
    exclude_name: list[str] | None = None


class EventResourceFilter(FilterModel):
    """``distinct``: only the first event, in the order asked for, of each resource."""

    id: list[str] | None = None
    id_prefix: list[str] | None = None
    labels: ResourceSpecification | None = None
    distinct: bool = False


class EventRelatedFilter(FilterModel):
    """What one related resource must satisfy; ``resources_in_roles`` are pairs of id and role."""

    id: list[str] | None = None
    role: list[str] | None = None
    resources_in_roles: list[tuple[str, str]] | None = None
    labels: ResourceSpecification | None = None


class EventAnyResourceFilter(FilterModel):
    """What one resource, the primary or a related one, must satisfy."""

    id: list[str] | None = None
    id_prefix: list[str] | None = None
    labels: ResourceSpecification | None = None


class EventIDFilter(FilterModel):
    id: list[UUID] | None = None


class EventTextFilter(FilterModel):
    """Words and ``"phrases"``: any of them, ``+`` required, ``-`` or ``!`` excluded."""

    query: str = Field(max_length=200)


class EventFilter(FilterModel):
    occurred: EventOccurredFilter = Field(default_factory=EventOccurredFilter)
    event: EventNameFilter | None = None
    resource: EventResourceFilter | None = None
    related: EventRelatedFilter | list[EventRelatedFilter] | None = None
    any_resource: EventAnyResourceFilter | list[EventAnyResourceFilter] | None = None
    id: EventIDFilter = Field(default_factory=EventIDFilter)
    text: EventTextFilter | None = None
    order: EventOrder = EventOrder.DESC
