"""The websocket that streams log lines as they come in. There is no backfill."""

import asyncio

from starlette.websockets import WebSocket

from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Record
from sempre.schemas.filters.logs import LogFilter
from sempre.server.feed import streams, websockets
from sempre.server.feed.tail import Tail
from sempre.server.logs.matching import matcher
from sempre.server.logs.queries import log_to_wire
from sempre.server.responses import dumps
from sempre.server.scope import scope_of

__all__ = ["encode_message", "logs_out"]


def encode_message(row: Record) -> bytes:
    return dumps({"type": "log", "log": log_to_wire(row)})


async def logs_out(websocket: WebSocket) -> None:
    """With the feed switched off the connection is accepted all the same, and stays silent."""
    async with websockets.session(websocket) as opened:
        if not opened:
            return
        scope = scope_of(websocket.app.state)
        filter, _ = await streams.receive_filter(websocket, LogFilter.model_validate)
        wants = matcher(filter)
        if not scope.settings.logs.stream_out_enabled:
            await streams.stay_silent(websocket)
            return
        tail: Tail = websocket.app.state.runtime.log_tail
        try:
            async with tail.subscribed(
                lambda row: row["workspace_id"] == scope.workspace_id and wants(row),
                scope.settings.api.max_subscriber_queue,
            ) as subscription:
                await streams.until_gone(
                    websocket, asyncio.create_task(streams.send_live(websocket, subscription, set()))
                )
        except DatabaseUnavailable as error:
            raise websockets.Refused(websockets.TRY_AGAIN, "The database is not available; reconnect") from error
