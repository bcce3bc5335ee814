"""The doorbell over Redis and over Postgres: it is heard whatever happens to Redis, and everywhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sempre.server.feed.doorbell import Doorbell
from sempre.server.resources import open_resources
from sempre.server.scope import Scope
from sempre.server.settings import load_settings
from tests.integration.redis.faults import FAULTS, Fault
from tests.support.database import Database, Postgres
from tests.support.redis_server import RedisServer
from tests.support.relay import Relay
from tests.support.scopes import until


@asynccontextmanager
async def replica(database: Database, redis_url: str | None, **more: str) -> AsyncIterator[Scope]:
    env = {"SEMPRE_SERVER_DATABASE_CONNECTION_URL": database.url, "SEMPRE_REDIS_URL": redis_url or "", **more}
    async with open_resources(load_settings(env)) as scope:
        if redis_url is not None:
            link = scope.redis.streams
            assert link is not None
            await until(lambda: link.up, "Redis is there")
        yield scope


async def is_heard(by: Doorbell, rung: Doorbell, topic: str = "events") -> None:
    """One single ring: it must not get lost."""
    with by.listening(topic) as bell:
        rung.ring(topic)
        await until(bell.is_set, "the ring is heard")


async def both_ways(one: Scope, other: Scope, topic: str = "events") -> None:
    await is_heard(one.doorbell, other.doorbell, topic)
    await is_heard(other.doorbell, one.doorbell, topic)


async def in_use(one: Scope, other: Scope) -> None:
    """Until a ring comes through: everybody listens."""

    async def rung() -> bool:
        with one.doorbell.listening("t") as here, other.doorbell.listening("t") as there:
            here.clear()
            other.doorbell.ring("t")
            try:
                await asyncio.wait_for(here.wait(), 0.5)
                there.clear()
                one.doorbell.ring("t")
                await asyncio.wait_for(there.wait(), 0.5)
            except TimeoutError:
                return False
            return True

    await until(rung, "both hear each other")


async def test_over_redis_alone(database: Database, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Postgres need not help."""
    async with replica(database, redis_server.url) as one, replica(database, redis_server.url) as other:
        await in_use(one, other)
        monkeypatch.setattr("sempre.server.feed.doorbell._SECOND_SECONDS", 600)
        for _ in range(5):
            await both_ways(one, other, "work:x")


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_it_is_heard_whatever_happens_to_redis(
    database: Database, redis_server: RedisServer, relay: Relay, fault: Fault
) -> None:
    patient = {"SEMPRE_REDIS_COMMAND_BUDGET_SECONDS": "5"}
    async with (
        replica(database, redis_server.url, **patient) as one,
        replica(database, redis_server.url_of(port=relay.port), **patient) as other,
    ):
        await in_use(one, other)
        await asyncio.to_thread(fault.begin, redis_server, relay)
        await both_ways(one, other)  # the ring that meets the fault may wait until it is noticed
        began = time.monotonic()
        for _ in range(20):
            await both_ways(one, other)
        assert time.monotonic() - began < 60, "those after it wait for nothing: it would be five seconds, forty times"
        await asyncio.to_thread(fault.end, redis_server, relay)
        for scope in (one, other):
            link = scope.redis.streams
            assert link is not None
            await until(lambda link=link: link.up, "Redis is there again")  # type: ignore[misc]
        await both_ways(one, other)


async def test_a_replica_without_redis_hears_and_is_heard(database: Database, redis_server: RedisServer) -> None:
    async with replica(database, redis_server.url) as one, replica(database, None) as other:
        await in_use(one, other)
        await both_ways(one, other)


async def test_what_was_missed_is_made_up_for(
    database: Database, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may have missed a ring looks: when Redis went away, and when it is back."""
    async with replica(database, redis_server.url) as one, replica(database, redis_server.url) as other:
        await in_use(one, other)
        with one.doorbell.listening("never-rung") as bell:
            redis_server.kill()
            await until(bell.is_set, "who listens looks, as Redis went away")
            bell.clear()
            redis_server.start()
            await until(bell.is_set, "and looks again, as it is back")


async def test_two_installations_share_a_redis_and_nothing_else(
    database: Database, postgres: Postgres, workdir: Path, redis_server: RedisServer
) -> None:
    """Although the database of one is a copy of the other's."""
    async with replica(database, redis_server.url) as one:
        assert one.installation is not None
        await one.installation.key("doorbell")
    copy = await asyncio.to_thread(postgres.create, database)
    try:
        async with replica(database, redis_server.url) as one, replica(copy, redis_server.url) as other:
            rung = {}
            for scope, topic in ((one, "here"), (other, "there")):
                assert scope.installation is not None
                rung[topic] = await scope.installation.key("doorbell")
                scope.doorbell.ring(topic)
            assert rung["here"] != rung["there"]
            await until(lambda: redis_server.command("EXISTS", *rung.values()) == 2, "both bells have been rung")
            for topic, key in rung.items():
                entries = redis_server.command("XRANGE", key, "-", "+")
                assert {fields["topics"] for _, fields in entries} == {topic}
    finally:
        await asyncio.to_thread(postgres.drop, copy)
