"""Events over HTTP: taking them in, searching and counting them."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from sempre.schemas.events import Countable, Event, EventCount, EventPage, TimeUnit
from sempre.schemas.filters.events import EventFilter
from sempre.schemas.lists import EventCounts, EventList
from sempre.server.errors import Unprocessable
from sempre.server.events import queries
from sempre.server.events.append import encode
from sempre.server.events.queries import Page, Token, event_to_wire
from sempre.server.events.spans import MAX_SPANS, PIVOT, Spans
from sempre.server.events.writer import EventWriter
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room(prefix="/events", tags=["Events"])


@router.post("", status_code=204, response_class=Response)
async def create_events(request: Request, scope: ScopeDep, events: list[Event]) -> Response:
    """Take events in. They are durable when this answers; ids that are known already are passed over."""
    writer: EventWriter = request.app.state.runtime.events
    maximum = scope.settings.events.maximum_size_bytes
    encoded = (encode(event, scope.workspace_id, maximum) for event in events)
    await writer.append([event for event in encoded if event is not None])
    return no_content()


@router.post("/filter", response_model=EventPage)
async def read_events(request: Request, scope: ScopeDep, asked: EventList) -> Response:
    """The events that match, a page at a time."""
    page = await queries.read_page(scope.db, scope.workspace_id, asked)
    return _page(request, page, "/next")


@router.get("/filter/next", response_model=EventPage)
async def read_next_events(
    request: Request, scope: ScopeDep, token: Annotated[str, Query(alias="page-token")]
) -> Response:
    """The page that follows, for the token in ``next_page`` of the one before."""
    page = await queries.read_page(scope.db, scope.workspace_id, Token.decode(token))
    return _page(request, page, "")


@router.post("/count-by/{countable}", response_model=list[EventCount])
async def count_account_events(scope: ScopeDep, countable: Countable, asked: EventCounts) -> Response:
    """How many events match, by name, by resource or by spans of time."""
    by_day = countable is Countable.day
    spans = Spans(TimeUnit.day, 1.0) if by_day else Spans(asked.time_unit, asked.time_interval)
    filter = asked.filter
    try:
        number = spans.number(filter.occurred.since, filter.occurred.until)
        spans.bounds(spans.index(filter.occurred.since))
        spans.bounds(spans.index(filter.occurred.until))
    except OverflowError:
        raise Unprocessable("Every interval must lie within the years 1 to 9999.") from None
    if number > MAX_SPANS:
        raise Unprocessable(
            f"The given interval would create {number} buckets, which is too many. Please increase the interval or "
            f"reduce the time range to produce {MAX_SPANS} buckets or fewer."
        )
    if countable is Countable.event:
        return JSON([dict(row) for row in await queries.count_by_event(scope.db, scope.workspace_id, filter)])
    if countable is Countable.resource:
        return JSON([dict(row) for row in await queries.count_by_resource(scope.db, scope.workspace_id, filter)])
    counts = await queries.count_by_span(scope.db, scope.workspace_id, filter, PIVOT, spans.step)
    return JSON(_filled(spans, filter, counts))


def _filled(spans: Spans, filter: EventFilter, counts: dict[int, int]) -> list[dict[str, Any]]:
    first = spans.index(filter.occurred.since)
    last = spans.index(spans.last_moment(filter.occurred.until, datetime.now(UTC)))
    filled = []
    for position, index in enumerate(range(first, last + 1)):
        start, end = spans.bounds(index)
        filled.append(
            {
                "value": str(position),
                "label": start.isoformat(),
                "count": counts.get(index, 0),
                "start_time": start,
                "end_time": end,
            }
        )
    return filled


def _page(request: Request, page: Page, suffix: str) -> Response:
    following = None
    if page.next is not None:
        url = request.url
        following = str(url.replace(path=url.path + suffix, query=f"page-token={page.next.encode()}"))
    return JSON({"events": [event_to_wire(row) for row in page.events], "total": page.total, "next_page": following})
