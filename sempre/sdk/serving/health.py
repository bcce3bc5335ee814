"""The health endpoint of workers and runners: a few lines of HTTP, answered by the very loop that it tells about."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable

__all__ = ["HealthPortError", "answering_health"]

_PATHS = frozenset({"/health", "/api/health"})
_PATIENCE_SECONDS = 10.0
_LONGEST_REQUEST = 16 * 1024


class HealthPortError(Exception):
    """The port for health checks cannot be had. The text says why."""


@contextlib.asynccontextmanager
async def answering_health(host: str, port: int, is_well: Callable[[], bool]) -> AsyncIterator[int]:
    """Answer `GET /health` inside of the block: 200 while `is_well()`, else 503. Gives the port, a free one for 0.

    Raises HealthPortError.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE_SECONDS)
            writer.write(_answer(head.partition(b"\r\n")[0].decode("latin-1"), is_well))
            await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, host, port, limit=_LONGEST_REQUEST)
    except OSError as error:
        raise HealthPortError(
            f"Health checks cannot be answered at {host}:{port}: {error.strerror or error}. Choose another port, or do "
            "without them."
        ) from None
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _answer(request: str, is_well: Callable[[], bool]) -> bytes:
    method, _, rest = request.partition(" ")
    path = rest.split(" ")[0].partition("?")[0]
    if path not in _PATHS:
        status, message = "404 Not Found", "There is only /health here."
    elif method not in ("GET", "HEAD"):
        status, message = "405 Method Not Allowed", "GET"
    elif is_well():
        status, message = "200 OK", "OK"
    else:
        status, message = "503 Service Unavailable", "It has not looked for work for long."
    body = json.dumps({"message": message}).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
    return f"{head}\r\n\r\n".encode() + (b"" if method == "HEAD" else body)
