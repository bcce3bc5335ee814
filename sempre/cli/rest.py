"""The API as commands see it: JSON documents exactly as they come, over one kept connection per thread.

Made of the standard library alone. The client's own transport would have to be imported before anything can be shown,
and that takes longer than most commands.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import typer

from sempre.cli.errors import ApiAway, api_error
from sempre.client.headers import Csrf, protocol_headers
from sempre.core.retrying import RETRIED, RetryRules, pause_before_retry

Json = dict[str, Any]

PATIENCE_SECONDS = 10.0
_RULES = RetryRules(patience=PATIENCE_SECONDS, heed_maintenance=False)


@dataclass(frozen=True)
class Target:
    """Where an API is, how to get in, and how long a call is repeated while it is away."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60.0
    rules: RetryRules = _RULES
    tls: ssl.SSLContext | None = None
    token: str | None = None
    """What a websocket says in its first message."""


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    content: bytes

    def body(self) -> Any:
        """Its JSON, its text if it is none, None if it is empty."""
        if not self.content:
            return None
        try:
            return json.loads(self.content)
        except ValueError:
            return self.content.decode(errors="replace")


def seg(text: str) -> str:
    """A name as one segment of a path."""
    return quote(text, safe="")


class Api:
    """Calls of one API. Methods return the parsed body and raise ApiError (NotFound, AlreadyExists) or ApiAway.

    For any number of threads. A call is repeated while the API is away, for as long as the target's patience lasts.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        parts = urlsplit(target.url)
        self._host, self._port = parts.hostname or "", parts.port
        self._secure = parts.scheme == "https"
        self._base = parts.path.rstrip("/")
        self._mine = threading.local()
        self._csrf = Csrf()
        self._said_away = False
        self._opened: set[http.client.HTTPConnection] = set()

    @property
    def url(self) -> str:
        return self.target.url

    def close(self) -> None:
        """Close the connections of all threads."""
        while self._opened:
            self._opened.pop().close()

    def get(self, path: str, **query: str) -> Any:
        return self.call("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, body: Any = None) -> Any:
        return self.call("POST", path, {} if body is None else body)

    def patch(self, path: str, body: Any) -> Any:
        return self.call("PATCH", path, body)

    def put(self, path: str, body: Any) -> Any:
        return self.call("PUT", path, body)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The body of a 2xx answer; everything else is raised."""
        answer = self.exchange(method, path, None if body is None else json.dumps(body).encode())
        if answer.status >= 300:
            where = answer.headers.get("Location")
            raise api_error(method, path, answer.status, f"it is at {where}" if where else answer.body())
        return answer.body()

    def exchange(
        self, method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Whatever the API answers, once it does not ask to wait any more."""
        answer = self._patiently(method, path, content, headers or {})
        if self._csrf.misses(method, answer.status, answer.content) and self._fetch_csrf_token():
            answer = self._patiently(method, path, content, headers or {})
        return answer

    def _patiently(self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]) -> Answer:
        began = time.monotonic()
        attempt = 0
        while True:
            status: int | None = None
            told: dict[str, str] = {}
            try:
                answer = self._send(method, path, content, headers)
            except (OSError, http.client.HTTPException) as error:
                problem = _in_words(error)
            else:
                status, told = answer.status, {name.lower(): value for name, value in answer.headers.items()}
                if status not in RETRIED and status not in self.target.rules.extra_codes:
                    return answer
                problem = f"it answers {status}"
            pause = pause_before_retry(
                self.target.rules, status=status, headers=told, attempt=attempt, elapsed=time.monotonic() - began,
                draw=random.random(), now=datetime.now(UTC),  # noqa: S311
            )  # fmt: skip
            if pause is None:
                raise ApiAway(_away(self.url, problem), status)
            self._say_once(problem)
            time.sleep(pause)
            attempt += 1

    def _say_once(self, problem: str) -> None:
        if not self._said_away:
            self._said_away = True
            typer.echo(f"Waiting for the API at {self.url}: {problem}", err=True)

    def _send(self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]) -> Answer:
        """One exchange. A kept connection that the other side has closed meanwhile is replaced, once."""
        kept: http.client.HTTPConnection | None = getattr(self._mine, "connection", None)
        for connection in (kept, None) if kept else (None,):
            line = connection or self._connect()
            self._opened.add(line)
            try:
                line.request(method, self._prefix() + self._base + path, content, self._headers(content, headers))
                answer = line.getresponse()
                found = Answer(answer.status, answer.headers, answer.read())
            except (OSError, http.client.HTTPException):
                line.close()
                self._opened.discard(line)
                self._mine.connection = None
                if connection is None:
                    raise
            else:
                self._mine.connection = None if answer.will_close else line
                return found
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _headers(self, content: bytes | None, more: Mapping[str, str]) -> dict[str, str]:
        own = protocol_headers()
        if content is not None:
            own["Content-Type"] = "application/json"
        return {**own, **self.target.headers, **self._csrf.headers, **more}

    def _connect(self) -> http.client.HTTPConnection:
        proxy = _proxy_for(self._host, self._secure)
        if not self._secure:
            host, port = proxy or (self._host, self._port)
            return http.client.HTTPConnection(host, port, timeout=self.target.timeout)
        host, port = proxy or (self._host, self._port)
        connection = http.client.HTTPSConnection(host, port, timeout=self.target.timeout, context=self.target.tls)
        if proxy:
            connection.set_tunnel(self._host, self._port)
        return connection

    def _prefix(self) -> str:
        """A plain proxy wants the whole address in the request line."""
        if self._secure or not _proxy_for(self._host, False):
            return ""
        return f"http://{self._host}:{self._port or 80}"

    def _fetch_csrf_token(self) -> bool:
        answer = self._patiently("GET", self._csrf.path, None, {})
        if answer.status == 200:
            self._csrf.take(answer.body())
        return answer.status == 200


def _proxy_for(host: str, secure: bool) -> tuple[str, int | None] | None:
    if not any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in os.environ):
        return None
    import urllib.request

    proxies = urllib.request.getproxies()
    found = proxies.get("https" if secure else "http") or proxies.get("all")
    if not found or urllib.request.proxy_bypass(host):
        return None
    parts = urlsplit(found if "://" in found else f"http://{found}")
    return (parts.hostname, parts.port) if parts.hostname else None


def _in_words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _away(url: str, problem: str) -> str:
    return (
        f"The API at {url} cannot be reached: {problem}. What was asked for may not be done. Start a server with "
        "`sempre server start`, or name another: SEMPRE_API_URL, `sempre profile use NAME`, `sempre --profile NAME`."
    )
