"""What every request passes before its route: plain ASGI, because each layer is paid by every request.

Order, outside in: crowd, CSRF, CORS, authentication, version and body rules, compression, route (spec/api 4).
"""

import asyncio
import base64
import contextlib
import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sempre.db.errors import DatabaseUnavailable
from sempre.server.errors import unavailable
from sempre.server.responses import JSON

__all__ = ["AuthMiddleware", "BodyRulesMiddleware", "CrowdMiddleware", "CsrfMiddleware", "VersionMiddleware"]

_CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_VERSION = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})")
_OLDEST_VERSION = (0, 8, 0)

_MOST_DISCARDED_BYTES = 256 * 1024 * 1024
_LONGEST_DISCARDING_SECONDS = 10.0

TokenCheck = Callable[[Any, str, str], Awaitable[bool]]


class CrowdMiddleware:
    """Past ``most`` requests in flight the answer is 503, so that those in flight end. Probes are let through."""

    def __init__(self, app: ASGIApp, *, prefix: str, most: int) -> None:
        self.app = app
        self.most = most
        self.open = {f"{prefix}/health", f"{prefix}/ready", f"{prefix}/metrics"}
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.in_flight >= self.most and scope["path"] not in self.open:
            await unavailable(scope["app"].state, "Too many requests at once")(scope, receive, send)
            return
        self.in_flight += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.in_flight -= 1


class CsrfMiddleware:
    """Changes need a token that this server gave to this client. ``check(app_state, token, client)`` asks for it."""

    def __init__(self, app: ASGIApp, *, prefix: str, check: TokenCheck) -> None:
        self.app = app
        self.prefix = prefix
        self.check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _CHANGES or not scope["path"].startswith(self.prefix):
            await self.app(scope, receive, send)
            return
        refusal = await self._refusal(scope["app"].state, Headers(scope=scope))
        await (refusal or self.app)(scope, receive, send)

    async def _refusal(self, state: Any, headers: Headers) -> Response | None:
        token, client = headers.get("prefect-csrf-token"), headers.get("prefect-csrf-client")
        if token is None:
            return JSON({"detail": "Missing CSRF token."}, 403)
        if client is None:
            return JSON({"detail": "Missing client identifier."}, 403)
        try:
            known = await self.check(state, token, client)
        except DatabaseUnavailable:
            return unavailable(state)
        if not known:
            return JSON(
                {"detail": "Invalid CSRF token or client identifier."}, 403, {"Access-Control-Allow-Origin": "*"}
            )
        return None


class AuthMiddleware:
    """HTTP Basic for everything under the prefix but liveness and readiness, compared by exact path."""

    def __init__(self, app: ASGIApp, *, prefix: str, auth_string: str) -> None:
        self.app = app
        self.prefix = prefix
        self.expected = b"Basic " + base64.b64encode(auth_string.encode())
        self.open = {("GET", f"{prefix}/health"), ("GET", f"{prefix}/ready")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or not scope["path"].startswith(self.prefix)
            or (scope["method"], scope["path"]) in self.open
            or self._is_known(scope)
        ):
            await self.app(scope, receive, send)
            return
        await JSON({"exception_message": "Unauthorized"}, 401)(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(given, self.expected)


class VersionMiddleware:
    """Refuses clients that speak an older API than we do; no header means the newest."""

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self.app = app
        self.prefix = prefix
        self.open = {f"{prefix}/health", f"{prefix}/version"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(self.prefix) and scope["path"] not in self.open:
            asked = next((v for name, v in scope["headers"] if name == b"x-prefect-api-version"), b"")
            if asked and asked != b"0.8.4" and (refusal := _version_refusal(asked.decode("latin-1"))):
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _version_refusal(asked: str) -> Response | None:
    match = _VERSION.fullmatch(asked)
    if match is None:
        detail = f"Invalid X-PREFECT-API-VERSION header format.Expected header in format 'x.y.z' but received {asked}"
        return JSON({"detail": detail}, 400)
    if (int(match[1]), int(match[2]), int(match[3])) < _OLDEST_VERSION:
        detail = f"The request specified API version {asked} but this server requires version 0.8.0 or higher."
        return JSON({"detail": detail}, 400)
    return None


class BodyRulesMiddleware:
    """Bodies without a type are JSON, and none is larger than ``max_size`` bytes (413)."""

    def __init__(self, app: ASGIApp, *, max_size: int) -> None:
        self.app = app
        self.max_size = max_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _CHANGES:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if headers.get("content-type") is None:
            MutableHeaders(scope=scope)["content-type"] = "application/json"
        length = headers.get("content-length")
        if length is not None and length.isdigit() and int(length) > self.max_size:
            await self._refuse(scope, receive, send)
            return
        await self._measured(scope, receive, send, counted=length is not None)

    async def _measured(self, scope: Scope, receive: Receive, send: Send, *, counted: bool) -> None:
        if counted:  # the server enforces the announced length
            await self.app(scope, receive, send)
            return
        seen = 0
        started = False

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_size:
                raise _TooLarge
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, limited, watched)
        except _TooLarge:
            if not started:
                await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "expect" not in Headers(scope=scope):
            await _discard(receive)
        detail = f"The request body is larger than {self.max_size} bytes."
        await JSON({"detail": detail}, 413, {"Connection": "close"})(scope, receive, send)


async def _discard(receive: Receive) -> None:
    """Take what the client is still sending: it reads no answer before, and a connection closed with unread data on it
    takes the answer along."""
    seen = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST_DISCARDING_SECONDS):
            while seen < _MOST_DISCARDED_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
                seen += len(message.get("body", b""))


class _TooLarge(Exception):
    pass
