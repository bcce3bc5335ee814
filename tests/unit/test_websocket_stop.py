"""A websocket whose upgrade is under way when the server stops: accepted first, then told to come again."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from sempre.server.feed.websocket_protocol import COME_AGAIN, WebSocketProtocol

UPGRADE = (
    b"GET /api/events/in HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Wire(asyncio.Transport):
    """Takes down what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def test_the_stop_comes_between_upgrade_and_acceptance() -> None:
    may_accept = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await may_accept.wait()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass

    config = uvicorn.Config(app, lifespan="off", log_config=None)
    config.load()
    state, wire = ServerState(), Wire()
    protocol = WebSocketProtocol(config=config, server_state=state, app_state={})
    protocol.connection_made(wire)
    protocol.data_received(UPGRADE)
    (serving,) = state.tasks
    protocol.shutdown()
    assert not wire.closed
    may_accept.set()
    while not wire.written.endswith(b"reconnect"):
        assert not serving.done(), wire.written
        await asyncio.sleep(0)
    head, _, frames = wire.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert frames[2:4] == COME_AGAIN.to_bytes(2, "big")
    protocol.connection_lost(None)
    await serving
