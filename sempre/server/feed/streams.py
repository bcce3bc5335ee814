"""The outgoing feeds: reading the filter, sending the past and then what happens, noticing that the peer is gone."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import asyncpg
from pydantic import ValidationError
from starlette.websockets import WebSocket

from sempre.db.errors import DatabaseUnavailable
from sempre.server.errors import ServiceError
from sempre.server.feed.tail import Subscription, Tail
from sempre.server.feed.websockets import PROTOCOL_ERROR, TRY_AGAIN, Refused, receive_object, session
from sempre.server.scope import Scope, scope_of

__all__ = ["MAX_MESSAGE_BYTES", "Feed", "serve"]

log = logging.getLogger("sempre.feed")

# Clients of the protocol close the connection on a larger message, come back, and would get it again.
MAX_MESSAGE_BYTES = 1024 * 1024

Filter = TypeVar("Filter")


@dataclass(frozen=True, slots=True)
class Feed(Generic[Filter]):
    """What one feed is about.

    ``parse`` makes the filter (and may raise ValidationError), ``matcher`` a predicate on rows of it. ``past`` yields
    key and message of what was there before, unless the subscriber wants none; ``None``: there is no past.
    """

    parse: Callable[[Scope, Any], Filter]
    matcher: Callable[[Filter], Callable[[Mapping[str, Any]], bool]]
    tail: Callable[[Any], Tail]
    is_on: Callable[[Scope], bool]
    past: Callable[[Scope, Filter], AsyncIterator[tuple[Any, bytes]]] | None = None


async def serve(websocket: WebSocket, feed: Feed[Filter]) -> None:
    """Subscribes before it reads the past, so that nothing falls between the two; repeats are left out by key.

    With the feed switched off the connection is accepted all the same, and stays silent.
    """
    async with session(websocket) as opened:
        if not opened:
            return
        scope = scope_of(websocket.app.state)
        filter, backfill = await _receive_filter(websocket, scope, feed)
        wants = feed.matcher(filter)
        if not feed.is_on(scope):
            await _left(websocket)
            return
        past = feed.past(scope, filter) if feed.past and backfill else None
        try:
            async with feed.tail(websocket.app.state.runtime).subscribed(
                lambda row: row["workspace_id"] == scope.workspace_id and wants(row),
                scope.settings.api.max_subscriber_queue,
            ) as subscription:
                await _until_gone(websocket, asyncio.create_task(_send(websocket, past, subscription)))
        except (ServiceError, asyncpg.DataError) as error:  # in what it asks of the past
            raise Refused(PROTOCOL_ERROR, f"Invalid filter: {error}") from error
        except DatabaseUnavailable as error:
            raise Refused(TRY_AGAIN, "The database is not available; reconnect") from error


async def _receive_filter(websocket: WebSocket, scope: Scope, feed: Feed[Filter]) -> tuple[Filter, bool]:
    """The filter message's filter, and whether the past is wanted. Raises Refused with what was wrong."""
    message = await receive_object(websocket)
    if message is None or message.get("type") != "filter":
        raise Refused(PROTOCOL_ERROR, "Expected 'filter' message")
    if "filter" not in message:
        raise Refused(PROTOCOL_ERROR, "Invalid filter: 'filter'")
    try:
        return feed.parse(scope, message["filter"]), message.get("backfill", True) is not False
    except ValidationError as error:
        raise Refused(PROTOCOL_ERROR, f"Invalid filter: {error}") from error


async def _send(
    websocket: WebSocket, past: AsyncIterator[tuple[Any, bytes]] | None, subscription: Subscription
) -> None:
    sent = set()
    if past is not None:
        async for key, message in past:
            sent.add(key)
            await _send_message(websocket, message)
    await _send_live(websocket, subscription, sent)


async def _send_message(websocket: WebSocket, message: bytes) -> None:
    if len(message) > MAX_MESSAGE_BYTES:
        log.warning("a message of %d bytes is too large for subscribers and was not sent", len(message))
        return
    await websocket.send_text(message.decode())


async def _send_live(websocket: WebSocket, subscription: Subscription, sent: set[Any]) -> None:
    """Send what the subscription brings, for ever; what is in ``sent`` was sent before and is left out once.

    Raises Refused if the reader is too slow: it comes back and starts with a backfill.
    """
    while (received := await subscription.get()) is not None:
        key, message = received
        if key in sent:
            sent.discard(key)
        else:
            await _send_message(websocket, message)
    raise Refused(TRY_AGAIN, "Too slow; reconnect")


async def _until_gone(websocket: WebSocket, sending: "asyncio.Task[None]") -> None:
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


async def _left(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
