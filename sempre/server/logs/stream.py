"""The websocket that streams log lines as they come in. There is no backfill."""

from starlette.websockets import WebSocket

from sempre.schemas.filters.logs import LogFilter
from sempre.server.feed.streams import Feed, serve
from sempre.server.feed.stretches import Row
from sempre.server.logs.matching import matcher
from sempre.server.logs.queries import log_to_wire
from sempre.server.responses import dumps

__all__ = ["encode_message", "logs_out"]


def encode_message(row: Row) -> bytes:
    return dumps({"type": "log", "log": log_to_wire(row)})


_FEED = Feed(
    parse=lambda scope, given: LogFilter.model_validate(given),
    matcher=matcher,
    tail=lambda runtime: runtime.log_tail,
    is_on=lambda scope: scope.settings.logs.stream_out_enabled and scope.settings.logs.stream_publishing_enabled,
)


async def logs_out(websocket: WebSocket) -> None:
    await serve(websocket, _FEED)
