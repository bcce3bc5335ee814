"""Reading events: pages of a filter and counts."""

import base64
import binascii
import dataclasses
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError
from sqlalchemy import ColumnElement, Select, Text, and_, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, INTERVAL, TIMESTAMP, aggregate_order_by

from sempre.db.pool import Executor, Record
from sempre.db.tables import event
from sempre.schemas.base import to_utc
from sempre.schemas.filters.events import EventFilter
from sempre.schemas.lists import MAX_EVENTS_PER_PAGE, EventList
from sempre.schemas.sorting import EventOrder
from sempre.server import lists
from sempre.server.errors import Forbidden
from sempre.server.filters.events import event_conditions

__all__ = [
    "Page",
    "Token",
    "count_by_event",
    "count_by_resource",
    "count_by_span",
    "event_to_wire",
    "read_page",
    "read_stretch",
]

_WIRE = ("occurred", "event", "resource", "related", "payload", "id", "follows", "received")
_COLUMNS = [event.c[name] for name in _WIRE]
_FEW = 5000  # events that are sooner found by their index and sorted than met among all others of the time


def event_to_wire(row: Any) -> dict[str, Any]:
    return {name: row[name] for name in _WIRE}


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """Where a page ended: everything the next one needs, on any replica. ``after`` is (occurred, id) of its last event.

    ``count`` is the total when the first page was read; the filter's times are frozen then too.
    """

    filter: EventFilter
    count: int
    page_size: int
    offset: int
    after: tuple[datetime, UUID] | None = None

    def encode(self) -> str:
        content = orjson.dumps(
            {
                "filter": self.filter.model_dump(mode="json"),
                "count": self.count,
                "page_size": self.page_size,
                "offset": self.offset,
                "after": self.after and [self.after[0].isoformat(), str(self.after[1])],
            }
        )
        return base64.urlsafe_b64encode(content).decode()

    @classmethod
    def decode(cls, text: str) -> "Token":
        """Raises Forbidden if it is none of ours."""
        try:
            content = orjson.loads(base64.b64decode(text.encode(), altchars=b"-_", validate=True))
            after = content["after"]
            return cls(
                EventFilter.model_validate(content["filter"]),
                int(content["count"]),
                max(0, min(int(content["page_size"]), MAX_EVENTS_PER_PAGE)),
                max(0, int(content["offset"])),
                None if after is None else (to_utc(datetime.fromisoformat(after[0])), UUID(after[1])),
            )
        except (binascii.Error, ValidationError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise Forbidden("Forbidden") from error


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    events: list[Record]
    total: int
    next: Token | None


async def read_page(db: Executor, workspace_id: UUID, wanted: EventList | Token) -> Page:
    """The first page of a list, or the page a token stands for."""
    token = wanted if isinstance(wanted, Token) else None
    filter = wanted.filter
    limit = wanted.page_size if isinstance(wanted, Token) else wanted.limit
    offset = token.offset if token else 0
    total = token.count if token else await _total(db, workspace_id, filter)
    after = token.after if token else None
    query = _page(filter, workspace_id, after, offset, few=total <= _FEW).limit(limit)
    rows = await lists.fetch(db, query)
    following = None
    if rows and offset + limit < total:
        last = (rows[-1]["occurred"], rows[-1]["id"])
        following = Token(filter, total, limit, offset + limit, last)
    return Page(rows, total, following)


def _page(
    filter: EventFilter, workspace_id: UUID, after: tuple[datetime, UUID] | None, offset: int, *, few: bool = False
) -> Select[Any]:
    """The filter's events in its order. Pages go by key; only where one event stands for its resource by offset.

    ``few``: what matches is found first, then sorted (see :func:`sempre.server.lists.first`).
    """
    ascending = filter.order is EventOrder.ASC
    conditions = event_conditions(filter, workspace_id)
    if filter.resource and filter.resource.distinct:
        rank = func.row_number().over(partition_by=event.c.resource_id, order_by=_order(event.c, ascending))
        ranked = select(*_COLUMNS, rank.label("rank")).where(conditions).subquery()
        firsts = select(*(ranked.c[name] for name in _WIRE)).where(ranked.c.rank == 1)
        return firsts.order_by(*_order(ranked.c, ascending)).offset(offset)
    query = select(*_COLUMNS).where(conditions)
    if after is not None:
        query = query.where(_beyond(after, ascending))
    if few:
        found = query.cte("found").prefix_with("MATERIALIZED")
        return select(found).order_by(*_order(found.c, ascending))
    return query.order_by(*_order(event.c, ascending))


def _order(columns: Any, ascending: bool) -> list[ColumnElement[Any]]:
    keys = (columns.occurred, columns.id)
    return [key.asc() if ascending else key.desc() for key in keys]


def _beyond(after: tuple[datetime, UUID], ascending: bool) -> ColumnElement[bool]:
    occurred, id = after
    c = event.c
    if ascending:
        return and_(c.occurred >= occurred, or_(c.occurred > occurred, c.id > id))
    return and_(c.occurred <= occurred, or_(c.occurred < occurred, c.id < id))


async def read_stretch(
    db: Executor, workspace_id: UUID, filter: EventFilter, after: tuple[datetime, UUID] | None, limit: int
) -> list[Record]:
    """The next ``limit`` events behind ``after`` (occurred, id), or the first ones; nothing is counted."""
    return await lists.fetch(db, _page(filter, workspace_id, after, 0).limit(limit))


async def _total(db: Executor, workspace_id: UUID, filter: EventFilter) -> int:
    distinct = bool(filter.resource and filter.resource.distinct)
    counted = func.count(event.c.resource_id.distinct()) if distinct else func.count()
    query = select(counted).select_from(event).where(event_conditions(filter, workspace_id))
    return int(await lists.value(db, query))


async def count_by_event(db: Executor, workspace_id: UUID, filter: EventFilter) -> list[Record]:
    """Columns of EventCount, most frequent first."""
    return await _counts(db, workspace_id, filter, event.c.event, event.c.event)


async def count_by_resource(db: Executor, workspace_id: UUID, filter: EventFilter) -> list[Record]:
    """The same by primary resource; the label is its latest name."""
    resource = event.c.resource
    name = func.coalesce(resource["prefect.resource.name"].astext, resource["prefect.name"].astext, event.c.resource_id)
    latest = func.array_agg(aggregate_order_by(name, event.c.occurred.desc()), type_=ARRAY(Text))
    return await _counts(db, workspace_id, filter, event.c.resource_id, latest[1])


async def _counts(
    db: Executor, workspace_id: UUID, filter: EventFilter, value: ColumnElement[Any], label: ColumnElement[Any]
) -> list[Record]:
    number = func.count().label("count")
    named = label.label("label")
    query = (
        select(
            value.label("value"),
            named,
            number,
            func.min(event.c.occurred).label("start_time"),
            func.max(event.c.occurred).label("end_time"),
        )
        .where(event_conditions(filter, workspace_id))
        .group_by(value)
        .order_by(number.desc(), named.asc())
    )
    return await lists.figures(db, query)


async def count_by_span(
    db: Executor, workspace_id: UUID, filter: EventFilter, pivot: datetime, step: timedelta
) -> dict[int, int]:
    """Events in each span ``pivot + n * step``, by ``n``; spans without events are absent."""
    # A span's beginning before all of them: not every Postgres gets moments before the origin right.
    since = pivot + (filter.occurred.since - pivot) // step * step
    origin = literal(since, TIMESTAMP(timezone=True))
    start = func.date_bin(literal(step, INTERVAL), event.c.occurred, origin).label("start")
    query = select(start, func.count().label("count")).where(event_conditions(filter, workspace_id)).group_by(start)
    return {(row["start"] - pivot) // step: row["count"] for row in await lists.figures(db, query)}
