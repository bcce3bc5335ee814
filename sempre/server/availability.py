"""503 where nothing can be answered yet (the schema is not there) or any more (the grace of a stop is over).

Both are planned, so the answer carries ``Prefect-Maintenance: true``: clients of the protocol then wait as long as it
takes. A database that is away is nobody's plan, and what clients are told then has a limit (``errors.unavailable``).
"""

import asyncio
import contextlib

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sempre.server.errors import MAINTENANCE, RETRY_AFTER_SECONDS, unavailable
from sempre.server.responses import JSON
from sempre.server.schema import Schema, schema_of

__all__ = ["AvailabilityMiddleware"]

_PLANNED = {"Retry-After": str(RETRY_AFTER_SECONDS), **MAINTENANCE}
# What needs no database, or says for itself that it is away.
_ALWAYS = ("/health", "/ready", "/hello", "/version", "/admin/version", "/csrf-token", "/metrics", "/docs", "/redoc",
           "/openapi.json")  # fmt: skip


class AvailabilityMiddleware:
    """The outermost layer: what is cut at the end of a stop is answered too."""

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self.app = app
        self.prefix = prefix
        self.open = {prefix + path for path in _ALWAYS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        schema = schema_of(scope["app"].state)
        if schema is not None and schema.problem is not None and self._needs_schema(scope["path"]):
            await self._not_yet(scope, schema)(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            # A 500 would be final for clients of the protocol. An answer that had begun cannot be changed any more.
            with contextlib.suppress(RuntimeError):
                await _planned("The server is stopping")(scope, receive, send)
            raise

    def _not_yet(self, scope: Scope, schema: Schema) -> Response:
        """The answer until the schema is there."""
        message = schema.problem or ""
        return _planned(message) if schema.planned else unavailable(scope["app"].state, message)

    def _needs_schema(self, path: str) -> bool:
        return path.startswith(self.prefix) and path not in self.open


def _planned(message: str) -> Response:
    return JSON({"exception_message": message}, 503, _PLANNED)
