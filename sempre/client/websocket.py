"""Websockets of the API: opening one, with what all of them begin with."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from sempre.client.errors import ApiRefused, Unauthorized
from sempre.client.headers import USER_AGENT, common_headers, tls_context, websocket_token
from sempre.settings import ClientSettings

__all__ = ["Lost", "code_of", "opened", "receive_object"]

_OPEN_SECONDS = 10.0
_PING_SECONDS = 20.0
_MAX_BYTES = 4 << 20
_VIOLATION = 1008


class Lost(Exception):
    """The connection ended or did not come about; another attempt may succeed. `code` is the close code if there was
    one, `reason` its text."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def code_of(error: ConnectionClosed) -> tuple[int | None, str]:
    """(close code, reason) that the other side gave; (None, ...) without a close."""
    frame = error.rcvd
    return (frame.code, frame.reason) if frame else (None, "the connection broke")


@asynccontextmanager
async def opened(settings: ClientSettings, path: str) -> AsyncIterator[ClientConnection]:
    """An authenticated connection. `path` begins with a slash; `settings` have an address.

    Raises Unauthorized or ApiRefused where trying again is no use, Lost for everything else, also when the connection
    ends inside the block.
    """
    try:
        async with _connect(settings, path) as socket:
            await _authenticate(socket, settings, path)
            yield socket
    except ConnectionClosed as error:
        code, reason = code_of(error)
        raise Lost(reason or f"closed with {code}", code) from None
    except InvalidStatus as error:
        status = error.response.status_code
        if status >= 500 or status in (408, 429):
            raise Lost(f"the upgrade was answered with {status}") from None
        kind = Unauthorized if status in (401, 403) else ApiRefused
        detail = (error.response.body or b"").decode(errors="replace")
        raise kind("GET", _address(settings, path), status, detail) from None
    except (InvalidHandshake, OSError, TimeoutError, EOFError) as error:
        raise Lost(f"{type(error).__name__} {error}".strip()) from None


def _connect(settings: ClientSettings, path: str) -> connect:
    headers = common_headers(settings)
    del headers["User-Agent"], headers["Accept"]
    address = _address(settings, path)
    tls: ssl.SSLContext | None = tls_context(settings) if address.startswith("wss") else None
    return connect(
        address,
        subprotocols=[Subprotocol("prefect")],
        additional_headers=headers,
        user_agent_header=USER_AGENT,
        compression=None,
        open_timeout=_OPEN_SECONDS,
        ping_interval=_PING_SECONDS,
        ping_timeout=_PING_SECONDS,
        close_timeout=2.0,
        max_size=_MAX_BYTES,
        ssl=tls,
    )


def _address(settings: ClientSettings, path: str) -> str:
    assert settings.api.url is not None
    return "ws" + settings.api.url.removeprefix("http") + path


async def _authenticate(socket: ClientConnection, settings: ClientSettings, path: str) -> None:
    if socket.subprotocol is None:  # a server from before there was such a message
        return
    await socket.send(json.dumps({"type": "auth", "token": websocket_token(settings)}))
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            answer = await receive_object(socket)
    except ConnectionClosed as error:
        code, reason = code_of(error)
        if code == _VIOLATION:
            raise Unauthorized("GET", _address(settings, path), 401, reason) from None
        raise
    if answer.get("type") != "auth_success":
        raise Unauthorized("GET", _address(settings, path), 401, answer)


async def receive_object(socket: ClientConnection) -> dict[str, Any]:
    """The next message as a JSON object; an empty one for anything else."""
    try:
        value = json.loads(await socket.recv())
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
