"""Websockets of the protocol's clients: connected and authenticated, and again after every break but a clean one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from tests.chaos.ledger import Ledger

T = TypeVar("T")

Broken = (OSError, TimeoutError, ConnectionClosed, InvalidHandshake)
OPEN_SECONDS = 10.0


@asynccontextmanager
async def connected(url: str, path: str) -> AsyncIterator[ClientConnection]:
    """Open, with the handshake done. Raises one of `Broken`."""
    address = url.replace("http", "ws", 1) + path
    options: dict[str, Any] = {"open_timeout": OPEN_SECONDS, "close_timeout": 1, "ping_interval": 20, "max_queue": 512}
    async with connect(address, subprotocols=[Subprotocol("prefect")], proxy=None, **options) as socket:
        await answered(socket, OPEN_SECONDS)
        await socket.send(json.dumps({"type": "auth", "token": None}))
        answer = json.loads(await within(OPEN_SECONDS, socket.recv()))
        if answer != {"type": "auth_success"}:
            raise AssertionError(f"{path}: {answer}")
        yield socket


async def within(seconds: float, answer: Awaitable[T]) -> T:
    """What comes in time. Raises TimeoutError. (`asyncio.wait_for` of Python 3.11 may swallow a cancellation.)"""
    async with asyncio.timeout(seconds):
        return await answer


async def answered(socket: ClientConnection, seconds: float) -> None:
    """Ping, and wait for the pong: the server has read everything that was sent before."""
    await within(seconds, await socket.ping())


def note_end(ledger: Ledger, where: str, error: BaseException) -> None:
    """What a break would have meant to the protocol's client: two kinds of them end it for good."""
    if isinstance(error, ConnectionClosed):
        code = error.rcvd.code if error.rcvd else 1006
        if code in (1000, 1001):
            ledger.write("clean_close", where=where, code=code)
    if isinstance(error, InvalidStatus):
        ledger.write("refused_upgrade", where=where, status=error.response.status_code)
