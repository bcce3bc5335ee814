"""The websocket on which clients send events: one JSON object per message, confirmed by pongs only."""

import asyncio
import logging
from typing import Any

from pydantic import ValidationError
from starlette.types import Message, Receive, Send
from starlette.types import Scope as ASGIScope
from starlette.websockets import WebSocket

from sempre.db.errors import DatabaseUnavailable
from sempre.schemas.events import Event
from sempre.server.events.append import encode
from sempre.server.events.writer import EventWriter
from sempre.server.feed import websockets
from sempre.server.feed.websocket_protocol import HOLD_PONGS, PING, PONG
from sempre.server.scope import Scope, scope_of

__all__ = ["EventsIn"]

log = logging.getLogger("sempre.events")

_LOGGED_CHARACTERS = 300


class EventsIn:
    """ASGI endpoint. A pong is sent when every event received before its ping is durable.

    A message that is no event is logged, counted (``quarantined``) and passed over: closing would make the client send
    it again for ever.
    """

    quarantined = 0

    async def __call__(self, asgi: ASGIScope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(asgi, receive, send)
        async with websockets.session(websocket) as opened:
            if opened:
                await self._serve(websocket, receive, send)

    async def _serve(self, websocket: WebSocket, receive: Receive, send: Send) -> None:
        state = websocket.app.state
        writer: EventWriter = state.runtime.events
        pongs: asyncio.Queue[tuple[asyncio.Future[None], bytes]] = asyncio.Queue()
        if HOLD_PONGS in websocket.scope.get("extensions", {}):
            await send({"type": HOLD_PONGS})
        answering = asyncio.create_task(_answer(pongs, send))
        try:
            await self._receive(scope_of(state), writer, receive, pongs)
        except DatabaseUnavailable:
            return  # stopping: what is unconfirmed will be sent again
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    async def _receive(
        self,
        scope: Scope,
        writer: EventWriter,
        receive: Receive,
        pongs: "asyncio.Queue[tuple[asyncio.Future[None], bytes]]",
    ) -> None:
        maximum = scope.settings.events.maximum_size_bytes
        while (message := await receive())["type"] != "websocket.disconnect":
            if message["type"] == PING:
                pongs.put_nowait((writer.barrier(), message["data"]))
                continue
            event = self._parse(message)
            if event is not None and (encoded := encode(event, scope.workspace_id, maximum)) is not None:
                await writer.put(encoded)

    def _parse(self, message: Message) -> Event | None:
        raw: Any = message.get("text")
        if raw is None:
            raw = message.get("bytes", b"")
        try:
            return Event.__pydantic_validator__.validate_json(raw)  # type: ignore[no-any-return]
        except ValidationError as error:
            self.quarantined += 1
            shown = raw[:_LOGGED_CHARACTERS]
            log.warning("a message that is no event was passed over: %s; it begins %r", error.errors()[0]["msg"], shown)
            return None


async def _answer(pongs: "asyncio.Queue[tuple[asyncio.Future[None], bytes]]", send: Send) -> None:
    while True:
        durable, data = await pongs.get()
        await durable
        await send({"type": PONG, "data": data})
