"""A websocket client that does nothing by itself: it goes on talking after a close, as one that has not read it yet."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from typing import Any

from websockets.frames import Frame, Opcode

from tests.support.net import LOOPBACK

__all__ = ["RawSocket"]


class RawSocket:
    """Connected by TCP; ``upgrade`` makes it a websocket. Every wait is bounded."""

    def __init__(self, port: int, timeout: float = 20.0) -> None:
        self._socket = socket.create_connection((LOOPBACK, port), timeout)
        self._stream = self._socket.makefile("rb")

    def upgrade(self, path: str) -> str:
        """The status line of the answer."""
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET /api{path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: prefect\r\n\r\n".encode()
        )
        status = self._stream.readline().decode().strip()
        while self._stream.readline().strip():
            pass
        return status

    def open(self, path: str) -> RawSocket:
        """A websocket past its authentication."""
        assert self.upgrade(path).endswith("101 Switching Protocols")
        self.say({"type": "auth", "token": None})
        assert self.hear() == {"type": "auth_success"}
        return self

    def say(self, message: Any) -> None:
        self._send(Opcode.TEXT, json.dumps(message).encode())

    def answer_close(self, code: int = 1012) -> None:
        self._send(Opcode.CLOSE, struct.pack("!H", code))

    def hear(self) -> Any:
        """The next message."""
        opcode, data = self._receive()
        assert opcode is Opcode.TEXT, (opcode, data)
        return json.loads(data)

    def hear_close(self) -> int:
        """The code of the close that comes next, messages left out."""
        while True:
            opcode, data = self._receive()
            if opcode is Opcode.CLOSE:
                return int(struct.unpack("!H", data[:2])[0])

    def is_ended(self) -> bool:
        """Whether the server has closed the connection, which is waited for."""
        return self._stream.read(1) == b""

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def _send(self, opcode: Opcode, data: bytes) -> None:
        self._socket.sendall(Frame(opcode, data).serialize(mask=True))

    def _receive(self) -> tuple[Opcode, bytes]:
        first, length = self._exactly(2)
        if length == 126:
            (length,) = struct.unpack("!H", self._exactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._exactly(8))
        return Opcode(first & 0x0F), self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        assert len(data) == size, "the connection ended without a close"
        return data
