"""A TCP relay in front of a server, which can be cut, or made to swallow what goes through it (a partition)."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable
from typing import TypeVar

from tests.support.net import LOOPBACK

T = TypeVar("T")


class Relay:
    """From a port of its own to ``target_port``, in a thread. ``tls``: what it speaks to its clients; plain behind.

    ``hold`` makes a partition: connections stay open, new ones are accepted, and no byte gets through until ``let_go``
    (what was said meanwhile then arrives). ``cut`` resets all connections and refuses new ones until ``mend``.
    ``accepted`` counts the connections that came.
    """

    def __init__(self, target_port: int, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.target_port = target_port
        self.port = port
        self.accepted = 0
        self._tls = tls
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)

    def start(self) -> Relay:
        self._thread.start()
        self._await(self._listen())
        return self

    def stop(self) -> None:
        self._await(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def hold(self) -> None:
        self._do(self._open.clear)

    def let_go(self) -> None:
        self._do(self._open.set)

    def reset(self) -> None:
        """End the connections there are; new ones are welcome."""
        self._do(self._abort)

    def cut(self) -> None:
        self._await(self._close())

    def mend(self) -> None:
        self._await(self._listen())

    def _await(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    def _do(self, action: Callable[[], T]) -> None:
        async def act() -> None:
            action()

        self._await(act())

    def _abort(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._abort()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0)  # what was accepted just now is given to _accept, and so closed below
        self._abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        task = self._loop.create_task(self._relay(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                onward, back = await asyncio.open_connection(LOOPBACK, self.target_port)
                self._writers.add(back)
                try:
                    await asyncio.gather(self._pump(reader, back), self._pump(onward, writer))
                finally:
                    self._writers.discard(back)
                    back.transport.abort()
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65536):
            await self._open.wait()
            writer.write(part)
            await writer.drain()
        # One end has gone: so does the other, as when the machine in between takes the connection down.
        raise ConnectionResetError
