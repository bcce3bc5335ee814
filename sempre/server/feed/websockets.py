"""What all websockets of the protocol share: the handshake, reasons that fit into a close frame, and an end.

Typical use::

    async with session(websocket) as open:
        if open:
            ...

inside which the client's going away ends the block quietly.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from sempre.server.schema import schema_of
from sempre.server.scope import Scope, scope_of

__all__ = ["OpenWebsockets", "Refused", "close", "open_websockets", "receive_object", "send_object", "session"]

PROTOCOL = "prefect"

_HANDSHAKE_SECONDS = 30.0
_MAX_REASON_BYTES = 123  # what a close frame holds beside its code

TRY_AGAIN = 1013
POLICY = 1008
PROTOCOL_ERROR = 1002


class Refused(Exception):
    """End the connection with a close ``code`` and a ``reason`` that the client reads."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@asynccontextmanager
async def session(websocket: WebSocket, *, failure: str | None = None) -> AsyncIterator[bool]:
    """An accepted and authenticated connection, or ``False`` where it was refused. ``Refused`` ends it from inside.

    ``failure`` is the reason of every failed authentication, where one reason for all is the protocol.
    """
    scope = scope_of(websocket.app.state)
    counter = open_websockets(websocket.app.state)
    counter.open += 1
    try:
        full = 0 < scope.settings.api.max_websockets < counter.open
        opened = await _opened(websocket, scope, full=full, failure=failure)
        try:
            yield opened
        except WebSocketDisconnect:
            pass
        except Refused as refusal:
            await close(websocket, refusal.code, refusal.reason)
        except (asyncpg.DataError, asyncpg.ProgramLimitExceededError):
            await close(websocket, POLICY, "A message held a value that cannot be stored")
    finally:
        counter.open -= 1


async def close(websocket: WebSocket, code: int, reason: str = "") -> None:
    """Close if it is not closed; a reason that does not fit is cut."""
    if WebSocketState.DISCONNECTED in (websocket.client_state, websocket.application_state):
        return
    fitting = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
    try:
        await websocket.close(code, fitting)
    except (RuntimeError, WebSocketDisconnect):
        return  # it went away meanwhile


async def receive_object(websocket: WebSocket) -> dict[str, Any] | None:
    """The next message if it is a JSON object, else ``None``. Raises WebSocketDisconnect."""
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005), message.get("reason"))
    raw = message.get("text")
    try:
        value = orjson.loads(raw if raw is not None else message["bytes"])
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


async def send_object(websocket: WebSocket, value: dict[str, Any]) -> None:
    await websocket.send_text(orjson.dumps(value).decode())


async def _opened(websocket: WebSocket, scope: Scope, *, full: bool, failure: str | None) -> bool:
    auth_string = scope.settings.api.auth_string
    offered = PROTOCOL in websocket.scope.get("subprotocols", ())
    try:
        if not offered and auth_string:
            await websocket.close(PROTOCOL_ERROR)  # before accepting: the upgrade is refused with 403
            return False
        await websocket.accept(subprotocol=PROTOCOL if offered else None)
        # Clients come back after a close, but not after a refused upgrade.
        if full:
            raise Refused(TRY_AGAIN, "Too many connections")
        schema = schema_of(websocket.app.state)
        if schema is not None and schema.problem is not None:
            raise Refused(TRY_AGAIN, schema.problem)
        if offered:
            await _authenticate(websocket, auth_string)
    except WebSocketDisconnect:
        return False
    except Refused as refusal:
        await close(websocket, refusal.code, failure if failure and refusal.code == POLICY else refusal.reason)
        return False
    return True


async def _authenticate(websocket: WebSocket, auth_string: str | None) -> None:
    try:
        async with asyncio.timeout(_HANDSHAKE_SECONDS):
            message = await receive_object(websocket)
    except TimeoutError:
        message = None
    if message is None or message.get("type") != "auth":
        raise Refused(POLICY, "Expected 'auth' message")
    if auth_string:
        token = message.get("token")
        if not token or not isinstance(token, str):
            raise Refused(POLICY, "Auth required but no token provided")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), auth_string.encode()):
            raise Refused(POLICY, "Invalid token")
    await send_object(websocket, {"type": "auth_success"})


class OpenWebsockets:
    """How many of an application's are open."""

    open = 0


def open_websockets(state: Any) -> OpenWebsockets:
    found = getattr(state, "open_websockets", None)
    if found is None:
        found = state.open_websockets = OpenWebsockets()
    counter: OpenWebsockets = found
    return counter
