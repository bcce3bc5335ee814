"""A small round-robin reverse proxy for tests and benchmarks.

HTTP is balanced per request, also inside one keep-alive connection, so that consecutive requests of one client meet
different servers: that is what finds state kept in one process. Websockets are balanced per connection.
Run alone: `python -m tests.support.proxy --listen 4200 --backend 127.0.0.1:4201 --backend 127.0.0.1:4202`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from tests.support.net import LOOPBACK

HEAD_LIMIT = 128 * 1024
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
UNAVAILABLE = b'{"exception_message":"no backend"}'


@dataclass
class Head:
    """First line and headers of a message, raw and understood."""

    raw: bytes
    first: list[str]
    headers: dict[str, str]

    @property
    def upgrade(self) -> bool:
        return self.headers.get("upgrade", "").lower() == "websocket"

    @property
    def close(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


@dataclass
class Backend:
    """One server behind the proxy. `up=False` takes it out of the rotation."""

    host: str
    port: int
    up: bool = True
    requests: int = 0
    websockets: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)


class Gone(ConnectionError):
    """The backend closed the connection before the first byte of its answer."""


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next head, or None at the end of the stream."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    lines = raw.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return Head(raw, lines[0].split(" ", 2), headers)


async def body_parts(reader: asyncio.StreamReader, head: Head, *, until_end: bool) -> AsyncIterator[bytes]:
    """The raw bytes of a body as they arrive. `until_end`: without a length it lasts until the connection closes."""
    if head.headers.get("transfer-encoding", "").lower() == "chunked":
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            yield line + await reader.readexactly(size + 2)
            if size == 0:
                return
    elif "content-length" in head.headers:
        remaining = int(head.headers["content-length"])
        while remaining:
            part = await reader.read(min(remaining, 65536))
            if not part:
                raise ConnectionError("body cut short")
            remaining -= len(part)
            yield part
    elif until_end:
        while part := await reader.read(65536):
            yield part


class _Client:
    """One accepted connection: its own kept-alive connection to each backend, requests strictly in order."""

    def __init__(self, proxy: RoundRobinProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.reader = reader
        self.writer = writer
        self.upstreams: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def serve(self) -> None:
        while head := await read_head(self.reader):
            if head.upgrade:
                await self.websocket(head)
                return
            body = b"".join([part async for part in body_parts(self.reader, head, until_end=False)])
            if not await self.exchange(head, body) or head.close:
                return

    async def close(self) -> None:
        for index in list(self.upstreams):
            self.drop(index)
        self.writer.close()

    def drop(self, index: int) -> None:
        _, writer = self.upstreams.pop(index)
        self.proxy.backends[index].open.discard(writer)
        writer.close()

    async def connect(self, index: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        known = self.upstreams.get(index)
        if known:
            if not known[0].at_eof() and not known[1].is_closing():
                return known
            self.drop(index)
        backend = self.proxy.backends[index]
        streams = await asyncio.open_connection(backend.host, backend.port, limit=HEAD_LIMIT)
        self.upstreams[index] = streams
        backend.open.add(streams[1])
        return streams

    async def exchange(self, head: Head, body: bytes) -> bool:
        """One request and its answer. False: the client's connection must be closed."""
        for index in self.proxy.turn():
            try:
                reader, writer = await self.connect(index)
            except OSError:
                continue
            try:
                writer.write(head.raw + body)
                await writer.drain()
                answer = await self.final_head(reader)
            except (Gone, ConnectionError):
                self.drop(index)
                # A change that may have happened must not happen twice: the client decides.
                if head.first[0] in IDEMPOTENT:
                    continue
                return await self.refuse(502)
            self.proxy.backends[index].requests += 1
            return await self.answer(index, head, answer, reader)
        return await self.refuse(503)

    async def final_head(self, reader: asyncio.StreamReader) -> Head:
        while answer := await read_head(reader):
            if not answer.first[1].startswith("1"):
                return answer
            self.writer.write(answer.raw)
        raise Gone("closed before the answer")

    async def answer(self, index: int, request: Head, answer: Head, reader: asyncio.StreamReader) -> bool:
        self.writer.write(answer.raw)
        empty = request.first[0] == "HEAD" or answer.first[1] in ("204", "304")
        try:
            if not empty:
                async for part in body_parts(reader, answer, until_end=True):
                    self.writer.write(part)
                    await self.writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.drop(index)
            return False
        await self.writer.drain()
        framed = empty or "content-length" in answer.headers or "transfer-encoding" in answer.headers
        if not framed or answer.close:
            self.drop(index)
        return framed and not answer.close

    async def refuse(self, status: int) -> bool:
        text = {502: "Bad Gateway", 503: "Service Unavailable"}[status]
        self.writer.write(
            f"HTTP/1.1 {status} {text}\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
            f"Content-Length: {len(UNAVAILABLE)}\r\n\r\n".encode()
            + UNAVAILABLE
        )
        await self.writer.drain()
        return True

    async def websocket(self, head: Head) -> None:
        for index in self.proxy.turn():
            try:
                reader, writer = await self.connect(index)
            except OSError:
                continue
            self.proxy.backends[index].websockets += 1
            writer.write(head.raw)
            both = [asyncio.create_task(pump(self.reader, writer)), asyncio.create_task(pump(reader, self.writer))]
            await asyncio.wait(both, return_when=asyncio.ALL_COMPLETED)
            return
        await self.refuse(503)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction to its end, then close the other side's sending half."""
    with contextlib.suppress(ConnectionError, RuntimeError):
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.close()


class RoundRobinProxy:
    """The proxy in a thread with an event loop of its own. Backends are (host, port) pairs."""

    def __init__(self, backends: Iterable[tuple[str, int]], port: int = 0, host: str = LOOPBACK) -> None:
        self.backends = [Backend(*address) for address in backends]
        self.host = host
        self.port = port
        self._next = 0
        self._clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self) -> RoundRobinProxy:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.listen(), self._loop).result(10)
        return self

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._shutdown(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def set_up(self, index: int, up: bool) -> None:
        """Take a backend out of the rotation, or back in; open connections stay."""
        self.backends[index].up = up

    def cut(self, index: int | None = None) -> None:
        """Reset open connections: those to one backend, or (None) every client's."""
        writers = self._clients if index is None else self.backends[index].open

        def abort() -> None:
            for writer in list(writers):
                writer.transport.abort()

        self._loop.call_soon_threadsafe(abort)

    def turn(self) -> list[int]:
        """Backends to try for one request: the next in the rotation first."""
        start = self._next
        self._next += 1
        count = len(self.backends)
        order = [(start + offset) % count for offset in range(count)]
        return [index for index in order if self.backends[index].up]

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, self.host, self.port, limit=HEAD_LIMIT)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._clients.add(writer)
        client = _Client(self, reader, writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await client.serve()
        finally:
            await client.close()
            self._clients.discard(writer)
            self._tasks.discard(task)

    async def _shutdown(self) -> None:
        if self._server:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", type=int, required=True, help="port on loopback")
    parser.add_argument("--backend", action="append", required=True, help="host:port, once per server")
    options = parser.parse_args()
    backends = [(host, int(port)) for host, _, port in (text.rpartition(":") for text in options.backend)]
    proxy = RoundRobinProxy(backends, options.listen).start()
    print(f"{proxy.url} -> {', '.join(options.backend)}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


if __name__ == "__main__":
    main()
