"""Events on their way in: one websocket, confirmed batch by batch."""

from __future__ import annotations

import asyncio
import contextlib

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from sempre.client.connection import Connection
from sempre.client.courier import Away, Unacceptable
from sempre.client.errors import ClientError
from sempre.client.websocket import Lost, code_of, opened

__all__ = ["EventSender"]

_CONFIRM_SECONDS = 30.0
# The server means what was sent, not the moment at which it was.
_BLAMED = frozenset({1002, 1003, 1007, 1008, 1009})


class EventSender:
    """Delivers events. A pong says that everything before its ping is stored: a batch is as large as one ping
    confirms, and is sent again whole if none came. The server knows events by their ids."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stack: contextlib.AsyncExitStack | None = None
        self._socket: ClientConnection | None = None

    async def deliver(self, batch: list[bytes]) -> None:
        """Send a batch of JSON objects and wait until they are stored. Raises Away or Unacceptable."""
        socket = await self._open()
        try:
            for event in batch:
                await socket.send(event.decode())
            async with asyncio.timeout(_CONFIRM_SECONDS):
                await (await socket.ping())
        except ConnectionClosed as error:
            await self.close()
            code, reason = code_of(error)
            if code in _BLAMED:
                raise Unacceptable(f"closed with {code} {reason}") from None
            raise Away(f"the connection ended: {reason or code}") from None
        except (OSError, TimeoutError) as error:
            await self.close()
            raise Away(str(error) or "no confirmation came") from None

    async def _open(self) -> ClientConnection:
        if self._socket is not None and self._socket.close_code is None:
            return self._socket
        await self.close()
        stack = contextlib.AsyncExitStack()
        try:
            transport = await self._connection.transport()
            self._socket = await stack.enter_async_context(opened(transport.settings, "/events/in"))
        except (Lost, ClientError) as error:
            raise Away(str(error)) from None
        self._stack = stack
        return self._socket

    async def close(self) -> None:
        """End the connection if there is one."""
        stack, self._stack, self._socket = self._stack, None, None
        if stack is not None:
            with contextlib.suppress(Lost, OSError):
                await stack.aclose()
