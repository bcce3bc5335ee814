"""The websocket that streams events: first the recent past, then whatever happens."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from starlette.websockets import WebSocket

from sempre.schemas.filters.events import EventFilter
from sempre.schemas.sorting import EventOrder
from sempre.server.events.matching import matcher
from sempre.server.events.queries import event_to_wire, read_stretch
from sempre.server.feed.streams import Feed, serve
from sempre.server.feed.stretches import Row
from sempre.server.responses import dumps
from sempre.server.scope import Scope

__all__ = ["encode_message", "events_out"]


def encode_message(row: Row) -> bytes:
    return dumps({"type": "event", "event": event_to_wire(row)})


def _parse(scope: Scope, given: Any) -> EventFilter:
    """The filter, from no earlier on than the backfill may reach, the oldest first."""
    filter = EventFilter.model_validate(given)
    earliest = datetime.now(UTC) - timedelta(seconds=scope.settings.events.maximum_websocket_backfill_seconds)
    occurred = filter.occurred.model_copy(update={"since": max(filter.occurred.since, earliest)})
    return filter.model_copy(update={"occurred": occurred, "order": EventOrder.ASC})


async def _past(scope: Scope, filter: EventFilter) -> AsyncIterator[tuple[UUID, bytes]]:
    size = scope.settings.events.websocket_backfill_page_size
    after: tuple[datetime, UUID] | None = None
    while True:
        rows = await read_stretch(scope.db, scope.workspace_id, filter, after, size)
        for row in rows:
            yield row["id"], encode_message(row)
        if len(rows) < size:
            return
        after = (rows[-1]["occurred"], rows[-1]["id"])


_FEED = Feed(
    parse=_parse,
    matcher=matcher,
    tail=lambda runtime: runtime.event_tail,
    is_on=lambda scope: scope.settings.events.stream_out_enabled,
    past=_past,
)


async def events_out(websocket: WebSocket) -> None:
    await serve(websocket, _FEED)
