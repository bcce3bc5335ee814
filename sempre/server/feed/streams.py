"""What the two outgoing feeds share: reading the filter, sending, and noticing that the peer is gone."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.websockets import WebSocket

from sempre.server.feed.tail import Subscription
from sempre.server.feed.websockets import PROTOCOL_ERROR, TRY_AGAIN, Refused, receive_object

__all__ = ["MAX_MESSAGE_BYTES", "receive_filter", "send_live", "send_message", "stay_silent", "until_gone"]

log = logging.getLogger("sempre.feed")

# Clients of the protocol close the connection on a larger message, come back, and would get it again.
MAX_MESSAGE_BYTES = 1024 * 1024

Filter = TypeVar("Filter")


async def receive_filter(websocket: WebSocket, parse: Callable[[Any], Filter]) -> tuple[Filter, dict[str, Any]]:
    """The filter message's filter, and the message. Raises Refused with what was wrong."""
    message = await receive_object(websocket)
    if message is None or message.get("type") != "filter":
        raise Refused(PROTOCOL_ERROR, "Expected 'filter' message")
    if "filter" not in message:
        raise Refused(PROTOCOL_ERROR, "Invalid filter: 'filter'")
    try:
        return parse(message["filter"]), message
    except ValidationError as error:
        raise Refused(PROTOCOL_ERROR, f"Invalid filter: {error}") from error


async def send_message(websocket: WebSocket, message: bytes) -> None:
    if len(message) > MAX_MESSAGE_BYTES:
        log.warning("a message of %d bytes is too large for subscribers and was not sent", len(message))
        return
    await websocket.send_text(message.decode())


async def send_live(websocket: WebSocket, subscription: Subscription, sent: set[Any]) -> None:
    """Send what the subscription brings, for ever; what is in ``sent`` was sent before and is left out once.

    Raises Refused if the reader is too slow: it comes back and starts with a backfill.
    """
    while (received := await subscription.get()) is not None:
        key, message = received
        if key in sent:
            sent.discard(key)
        else:
            await send_message(websocket, message)
    raise Refused(TRY_AGAIN, "Too slow; reconnect")


async def until_gone(websocket: WebSocket, sending: "asyncio.Task[None]") -> None:
    """Wait for the sender to fail or the peer to leave, whichever is first. What the peer says is not listened to."""
    leaving = asyncio.create_task(_left(websocket))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving):
            task.cancel()
        results = await asyncio.gather(sending, leaving, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


async def stay_silent(websocket: WebSocket) -> None:
    """Wait for the peer to leave."""
    await _left(websocket)


async def _left(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
