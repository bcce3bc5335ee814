"""A process of services has no API, so it answers for its health itself, on a port of its own.

``GET /health``: 200 while every loop turns, 503 when one is late; the body names each service with the seconds since
its last round. While the process waits for its database no loop is there to be late.
``GET /metrics``: what it tells a monitoring system.
``GET /ready``: 200 while it works; 503 while it waits for the database or its schema, and once it was asked to stop.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from sempre.server.metrics.page import CONTENT_TYPE, Loops
from sempre.server.responses import dumps
from sempre.server.settings import Settings

__all__ = ["answering"]

log = logging.getLogger("sempre.services")

_READ_SECONDS = 5.0
_HEALTH = ("/health", "/api/health")
_READY = ("/ready", "/api/ready")
_METRICS = ("/metrics", "/api/metrics")

Problem: TypeAlias = Callable[[], Awaitable[str | None]]
"""Why the process does not work; ``None`` while it does."""

Metrics: TypeAlias = Callable[[], Awaitable[bytes]]


@contextlib.asynccontextmanager
async def answering(settings: Settings, loops: Loops, problem: Problem, metrics: Metrics) -> AsyncIterator[int | None]:
    """Answer while the block runs, if a port is configured; yields the port. Raises OSError when it is taken."""
    configured = settings.services
    if not configured.health_port:
        yield None
        return

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_READ_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await _answer(head, loops, problem, metrics))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, configured.health_host, configured.health_port)
    log.info("health is answered on port %s", configured.health_port)
    try:
        yield configured.health_port
    finally:
        server.close()
        await server.wait_closed()


async def _answer(head: bytes, loops: Loops, problem: Problem, metrics: Metrics) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
    with_body = method == b"GET"
    if path in _METRICS and method == b"GET":
        return _response("200 OK", await metrics(), CONTENT_TYPE)
    if method not in (b"GET", b"HEAD") or path not in (*_HEALTH, *_READY):
        return _response("404 Not Found", dumps({"detail": "Not Found"}))
    if path in _READY:
        found = await problem()
        status = "503 Service Unavailable" if found else "200 OK"
        return _response(status, dumps({"message": found or "OK"}), with_body=with_body)
    late = loops.late()
    body = {"healthy": not late, "late": sorted(late), "seconds_since_last_round": loops.ages()}
    return _response("503 Service Unavailable" if late else "200 OK", dumps(body), with_body=with_body)


def _response(status: str, body: bytes, kind: str = "application/json", *, with_body: bool = True) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode("latin-1") + (body if with_body else b"")
