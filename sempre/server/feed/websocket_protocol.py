"""uvicorn's websocket protocol, plus pongs that wait for the application, and an end at which nothing gets lost.

A client that pings after N messages takes the pong as "these N are safe". An endpoint that can promise that sends
``{"type": "sempre.hold_pongs"}`` once (only if ``scope["extensions"]`` has the key ``sempre.hold_pongs``). From then on
a ping reaches it as ``{"type": "sempre.ping", "data": bytes}``, in order with the messages before it, and is answered
when it sends ``{"type": "sempre.pong", "data": bytes}``. Everybody else's pings are answered at once.

When the server stops, a connection is closed with 1012, which has clients of the protocol connect again and send again
what was not confirmed. What the client sends until it has read that is still delivered: an acknowledgement that was
under way counts, and events of a client that ends at the same moment are kept. Connections whose upgrade comes while
the server stops (``leaving`` of the server's state) are accepted first: clients do not come back after a refused one.

Compression is not offered: between a server and its workers it costs more processor time than it saves network.
"""

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

__all__ = ["HOLD_PONGS", "PING", "PONG", "WebSocketProtocol"]

HOLD_PONGS = "sempre.hold_pongs"
PING = "sempre.ping"
PONG = "sempre.pong"

COME_AGAIN = 1012
_FAREWELL_SECONDS = 3.0  # for the client to read the close and to answer it


class _Connection(ServerProtocol):
    """Answers pings itself until told to hold the answers; held ones are in ``held``, oldest first."""

    def __init__(self, *, max_size: int | None, logger: Any) -> None:
        super().__init__(max_size=max_size, logger=logger)
        self.holds = False
        self.held: list[bytes] = []

    def send_frame(self, frame: Frame) -> None:
        if self.holds and frame.opcode is Opcode.PONG:
            self.held.append(bytes(frame.data))
        else:
            super().send_frame(frame)

    def answer_ping(self, data: bytes) -> None:
        super().send_frame(Frame(Opcode.PONG, data))


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Give it to uvicorn as ``ws="sempre.server.feed.websocket_protocol:WebSocketProtocol"``."""

    conn: _Connection

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Connection(max_size=self.config.ws_max_size, logger=self.logger)
        # Answers to requests say "close" while the server drains; an upgrade says "upgrade" and nothing else there.
        self.default_headers = [header for header in self.default_headers if header[0] != b"connection"]
        self._leaving = getattr(kwargs.get("server_state"), "leaving", False)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # the upgrade was well-formed; the application starts at the loop's next turn
            self.scope["extensions"][HOLD_PONGS] = {}

    def handle_ping(self) -> None:
        super().handle_ping()
        if self.conn.held:
            self.queue.put_nowait({"type": PING, "data": self.conn.held.pop(0)})  # type: ignore[arg-type]
            if not self.read_paused:
                self.read_paused = True
                self.transport.pause_reading()

    async def send(self, message: Any) -> None:
        if message["type"] == HOLD_PONGS:
            self.conn.holds = True
        elif message["type"] == PONG:
            self._send_pong(message["data"])
        else:
            await super().send(message)
            if message["type"] == "websocket.accept" and self._leaving:
                self._say_come_again()

    def shutdown(self) -> None:
        """The server stops."""
        if self.close_sent or self.disconnected:
            super().shutdown()
        elif not self._leaving:
            self._leaving = True
            if self.handshake_complete:
                self._say_come_again()
            # Else the application is about to accept or to refuse, and its word comes first.

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        super().on_task_complete(task)
        if self._leaving and self.close_timer is not None:
            self.close_sent = True  # nobody takes messages any more: wait for the client's answer only
            if self.read_paused and not self.disconnected:
                self.read_paused = False
                self.transport.resume_reading()

    def _say_come_again(self) -> None:
        self.stop_keepalive()
        try:
            self.conn.send_close(COME_AGAIN, "The server is stopping; reconnect")
        except InvalidState:
            return  # the client was faster
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_timer = self.loop.call_later(_FAREWELL_SECONDS, self._cut)

    def _cut(self) -> None:
        """A client that does not answer: slow to read, or gone without a word."""
        self.queue.put_nowait({"type": "websocket.disconnect", "code": COME_AGAIN})
        self.transport.abort()

    def _send_pong(self, data: bytes) -> None:
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        try:
            self.conn.answer_ping(data)
        except InvalidState:
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
