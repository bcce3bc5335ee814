"""uvicorn's websocket protocol, plus pongs that wait for the application.

A client that pings after N messages takes the pong as "these N are safe". An endpoint that can promise that sends
``{"type": "sempre.hold_pongs"}`` once (only if ``scope["extensions"]`` has the key ``sempre.hold_pongs``). From then on
a ping reaches it as ``{"type": "sempre.ping", "data": bytes}``, in order with the messages before it, and is answered
when it sends ``{"type": "sempre.pong", "data": bytes}``. Everybody else's pings are answered at once.

Compression is not offered: between a server and its workers it costs more processor time than it saves network.
"""

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

    def _send_pong(self, data: bytes) -> None:
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        try:
            self.conn.answer_ping(data)
        except InvalidState:
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
