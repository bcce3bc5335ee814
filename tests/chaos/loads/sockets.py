"""Websockets of the protocol's clients: connected and authenticated, and again after every break but a clean one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from tests.chaos.ledger import Ledger

Broken = (OSError, TimeoutError, ConnectionClosed, InvalidHandshake)
OPEN_SECONDS = 10.0


@asynccontextmanager
async def connected(url: str, path: str) -> AsyncIterator[ClientConnection]:
    """Open, with the handshake done. Raises one of `Broken`."""
    address = url.replace("http", "ws", 1) + path
    options: dict[str, Any] = {"open_timeout": OPEN_SECONDS, "close_timeout": 1, "ping_interval": 20, "max_queue": 512}
    async with connect(address, subprotocols=[Subprotocol("prefect")], proxy=None, **options) as socket:
        await asyncio.wait_for(await socket.ping(), OPEN_SECONDS)
        await socket.send(json.dumps({"type": "auth", "token": None}))
        answer = json.loads(await asyncio.wait_for(socket.recv(), OPEN_SECONDS))
        if answer != {"type": "auth_success"}:
            raise AssertionError(f"{path}: {answer}")
        yield socket


def note_end(ledger: Ledger, where: str, error: BaseException) -> None:
    """What a break would have meant to the protocol's client: two kinds of them end it for good."""
    if isinstance(error, ConnectionClosed):
        code = error.rcvd.code if error.rcvd else 1006
        if code in (1000, 1001):
            ledger.write("clean_close", where=where, code=code)
    if isinstance(error, InvalidStatus):
        ledger.write("refused_upgrade", where=where, status=error.response.status_code)
