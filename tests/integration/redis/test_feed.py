"""The live feed of several servers that share a Redis: nothing lost, nothing twice, whatever happens to it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from sempre.server.feed.stretches import Stretch
from sempre.server.feed.tail import Subscription
from sempre.server.ids import new_id
from sempre.server.scope import DEFAULT_WORKSPACE
from tests.integration.redis.faults import FAULTS, Fault
from tests.support.database import Database
from tests.support.events import Live, serving
from tests.support.redis_server import RedisServer
from tests.support.relay import Relay
from tests.support.scopes import until

_INSERT = """
INSERT INTO event (occurred, workspace_id, id, event, resource_id, resource, related, resource_ids, payload)
SELECT now(), $1, id, $2, 'r', '{"prefect.resource.id": "r"}', '[]', '{r}', $3::text::jsonb FROM unnest($4::uuid[]) id
"""


class Writer:
    """Puts events into the log in transactions of all kinds. ``committed``: ids by writer, in order of commit."""

    def __init__(self, database: Database, servers: list[Live]) -> None:
        self._database = database
        self._servers = servers
        self.committed: dict[str, list[UUID]] = defaultdict(list)
        self.stopping = False

    async def one_after_the_other(self, name: str) -> None:
        """Small commits, each with a ring from a server in turn."""
        connection = await asyncpg.connect(self._database.url)
        number = 0
        while not self.stopping:
            ids = [UUID(bytes=new_id().bytes) for _ in range(1 + number % 4)]
            await connection.execute(_INSERT, DEFAULT_WORKSPACE, name, '{"n": 1}', ids)
            self.committed[name] += ids
            self._servers[number % len(self._servers)].scope.doorbell.ring("events")
            number += 1
            await asyncio.sleep(0.01)
        await connection.close()

    async def late_or_never(self, name: str) -> None:
        """Transactions that hold their numbers for a while, every other one in vain."""
        connection = await asyncpg.connect(self._database.url)
        number = 0
        while not self.stopping:
            transaction = connection.transaction()
            await transaction.start()
            ids = [UUID(bytes=new_id().bytes)]
            # Some are too large to be told: who follows must read them.
            await connection.execute(
                _INSERT,
                DEFAULT_WORKSPACE,
                name,
                orjson.dumps({"x": "x" * (200_000 if number % 6 == 0 else 9)}).decode(),
                ids,
            )
            await asyncio.sleep(0.15)
            number += 1
            if number % 2:
                await transaction.rollback()
            else:
                await transaction.commit()
                self.committed[name] += ids
                self._servers[0].scope.doorbell.ring("events")
        await connection.close()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        writing = [
            *(asyncio.create_task(self.one_after_the_other(f"steady-{number}")) for number in range(2)),
            asyncio.create_task(self.late_or_never("late")),
        ]
        try:
            yield
        finally:
            self.stopping = True
            await asyncio.gather(*writing)

    @property
    def all(self) -> list[UUID]:
        return [id for ids in self.committed.values() for id in ids]


class Reader:
    """Everything that one subscription brings."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self.got: dict[str, list[UUID]] = defaultdict(list)

    async def read(self) -> None:
        while (received := await self._subscription.get()) is not None:
            self.got[orjson.loads(received[1])["event"]["event"]].append(UUID(bytes=received[0].bytes))

    @property
    def count(self) -> int:
        return sum(len(ids) for ids in self.got.values())


@asynccontextmanager
async def subscribers(servers: list[Live], each: int) -> AsyncIterator[list[Reader]]:
    async with AsyncExitStack() as stack:
        readers = []
        for server in servers:
            for _ in range(each):
                subscribed = server.runtime.event_tail.subscribed(lambda row: True, 1_000_000)
                readers.append(Reader(await stack.enter_async_context(subscribed)))
        reading = [asyncio.create_task(reader.read()) for reader in readers]
        try:
            yield readers
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)


@asynccontextmanager
async def two_servers(database: Database, one: str, other: str) -> AsyncIterator[list[Live]]:
    async with (
        serving(database, {"SEMPRE_REDIS_URL": one}) as first,
        serving(database, {"SEMPRE_REDIS_URL": other}) as second,
    ):
        yield [first, second]


async def shared(servers: list[Live]) -> None:
    """Until one of them reads for both."""

    def tells() -> bool:
        return any(_sharing(server).tells for server in servers)

    await until(tells, "one of the servers reads for all")


def _sharing(server: Live) -> Any:
    return server.runtime.event_tail._shared


