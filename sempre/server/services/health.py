"""A process of services has no API, so it answers for its health itself, on a port of its own: ``GET /health``.

200 while every loop turns, 503 when one is late; the body names each service with the seconds since its last round.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Protocol

from sempre.server.responses import dumps
from sempre.server.settings import Settings

__all__ = ["answering"]

log = logging.getLogger("sempre.services")

_READ_SECONDS = 5.0
_PATHS = ("/health", "/api/health")


class Loops(Protocol):
    """What is asked: the supervisor."""

    def ages(self) -> dict[str, float]: ...

    def late(self) -> dict[str, float]: ...


@contextlib.asynccontextmanager
async def answering(settings: Settings, loops: Loops) -> AsyncIterator[int | None]:
    """Answer while the block runs, if a port is configured; yields the port. Raises OSError when it is taken."""
    configured = settings.services
    if not configured.health_port:
        yield None
        return

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_READ_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_answer(head, loops))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, configured.health_host, configured.health_port)
    log.info("health is answered on port %s", configured.health_port)
    try:
        yield configured.health_port
    finally:
        server.close()
        await server.wait_closed()


def _answer(head: bytes, loops: Loops) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
    if method not in (b"GET", b"HEAD") or path not in _PATHS:
        return _response("404 Not Found", {"detail": "Not Found"})
    late = loops.late()
    body = {"healthy": not late, "late": sorted(late), "seconds_since_last_round": loops.ages()}
    return _response("503 Service Unavailable" if late else "200 OK", body, with_body=method == b"GET")


def _response(status: str, content: object, *, with_body: bool = True) -> bytes:
    body = dumps(content)
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (body if with_body else b"")
