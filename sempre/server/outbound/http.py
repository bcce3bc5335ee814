"""Requests to addresses that users name.

Every request has a deadline and a bound on what is read of its answer. A redirect is an answer like any other. Where
private networks are out of bounds, the name is looked up once and the connection goes to the very address that was
checked, so that a name which leads elsewhere a moment later leads nowhere.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

import httpcore
import httpx

from sempre.server.outbound.addresses import resolve

__all__ = ["Answer", "send"]

_LARGEST_READ = 64 * 1024  # bytes of an answer


@dataclass(frozen=True, slots=True)
class Answer:
    """``text`` is the beginning of the body."""

    status_code: int
    headers: httpx.Headers
    text: str


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to the address that a name was found to lead to."""

    def __init__(self, allow_private: bool) -> None:
        self._backend = httpcore.AnyIOBackend()
        self._allow_private = allow_private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        *others, last = await resolve(host, port, allow_private=self._allow_private)
        patience = timeout and timeout / (len(others) + 1)
        for address in others:
            with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._backend.connect_tcp(address, port, patience, local_address, socket_options)
        return await self._backend.connect_tcp(last, port, patience, local_address, socket_options)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("sockets of this machine are out of bounds")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class _Transport(httpx.AsyncHTTPTransport):
    """The library's transport over connections of ours. TLS still asks for the host by its name."""

    def __init__(self, *, allow_private: bool, verify: bool) -> None:
        super().__init__(verify=verify, trust_env=False)
        context = ssl.create_default_context()
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context, network_backend=_Pinned(allow_private), max_connections=1
        )


async def send(request: httpx.Request, *, timeout: float, allow_private: bool, verify: bool = True) -> Answer:
    """The answer, within ``timeout`` seconds in all. Raises httpx.HTTPError, PrivateAddress, OSError (a TimeoutError is
    one).
    """
    async with asyncio.timeout(timeout):
        return await _send(request, _Transport(allow_private=allow_private, verify=verify), timeout)


async def _send(request: httpx.Request, transport: _Transport, timeout: float) -> Answer:
    async with httpx.AsyncClient(
        transport=transport, timeout=timeout, follow_redirects=False, trust_env=False
    ) as client:
        response = await client.send(request, stream=True)
        try:
            read = bytearray()
            async for chunk in response.aiter_bytes():
                read += chunk
                if len(read) >= _LARGEST_READ:
                    break
        finally:
            await response.aclose()
    text = bytes(read[:_LARGEST_READ]).decode(response.encoding or "utf-8", "replace")
    return Answer(response.status_code, response.headers, text)
