"""What the stand-ins have in common: buckets in memory, served in a thread, with faults on demand."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any, ClassVar, Self

from aiohttp import web

from tests.support.net import LOOPBACK

MODIFIED = "Sat, 28 Nov 2026 12:00:00 GMT"
MODIFIED_ISO = "2026-11-28T12:00:00.000Z"


class Refused(Exception):
    """An answer that is an error, in the words of the protocol."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message or code


@dataclass
class ObjectStore:
    """``buckets`` hold objects by key. Requests with credentials other than the store's are refused.

    ``requests`` are `METHOD path?query` in their order. ``faults`` are answered to the next requests instead of what
    they ask for: a status, or 0 for none at all (the connection is reset). Listings come in pages of ``page``.
    """

    scheme: ClassVar[str]
    buckets: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"bucket": {}}, repr=False)
    requests: list[str] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)
    parts: dict[str, dict[str, bytes]] = field(default_factory=dict, repr=False)
    """What was sent of objects that come in several parts, by upload."""
    page: int = 2
    port: int = 0

    def options(self, port: int | None = None) -> dict[str, Any]:
        """What fsspec's file system has to be told to come here, by way of another port (a relay's) if given."""
        raise NotImplementedError

    def wrong_options(self) -> dict[str, Any]:
        """The same with a secret that the store does not know."""
        raise NotImplementedError

    def url(self, folder: str = "") -> str:
        return f"{self.scheme}://bucket/{folder}".rstrip("/")

    async def answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Raises Refused."""
        raise NotImplementedError

    def refusal(self, refused: Refused, request: web.Request) -> web.Response:
        raise NotImplementedError

    # --- its life

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _listen(self) -> None:
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{any:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.raw_path}")
        body = await request.read()
        try:
            if self.faults:
                status = self.faults.pop(0)
                if not status:
                    assert request.transport is not None
                    request.transport.abort()
                    return web.Response()
                raise Refused(status, "ServiceUnavailable", "Please try again.")
            return await self.answer(request, body)
        except Refused as refused:
            return self.refusal(refused, request)

    # --- what all of them do with buckets

    def bucket(self, name: str, code: str) -> dict[str, bytes]:
        if name not in self.buckets:
            raise Refused(404, code, "The specified bucket does not exist.")
        return self.buckets[name]

    def listed(
        self, bucket: dict[str, bytes], prefix: str, delimiter: str, after: str, most: int
    ) -> tuple[list[str], list[str], str | None]:
        """Keys, common prefixes, and the token of the next page."""
        entries: set[tuple[str, bool]] = set()
        for key in bucket:
            if key.startswith(prefix):
                head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
                entries.add((prefix + head + cut, True) if cut else (key, False))
        rest = [entry for entry in sorted(entries) if entry[0] > after]
        shown = rest[: min(most, self.page)]
        more = shown[-1][0] if len(rest) > len(shown) else None
        return [key for key, folder in shown if not folder], [key for key, folder in shown if folder], more


def etag(content: bytes) -> str:
    return f'"{md5(content, usedforsecurity=False).hexdigest()}"'


def content_of(request: web.Request, content: bytes, headers: dict[str, str], wanted: str | None) -> web.Response:
    """An object, or the range of it that was asked for; to HEAD its size alone."""
    headers = {"ETag": etag(content), "Last-Modified": MODIFIED, "Accept-Ranges": "bytes", **headers}
    if request.method == "HEAD":
        return web.Response(headers={**headers, "Content-Length": str(len(content))})
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted or "")
    if found is None:
        return web.Response(body=content, headers=headers)
    first = int(found[1])
    last = min(int(found[2] or len(content)), len(content) - 1)
    if first > last:
        raise Refused(416, "InvalidRange", "The requested range is not satisfiable.")
    shown = {**headers, "Content-Range": f"bytes {first}-{last}/{len(content)}"}
    return web.Response(status=206, body=content[first : last + 1], headers=shown)


def joined(parts: dict[str, bytes], order: Iterable[str]) -> bytes:
    """Raises Refused if a part is missing."""
    try:
        return b"".join(parts[name] for name in order)
    except KeyError as missing:
        raise Refused(400, "InvalidPart", f"There is no part {missing}.") from None
