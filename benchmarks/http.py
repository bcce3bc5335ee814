"""A minimal HTTP/1.1 client: one kept-alive connection, so that the load program is not the bottleneck."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

import orjson


class Connection:
    """One request at a time on one connection. Bodies are JSON both ways."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._head = (
            f"Host: {host}:{port}\r\nUser-Agent: prefect/3.8.8 (API 0.8.4)\r\nX-PREFECT-API-VERSION: 0.8.4\r\n"
            "Accept: */*\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n"
        )

    async def __aenter__(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection(self.host, self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """Send and return the parsed answer (None if empty). Raises RuntimeError on any status but 2xx."""
        payload = b"" if body is None else orjson.dumps(body)
        head = f"{method} {path} HTTP/1.1\r\n{self._head}Content-Length: {len(payload)}\r\n\r\n"
        self._writer.write(head.encode() + payload)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        status = int(answer[9:12])
        content = await self._content(answer.lower())
        if status // 100 != 2:
            raise RuntimeError(f"{method} {path}: {status} {content[:500]!r}")
        return orjson.loads(content) if content else None

    async def _content(self, head: bytes) -> bytes:
        at = head.find(b"\r\ncontent-length:")
        if at >= 0:
            return await self._reader.readexactly(int(head[at + 17 : head.index(b"\r\n", at + 2)]))
        if b"\r\ntransfer-encoding: chunked" not in head:
            return b""
        parts = []
        while size := int((await self._reader.readline()).strip(), 16):
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return b"".join(parts)
