"""A web server that webhooks are sent to: it notes each before it answers, some of them late.

It answers all of them: a call that nobody answers is a failed action and not repeated (docs/protocol.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random

from tests.chaos.ledger import Ledger
from tests.support.net import LOOPBACK

_LATE = 0.1
_LATE_SECONDS = 2.0


class Hooks:
    def __init__(self, ledger: Ledger, draw: random.Random) -> None:
        self._ledger = ledger
        self._draw = draw
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Its URL."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        return f"http://{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}/hook"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        event = json.loads(body).get("event") if body else None
        self._ledger.write("hook", key=headers.get("idempotency-key"), event=event, answer=200)
        if self._draw.random() < _LATE:
            await asyncio.sleep(_LATE_SECONDS)
        writer.write(b"HTTP/1.1 200 Noted\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        return True
