"""Requests to addresses that users name: where they may go, how long they take, what is read of the answer."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sempre.server.outbound import http as http_module
from sempre.server.outbound.addresses import PrivateAddress, is_public, resolve
from sempre.server.outbound.http import send
from tests.support.certificates import certificate_for

LOOPBACK = "127.0.0.1"
Names = Callable[..., None]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Where names lead, for this test."""
    known: dict[str, list[str]] = {}

    async def getaddrinfo(self: Any, host: str, port: int, **_: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return lambda **given: known.update({name.replace("_", "."): found for name, found in given.items()})


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server whose every conversation is ``handler``'s. Gives its port."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except OSError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(one, LOOPBACK, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answering(answer: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return handler


FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "240.0.0.1", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "2002:7f00:1::", "2002:a00:1::",
        "64:ff9b::a00:1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_an_address_inside(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "2002:101:101::", "64:ff9b::101:101"],
)
def test_an_address_out_in_the_world(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


async def test_one_address_inside_is_one_too_many(names: Names) -> None:
    names(mixed_test=["1.1.1.1", "10.0.0.1"], outside_test=["1.1.1.1", "2606:4700:4700::1111"])
    assert await resolve("outside.test", 443, allow_private=False) == ["1.1.1.1", "2606:4700:4700::1111"]
    assert await resolve("mixed.test", 443, allow_private=True) == ["1.1.1.1", "10.0.0.1"]
    with pytest.raises(PrivateAddress, match=r"'mixed\.test' leads to a private address \(10\.0\.0\.1\)"):
        await resolve("mixed.test", 443, allow_private=False)
    with pytest.raises(OSError, match="unknown name"):
        await resolve("nowhere.test", 443, allow_private=False)


async def test_the_connection_goes_to_the_address_that_was_checked(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads elsewhere a moment later leads nowhere: it is looked up once."""
    asked: list[str] = []

    async def once(host: str, port: int, *, allow_private: bool) -> list[str]:
        asked.append(host)
        assert not allow_private
        return [LOOPBACK]  # as if that were public

    monkeypatch.setattr(http_module, "resolve", once)
    async with serving(answering(FINE)) as port:
        request = httpx.Request("GET", f"http://rebound.test:{port}/")
        answer = await send(request, timeout=5, allow_private=False)
    assert (answer.status_code, answer.text, asked) == (200, "fine", ["rebound.test"])


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost"])
async def test_all_spellings_of_this_machine_are_private(host: str) -> None:
    async with serving(answering(FINE)) as port:
        with pytest.raises((PrivateAddress, OSError, httpx.HTTPError)):
            await send(httpx.Request("GET", f"http://{host}:{port}/"), timeout=5, allow_private=False)


async def test_an_address_that_does_not_answer_is_passed_over(names: Names) -> None:
    async with serving(answering(FINE)) as port:
        names(two_test=["127.0.0.2", LOOPBACK])
        answer = await send(httpx.Request("GET", f"http://two.test:{port}/"), timeout=5, allow_private=True)
    assert answer.status_code == 200


async def test_a_redirect_is_an_answer() -> None:
    reached: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with serving(handler) as port:
        answer = await send(httpx.Request("GET", f"http://{LOOPBACK}:{port}/"), timeout=5, allow_private=True)
    assert (answer.status_code, answer.headers["Location"], len(reached)) == (302, "/elsewhere", 1)


async def test_only_the_beginning_of_a_huge_answer_is_read() -> None:
    sent = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(4096):
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with serving(handler) as port:
        answer = await send(httpx.Request("GET", f"http://{LOOPBACK}:{port}/"), timeout=20, allow_private=True)
    assert answer.text == "x" * 65536
    assert sent < 4096 * 65536, "the rest was never taken"


async def test_an_answer_that_unpacks_into_something_huge_is_bounded() -> None:
    packed = gzip.compress(b"0" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    async with serving(answering(head + packed)) as port:
        answer = await send(httpx.Request("GET", f"http://{LOOPBACK}:{port}/"), timeout=20, allow_private=True)
    assert answer.text == "0" * 65536


async def test_a_server_that_drips_is_cut_off() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.05)

    began = asyncio.get_running_loop().time()
    async with serving(handler) as port:
        with pytest.raises(TimeoutError):
            await send(httpx.Request("GET", f"http://{LOOPBACK}:{port}/"), timeout=0.4, allow_private=True)
    assert asyncio.get_running_loop().time() - began < 60  # it drips for an hour and a half


async def test_tls_asks_for_the_name(names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trusted, context = certificate_for("hooks.test", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    names(hooks_test=[LOOPBACK], other_test=[LOOPBACK])
    async with serving(answering(FINE), context) as port:
        good = httpx.Request("GET", f"https://hooks.test:{port}/")
        assert (await send(good, timeout=5, allow_private=True)).status_code == 200
        bad = httpx.Request("GET", f"https://other.test:{port}/")
        with pytest.raises(httpx.ConnectError, match=r"other\.test|mismatch"):
            await send(bad, timeout=5, allow_private=True)
        assert (await send(bad, timeout=5, allow_private=True, verify=False)).status_code == 200


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them would connect to what was not checked."""
    monkeypatch.setenv("HTTP_PROXY", f"http://{LOOPBACK}:1")
    async with serving(answering(FINE)) as port:
        answer = await send(httpx.Request("GET", f"http://{LOOPBACK}:{port}/"), timeout=5, allow_private=True)
    assert answer.status_code == 200
