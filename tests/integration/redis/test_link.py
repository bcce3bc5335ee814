"""Connections to a real Redis: every form of address, and what happens when it goes away."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sempre.server.redis.link import Link, RedisAway
from sempre.server.redis.roles import open_redis
from sempre.server.settings import SettingsError, load_settings
from tests.support.certificates import certificate_for
from tests.support.net import LOOPBACK, free_port
from tests.support.redis_server import RedisServer
from tests.support.relay import Relay
from tests.support.scopes import until

# Time enough to notice an outage for somebody who asks nothing, and for anything else, on the busiest machine.
SOON = 60.0


def redis_settings(**more: str) -> Any:
    return load_settings({f"SEMPRE_REDIS_{key.upper()}": value for key, value in more.items()}).redis


@asynccontextmanager
async def linked(url: str, **more: str) -> AsyncIterator[Link]:
    link = Link("tests", url, redis_settings(**more))
    link.start()
    try:
        yield link
    finally:
        await link.stop()


async def is_up(link: Link) -> None:
    await until(lambda: link.up, "the link is up", SOON)


async def is_away(link: Link) -> None:
    await until(lambda: not link.up, "the link is away", SOON)


async def ping(link: Link) -> Any:
    return await link.call(lambda redis: redis.ping())


async def test_one_that_was_never_there_is_waited_for_by_nobody() -> None:
    """Something listens in its place, and never says a word."""
    with socket.create_server((LOOPBACK, 0)) as silent:
        url = f"redis://{LOOPBACK}:{silent.getsockname()[1]}/0"
        async with linked(url, command_budget_seconds="1") as link:
            began = time.monotonic()
            for _ in range(1000):
                with pytest.raises(RedisAway):
                    await ping(link)
            assert time.monotonic() - began < SOON


@pytest.mark.parametrize("protocol", ["2", "3"])
async def test_down_and_up_again(redis_server: RedisServer, protocol: str) -> None:
    async with linked(redis_server.url, protocol=protocol) as link:
        await is_up(link)
        assert await ping(link)
        redis_server.kill()
        await is_away(link)
        redis_server.start()
        await is_up(link)
        assert await ping(link), "no connection from before is met"
        assert link.losses == 1


async def test_one_that_hangs_costs_the_budget_once(redis_server: RedisServer) -> None:
    async with linked(redis_server.url, command_budget_seconds="1") as link:
        await is_up(link)
        redis_server.pause()
        began = time.monotonic()
        for _ in range(1000):
            with pytest.raises(RedisAway):
                await ping(link)
        assert time.monotonic() - began < SOON, "nobody else waits"
        redis_server.resume()
        await is_up(link)
        assert await ping(link)


async def test_a_hang_is_noticed_by_itself(redis_server: RedisServer) -> None:
    async with linked(redis_server.url) as link:
        await is_up(link)
        redis_server.pause()
        await is_away(link)
        redis_server.resume()
        await is_up(link)


async def test_one_that_takes_no_writes_is_away(redis_server: RedisServer) -> None:
    async with linked(redis_server.url) as link:
        await is_up(link)
        redis_server.read_only()
        await is_away(link)
        redis_server.read_only(False)
        await is_up(link)
        redis_server.command("CONFIG", "SET", "maxmemory", 1)
        await is_away(link)


async def test_a_partition_and_a_cut(redis_server: RedisServer, relay: Relay) -> None:
    async with linked(redis_server.url_of(port=relay.port)) as link:
        await is_up(link)
        relay.hold()
        await is_away(link)
        relay.let_go()
        await is_up(link)
        relay.cut()
        await is_away(link)
        relay.mend()
        await is_up(link)


async def test_a_password_is_sent_and_never_told(caplog: pytest.LogCaptureFixture) -> None:
    server = RedisServer(password="hush: p@ss/wörd")
    try:
        server.start()
        parts = {"host": LOOPBACK, "port": str(server.port), "password": "hush: p@ss/wörd"}
        url = redis_settings(**parts).url
        async with linked(url) as link:
            await is_up(link)
        wrong = redis_settings(**{**parts, "password": "hush hush"}).url
        with caplog.at_level(logging.DEBUG, logger="sempre"):
            async with linked(wrong) as link:
                await until(lambda: "away" in caplog.text, "it is said that Redis is away")
                assert not link.up
        assert "hush" not in caplog.text
    finally:
        server.discard()


async def test_tls(redis_server: RedisServer, tmp_path: Path) -> None:
    trusted, speaks = certificate_for("localhost", tmp_path)
    relay = Relay(redis_server.port, tls=speaks).start()
    try:
        async with linked(f"rediss://localhost:{relay.port}/0?ssl_ca_certs={trusted}") as link:
            await is_up(link)
        async with linked(f"rediss://localhost:{relay.port}/0", command_budget_seconds="2") as link:
            await until(lambda: link._complained[0], "the certificate is refused")
            assert not link.up
    finally:
        relay.stop()


async def test_sentinels(redis_server: RedisServer) -> None:
    watched = f"monitor band {LOOPBACK} {redis_server.port} 1"
    sentinel = RedisServer(config={"sentinel": watched}, name="sentinel", arguments=["--sentinel"])
    try:
        sentinel.start()
        hosts = f"{LOOPBACK}:{free_port()},{LOOPBACK}:{sentinel.port}"
        async with linked(f"redis+sentinel://{hosts}/band/3", command_budget_seconds="2") as link:
            await is_up(link)
            await link.call(lambda redis: redis.set("here", "1"))
        with redis_server.client() as client:
            client.execute_command("SELECT", 3)
            assert client.execute_command("GET", "here") == "1"
    finally:
        sentinel.discard()


def test_what_cannot_be_used_is_refused_at_the_start() -> None:
    for name in ("SEMPRE_REDIS_URL", "SEMPRE_REDIS_CACHE_URL", "PREFECT_SERVER_DOCKET_URL"):
        with pytest.raises(SettingsError, match=rf"{name} asks for a cluster.*not supported.*redis\+sentinel://"):
            load_settings({name: "redis+cluster://:hush@a:6379"})
        with pytest.raises(SettingsError) as caught:
            load_settings({name: "hush@host"})
        assert "hush" not in str(caught.value)


async def test_an_unreadable_url_is_refused_without_showing_it() -> None:
    for url in ("redis+sentinel://u:hush@host", "redis://:hush@host:port/0"):
        with pytest.raises(SettingsError) as caught:
            Link("tests", url, redis_settings())
        assert "hush" not in str(caught.value)


async def test_roles() -> None:
    def of(**env: str) -> Any:
        return open_redis(load_settings(env))

    async with of() as roles:
        assert (roles.streams, roles.work, roles.cache) == (None, None, None)
    async with of(SEMPRE_REDIS_HOST="r", SEMPRE_SERVER_EVENTS_MESSAGING_BROKER="memory") as roles:
        assert (roles.streams, roles.cache) == (None, None)
    async with of(PREFECT_MESSAGING_BROKER="prefect_redis.messaging", SEMPRE_SERVER_DOCKET_URL="redis://w") as roles:
        assert roles.streams is roles.cache is not None
        assert roles.work not in (None, roles.streams)
    async with of(SEMPRE_REDIS_URL="redis://a", SEMPRE_REDIS_CACHE_URL="redis://b") as roles:
        assert None is not roles.streams is not roles.cache is not None
