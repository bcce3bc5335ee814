"""One HTTP connection pool per process and API, and the rules by which calls are repeated."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sempre.client import backstage
from sempre.client.errors import ApiUnreachable, refusal
from sempre.client.headers import Csrf, common_headers, tls_context
from sempre.client.light_httpx import httpx
from sempre.core.retrying import RETRIED, RetryRules, pause_before_retry, retry_after
from sempre.settings import ClientSettings

__all__ = ["Answer", "Transport", "rules_of", "transport_of"]

_LOST = (httpx.TimeoutException, httpx.NetworkError, httpx.ProtocolError)
# Nothing of the request can have arrived.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=25)
_SAY_AFTER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer. `repeated`: an earlier attempt got no answer, and may have been carried out."""

    status: int
    content: bytes
    headers: Mapping[str, str]
    repeated: bool


def rules_of(settings: ClientSettings, patience: float | None = None) -> RetryRules:
    """The retry rules that settings ask for, or those of somebody with less patience."""
    return RetryRules(
        patience=settings.client.patience_seconds if patience is None else patience,
        extra_codes=frozenset(settings.client.retry_extra_codes),
        heed_maintenance=patience is None,
    )


class Transport:
    """Calls to one API. Its methods run backstage."""

    def __init__(self, settings: ClientSettings, **options: Any) -> None:
        assert settings.api.url is not None, "an API must be configured or started by now"
        self.url = settings.api.url
        self.settings = settings
        self._csrf = Csrf(settings.client.csrf_support_enabled)
        self._http = httpx.AsyncClient(
            headers=common_headers(settings),
            timeout=settings.api.request_timeout_seconds,
            limits=_LIMITS,
            follow_redirects=True,
            # Reading the certificates takes longer than starting; an address that leads to https must say so itself.
            verify=tls_context(settings) if self.url.startswith("https") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            **options,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def request(
        self,
        rules: RetryRules,
        method: str,
        path: str,
        content: bytes | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Answer:
        """One call, repeated by the rules with the same bytes. `path` begins with a slash and is quoted already.

        Raises ApiRefused for any other answer than 2xx, ApiUnreachable when patience ends.
        """
        began = time.monotonic()
        attempt, repeated, said, renewed = 0, False, False, False
        while True:
            status: int | None = None
            headers: Mapping[str, str] = {}
            try:
                response = await self._send(method, path, content, params)
            except _LOST as error:
                repeated = repeated or not isinstance(error, _NEVER_SENT)
                problem = f"{type(error).__name__} {error}".strip()
            else:
                status, headers = response.status_code, response.headers
                if 200 <= status < 300:
                    return Answer(status, response.content, headers, repeated)
                if not renewed and self._csrf.misses(method, status, response.content):
                    renewed = True
                    self._csrf.take(json.loads((await self.request(rules, "GET", self._csrf.path)).content))
                    continue
                # What a balancer says of an answer that it did not get.
                repeated = repeated or status in (502, 504)
                problem = f"the answer {status}"
                if status not in RETRIED and status not in rules.extra_codes:
                    raise refusal(
                        method, f"{self.url}{path}", status, _detail(response), repeated=repeated,
                        retry_after=retry_after(headers.get("retry-after"), datetime.now(UTC)),
                    )  # fmt: skip
            elapsed = time.monotonic() - began
            pause = pause_before_retry(
                rules, status=status, headers=headers, attempt=attempt, elapsed=elapsed,
                draw=random.random(), now=datetime.now(UTC),  # noqa: S311
            )  # fmt: skip
            if pause is None:
                raise ApiUnreachable(self._sentence(method, path, problem, elapsed))
            if not said and elapsed + pause > _SAY_AFTER_SECONDS:
                said = True
                _say("The API at %s cannot be reached (%s); waiting for it for up to %.0f s.",
                     self.url, problem, rules.patience)  # fmt: skip
            await asyncio.sleep(pause)
            attempt += 1

    async def _send(
        self, method: str, path: str, content: bytes | None, params: Mapping[str, Any] | None
    ) -> httpx.Response:
        headers = dict(self._csrf.headers) if method != "GET" else {}
        if content is not None:
            headers["Content-Type"] = "application/json"
        return await self._http.request(method, f"{self.url}{path}", content=content, params=params, headers=headers)

    def _sentence(self, method: str, path: str, problem: str, elapsed: float) -> str:
        return (
            f"The API at {self.url} could not be reached for {elapsed:.0f} s; the last attempt of {method} {path} met "
            f"with {problem}. Check that it runs and that SEMPRE_API_URL names it; the same call can be made again."
        )


def _detail(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text


def _say(message: str, *arguments: object) -> None:
    import logging

    logging.getLogger("sempre.client").warning(message, *arguments)


_transports: list[tuple[ClientSettings, Transport]] = []


def transport_of(settings: ClientSettings) -> Transport:
    """The transport that everybody in this process shares who has the same address, credentials and rules."""
    for known, transport in _transports:
        if known.api == settings.api and known.client == settings.client:
            return transport
    made = Transport(settings)
    if not _transports:
        backstage.at_close(_close_all)
    _transports.append((settings, made))
    return made


async def _close_all() -> None:
    while _transports:
        await _transports.pop()[1].close()


_inherited: list[object] = []


def _forget() -> None:
    # Kept, and never touched again: to tear them down would write to sockets that are the parent's.
    _inherited.extend(_transports)
    _transports.clear()


backstage.after_fork.append(_forget)
