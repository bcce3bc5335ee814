"""Figures that took long to find are found once for all servers that share a Redis, whatever happens to that."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from sempre.db.sharing import LONGEST_SECONDS
from sempre.server.redis import figures
from sempre.server.redis.figures import ToldFigures
from sempre.server.redis.link import Link
from sempre.server.resources import open_resources
from sempre.server.scope import Scope
from sempre.server.settings import load_settings
from tests.integration.redis.faults import FAULTS, Fault
from tests.support.database import Database
from tests.support.redis_server import RedisServer
from tests.support.relay import Relay
from tests.support.scopes import until

# Large and expensive, and it tells how often it was asked for. $1 makes it another question.
EXPENSIVE = "SELECT nextval('asked') + 1000000 + $1::int AS number FROM pg_sleep(0.15)"
CHEAP = "SELECT nextval('asked') + 1000000 + $1::int AS number"
SMALL = "SELECT nextval('asked') + $1::int AS number FROM pg_sleep(0.15)"
KINDS = """
SELECT nextval('asked') + 1000000 AS number, 0.1::float8 AS real, 12.50::numeric AS exact, true AS yes,
    'ä "text"' AS text, NULL::text AS nothing, '2026-03-01T12:00:00.000001+02'::timestamptz AS moment,
    '00000000-0000-0000-0000-00000000002a'::uuid AS id, make_interval(days => 3, secs => 1.5) AS span
FROM pg_sleep(0.15)
"""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine answers late."""
    monkeypatch.setattr(figures, "_PATIENCE_SECONDS", 3.0)


@pytest.fixture
async def asked(database: Database) -> AsyncIterator[Asked]:
    connection = await asyncpg.connect(database.url)
    await connection.execute("CREATE SEQUENCE asked")
    yield Asked(connection)
    await connection.close()


class Asked:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def count(self) -> int:
        """How often Postgres was asked one of the questions above."""
        return int(await self._connection.fetchval("SELECT last_value - (NOT is_called)::int FROM asked"))


@asynccontextmanager
async def opened(database: Database, redis_url: str, **more: str) -> AsyncIterator[Scope]:
    env = {"SEMPRE_SERVER_DATABASE_CONNECTION_URL": database.url, "SEMPRE_REDIS_URL": redis_url, **more}
    async with open_resources(load_settings(env=env)) as scope:
        yield scope


@asynccontextmanager
async def two(database: Database, one: str, other: str) -> AsyncIterator[tuple[Scope, Scope]]:
    async with opened(database, one) as first, opened(database, other) as second:
        await ready(first)
        await ready(second)
        yield first, second


async def ready(scope: Scope) -> None:
    """It tells others, and hears them."""
    store = store_of(scope)
    await until(lambda: scope.redis.cache is not None and scope.redis.cache.up, "Redis is up")
    await until(lambda: store._names() is not None, "it knows whose figures these are")


def store_of(scope: Scope) -> ToldFigures:
    store = scope.db._answers.store
    assert isinstance(store, ToldFigures)
    return store


def question(which: int) -> bytes:
    return orjson.dumps((EXPENSIVE, (which,)))


async def raw(scope: Scope, key: str) -> bytes:
    assert scope.redis.cache is not None
    value = await scope.redis.cache.call(lambda redis: redis.get(key))
    assert isinstance(value, bytes)
    return value


async def put(scope: Scope, key: str, value: bytes) -> None:
    assert scope.redis.cache is not None
    await scope.redis.cache.call(lambda redis: redis.set(key, value, px=20_000))


def key_of(scope: Scope, question: bytes) -> str:
    names = store_of(scope)._names()
    assert names is not None
    return names.key(question)


def keys(redis_server: RedisServer) -> list[str]:
    found: list[str] = redis_server.command("KEYS", "sempre:*:figures:*")
    return found


async def number(scope: Scope, which: int, sql: str = EXPENSIVE) -> int:
    return int((await scope.db.fetch_figures(sql, which))[0]["number"])


async def told(scope: Scope) -> None:
    await until(lambda: not scope.db._answers._telling, "what was found is told")


async def test_what_one_has_found_the_other_need_not_ask(
    database: Database, redis_server: RedisServer, asked: Asked
) -> None:
    async with two(database, redis_server.url, redis_server.url) as (one, other):
        found = await number(one, 1)
        await told(one)
        assert [await number(other, 1), await number(other, 1), await number(one, 1)] == [found] * 3
        assert await asked.count() == 1
        assert await number(other, 2) != found
        await told(other)
        assert await number(one, 2) == await number(other, 2)
        assert await asked.count() == 2
        for key in keys(redis_server):
            assert 0 < redis_server.command("PTTL", key) <= LONGEST_SECONDS * 1000


async def test_rows_are_the_same_wherever_they_were_found(
    database: Database, redis_server: RedisServer, asked: Asked
) -> None:
    async with two(database, redis_server.url, redis_server.url) as (one, other):
        (found,) = await one.db.fetch_figures(KINDS)
        await told(one)
        (heard,) = await other.db.fetch_figures(KINDS)
        assert await asked.count() == 1
        assert dict(heard) == dict(found)
        assert list(heard) == list(found)
        assert len(heard) == len(found)
        assert dict(heard.items()) == dict(found.items())
        assert heard[4] == found["text"] == 'ä "text"'
        assert [type(value) for value in heard.values()] == [
            int, float, Decimal, bool, str, type(None), datetime, UUID, timedelta,
        ]  # fmt: skip
        assert heard["moment"] == datetime(2026, 3, 1, 10, 0, 0, 1, UTC)


