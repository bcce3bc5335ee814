"""The websocket that streams events: first the recent past, then whatever happens."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from starlette.websockets import WebSocket

from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Record
from sempre.schemas.filters.events import EventFilter
from sempre.schemas.sorting import EventOrder
from sempre.server.events.matching import matcher
from sempre.server.events.queries import event_to_wire, read_stretch
from sempre.server.feed import streams, websockets
from sempre.server.feed.tail import Subscription, Tail
from sempre.server.responses import dumps
from sempre.server.scope import Scope, scope_of

__all__ = ["encode_message", "events_out"]


def encode_message(row: Record) -> bytes:
    return dumps({"type": "event", "event": event_to_wire(row)})


async def events_out(websocket: WebSocket) -> None:
    """Subscribes before it reads the past, so that nothing falls between the two; repeats are left out by id."""
    async with websockets.session(websocket) as opened:
        if not opened:
            return
        scope = scope_of(websocket.app.state)
        filter, message = await streams.receive_filter(websocket, EventFilter.model_validate)
        filter = _clamped(filter, scope.settings.events.maximum_websocket_backfill_seconds)
        wants = matcher(filter)
        if not scope.settings.events.stream_out_enabled:
            await streams.stay_silent(websocket)
            return
        tail: Tail = websocket.app.state.runtime.event_tail
        try:
            async with tail.subscribed(
                lambda row: row["workspace_id"] == scope.workspace_id and wants(row),
                scope.settings.api.max_subscriber_queue,
            ) as subscription:
                backfill = message.get("backfill", True) is not False
                sending = asyncio.create_task(_send(websocket, scope, filter, subscription, backfill=backfill))
                await streams.until_gone(websocket, sending)
        except DatabaseUnavailable as error:
            raise websockets.Refused(websockets.TRY_AGAIN, "The database is not available; reconnect") from error


async def _send(
    websocket: WebSocket, scope: Scope, filter: EventFilter, subscription: Subscription, *, backfill: bool
) -> None:
    sent: set[UUID] = set()
    if backfill:
        await _send_past(websocket, scope, filter, sent)
    await streams.send_live(websocket, subscription, sent)


async def _send_past(websocket: WebSocket, scope: Scope, filter: EventFilter, sent: set[Any]) -> None:
    size = scope.settings.events.websocket_backfill_page_size
    after: tuple[datetime, UUID] | None = None
    while True:
        rows = await read_stretch(scope.db, scope.workspace_id, filter, after, size)
        for row in rows:
            sent.add(row["id"])
            await streams.send_message(websocket, encode_message(row))
        if len(rows) < size:
            return
        after = (rows[-1]["occurred"], rows[-1]["id"])


def _clamped(filter: EventFilter, seconds: float) -> EventFilter:
    earliest = datetime.now(UTC) - timedelta(seconds=seconds)
    since = max(filter.occurred.since, earliest)
    return filter.model_copy(
        update={"occurred": filter.occurred.model_copy(update={"since": since}), "order": EventOrder.ASC}
    )