async def assert_exactly_once(readers: list[Reader], writer: Writer) -> None:
    await until(lambda: all(reader.count >= len(writer.all) for reader in readers), "everything arrives")
    for reader in readers:
        assert reader.got == writer.committed, "each once, and each writer's in its order"


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_exactly_once_whatever_happens_to_redis(
    database: Database, redis_server: RedisServer, relay: Relay, fault: Fault
) -> None:
    async with (
        two_servers(database, redis_server.url, redis_server.url_of(port=relay.port)) as servers,
        subscribers(servers, each=2) as readers,
    ):
        await shared(servers)
        writer = Writer(database, servers)
        async with writer.writing():
            for _ in range(2):
                await progress(readers, writer, "before")
                await asyncio.to_thread(fault.begin, redis_server, relay)
                for _ in range(3):
                    await progress(readers, writer, "meanwhile")
                await asyncio.to_thread(fault.end, redis_server, relay)
                await shared(servers)
            await progress(readers, writer, "afterwards")
        await assert_exactly_once(readers, writer)


async def progress(readers: list[Reader], writer: Writer, when: str) -> None:
    """What is there now arrives, and half a second of writing more, before the next thing happens to Redis."""
    there = len(writer.all)
    await until(lambda: all(reader.count >= there for reader in readers), f"what was written arrives {when}")
    await until(lambda: len(writer.all) >= there + 20, "more is written")


async def test_the_one_that_reads_for_all_stops_and_another_takes_over(
    database: Database, redis_server: RedisServer
) -> None:
    url = redis_server.url
    async with two_servers(database, url, url) as servers, subscribers(servers[1:], each=2) as staying:
        writer = Writer(database, servers)
        async with writer.writing():
            async with subscribers(servers[:1], each=1) as leaving:
                await shared(servers)
                await progress(staying + leaving, writer, "before")
            await progress(staying, writer, "while nobody reads for others")
            async with subscribers(servers[:1], each=1) as coming:
                await shared(servers)
                seen = len(writer.all)
                await until(lambda: coming[0].count, "the new subscriber gets something")
                await progress(staying, writer, "afterwards")
        await assert_exactly_once(staying, writer)
        assert seen


async def test_a_late_teller_does_no_harm(database: Database, redis_server: RedisServer) -> None:
    """Two hold the lease, because Redis forgot about the first."""
    async with (
        two_servers(database, redis_server.url, redis_server.url) as servers,
        subscribers(servers, each=1) as readers,
    ):
        await shared(servers)
        writer = Writer(database, servers)
        async with writer.writing():
            for _ in range(5):
                for server in servers:
                    _sharing(server)._hold(True, 2)
                await progress(readers, writer, "with two that tell")
        await assert_exactly_once(readers, writer)


async def test_stretches_that_are_lost_are_missed(
    database: Database, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that lost every third of its entries, as one does whose reader is slower than its bound."""
    async with (
        two_servers(database, redis_server.url, redis_server.url) as servers,
        subscribers(servers, each=1) as readers,
    ):
        await shared(servers)
        lost = 0
        for sharing in map(_sharing, servers):
            take = sharing.take

            def taken(take: Callable[[], list[Stretch]] = take) -> list[Stretch]:
                nonlocal lost
                told = take()
                kept = [one for one in told if one.after.position % 3]
                lost += len(told) - len(kept)
                return kept

            monkeypatch.setattr(sharing, "take", taken)
        writer = Writer(database, servers)
        async with writer.writing():
            for _ in range(5):
                await progress(readers, writer, "in spite of the losses")
        await assert_exactly_once(readers, writer)
        assert lost


async def test_followers_leave_the_database_alone(database: Database, redis_server: RedisServer) -> None:
    async with (
        two_servers(database, redis_server.url, redis_server.url) as servers,
        subscribers(servers, each=1) as readers,
    ):
        await shared(servers)
        reads = [server.runtime.event_tail.reads for server in servers]
        writer = Writer(database, servers)
        steady = asyncio.create_task(writer.one_after_the_other("steady"))
        await until(lambda: readers[1].count > 400, "a good many events")
        writer.stopping = True
        await steady
        await assert_exactly_once(readers, writer)
        made = sorted(server.runtime.event_tail.reads - before for server, before in zip(servers, reads, strict=True))
        assert made[0] * 5 < made[1], f"one reads for all: {made}"


async def test_with_one_server_nothing_is_told(database: Database, redis_server: RedisServer) -> None:
    async with (
        serving(database, {"SEMPRE_REDIS_URL": redis_server.url}) as server,
        subscribers([server], each=1) as readers,
    ):
        await until(lambda: _sharing(server)._leads, "it reads for whoever comes")
        writer = Writer(database, [server])
        async with writer.writing():
            await progress(readers, writer, "alone")
        await assert_exactly_once(readers, writer)
        assert not redis_server.command("KEYS", "*feed:event")