async def test_what_is_cheap_or_small_is_told_to_nobody(
    database: Database, redis_server: RedisServer, asked: Asked
) -> None:
    async with two(database, redis_server.url, redis_server.url) as (one, other):
        for sql in (CHEAP, SMALL):
            first = await number(one, 1, sql)
            await told(one)
            assert await number(other, 1, sql) == first + 1
        assert keys(redis_server) == []


async def test_what_is_too_much_is_told_to_nobody(
    database: Database, redis_server: RedisServer, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = "SELECT 1000000 + n AS number FROM generate_series(1, $1::int) n, pg_sleep(0.15)"
    wide = "SELECT 1000000 AS number, repeat('x', $1::int) AS text FROM pg_sleep(0.15)"
    endless = "SELECT 1000000 + $1::int AS number, 'NaN'::float8 AS real FROM pg_sleep(0.15)"
    async with two(database, redis_server.url, redis_server.url) as (one, _):
        for sql, most in ((many, figures._MOST_ROWS), (wide, figures._MOST_BYTES), (endless, 0)):
            assert await number(one, most + 1, sql)
            await told(one)
            assert keys(redis_server) == []


async def test_another_installation_hears_nothing(database: Database, redis_server: RedisServer, asked: Asked) -> None:
    async with opened(database, redis_server.url) as one:
        await ready(one)
        found = await number(one, 1)
        await told(one)
    async with opened(database, redis_server.url, SEMPRE_REDIS_KEY_PREFIX="other") as other:
        await ready(other)
        assert await number(other, 1) == found + 1


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_answers_go_on_whatever_happens_to_redis(
    database: Database, redis_server: RedisServer, relay: Relay, asked: Asked, fault: Fault
) -> None:
    async with two(database, redis_server.url, redis_server.url_of(port=relay.port)) as (one, other):
        assert await number(one, 0)
        fault.begin(redis_server, relay)
        for which in range(1, 4):
            assert {await number(one, which), await number(other, which)} <= set(await _so_far(asked, which))
        fault.end(redis_server, relay)

        async def shared_again() -> bool:
            which = 1000 + await asked.count()
            found = await number(one, which)
            await told(one)
            return found == await number(other, which)

        await until(shared_again, "they share again")


async def _so_far(asked: Asked, which: int) -> list[int]:
    return [1_000_000 + which + each for each in range(1, await asked.count() + 1)]


async def test_a_redis_that_hangs_delays_nobody_for_long(
    database: Database, redis_server: RedisServer, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor more than one question a second: it need not be known to be away."""
    more = {"SEMPRE_REDIS_CACHE_URL": redis_server.url_of(1), "SEMPRE_REDIS_COMMAND_BUDGET_SECONDS": "120"}
    async with opened(database, redis_server.url, **more) as one:
        await ready(one)
        monkeypatch.setattr(figures, "_PATIENCE_SECONDS", 0.1)
        assert one.redis.cache is not None
        waits = count_calls(one.redis.cache, monkeypatch)
        redis_server.pause()
        began = time.monotonic()
        for which in range(50):
            await number(one, which, CHEAP)
        took = time.monotonic() - began
        assert took < 60, "who asks waits for a moment, not for as long as a command may take"
        assert len(waits) <= 1 + took
        redis_server.resume()  # whoever closes takes leave, within the budget


def count_calls(link: Link, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    calls: list[float] = []
    call = link.call

    async def counted(*given: Any, **more: Any) -> Any:
        calls.append(time.monotonic())
        return await call(*given, **more)

    monkeypatch.setattr(link, "call", counted)
    return calls


async def test_what_a_server_did_not_write_is_not_believed(
    database: Database, redis_server: RedisServer, asked: Asked
) -> None:
    async with two(database, redis_server.url, redis_server.url) as (one, other):
        await number(one, 1)
        await told(one)
        (key,) = keys(redis_server)
        value = await raw(one, key)
        assert b"100000" in value
        forged: list[Any] = [
            b"",
            b"[]",
            value[:-1],
            value.replace(b"100000", b"900000"),
            bytes(32) + value[32:],
            value[32:],
            value + b" " * figures._MOST_BYTES,
        ]
        for which, each in enumerate(forged):
            await put(one, key, each)
            assert await store_of(other).read(question(1)) is None, which
        await put(one, key, value)
        assert await store_of(other).read(question(1)) is not None  # so it was not for another reason
        # Of another question, for ever, or nothing that can be read at all.
        await put(one, key_of(other, question(2)), value)
        assert await store_of(other).read(question(2)) is None
        redis_server.command("PERSIST", key)
        assert await store_of(other).read(question(1)) is None
        redis_server.command("DEL", key)
        redis_server.command("RPUSH", key, "a", "list")
        assert await store_of(other).read(question(1)) is None
        assert await number(other, 1) == 1_000_001 + await asked.count()
        assert one.redis.cache is not None
        assert other.redis.cache is not None
        assert other.redis.cache.up
        assert other.redis.cache.losses == 0


async def test_what_redis_takes_in_too_late_is_not_believed(
    database: Database, redis_server: RedisServer, asked: Asked
) -> None:
    """What was sent to one that stood still, say for an hour."""
    async with two(database, redis_server.url, redis_server.url) as (one, other):
        assert one.redis.cache is not None
        assert one.installation is not None
        rows = await one.db.fetch("SELECT 1000000 AS number")
        for late, believed in ((3600.0, False), (0.0, True)):
            store = ToldFigures(one.redis.cache, one.installation, clock=lambda late=late: time.time() - late)  # type: ignore[misc]
            await store.write(question(1), rows, 20.0)
            assert len(keys(redis_server)) == 1
            assert (await store_of(other).read(question(1)) is not None) is believed
