"""Exactly once per consumer, whatever commits late, dies or is poisonous."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest

from sempre.db.pool import Executor, Record
from sempre.schemas.events import Event
from sempre.server.events import consumer as consumers
from sempre.server.events.append import append, encode
from sempre.server.events.consumer import Consumer, Work
from sempre.server.ids import new_id
from sempre.server.scope import DEFAULT_WORKSPACE, Scope
from tests.support.database import Database
from tests.support.events import an_event
from tests.support.scopes import open_scope, until


async def add(db: Executor, *names: str) -> None:
    encoded = [encode(Event.model_validate(an_event(name)), DEFAULT_WORKSPACE, 10_000) for name in names]
    for event in encoded:
        assert event is not None
        await append(db, [event])


async def delivered(scope: Scope) -> list[str]:
    return [row["name"] for row in await scope.db.fetch("SELECT name FROM delivered ORDER BY at")]


@pytest.fixture
async def log(scope: Scope) -> Scope:
    await scope.db.execute("CREATE TABLE delivered (name text NOT NULL, at bigserial)")
    return scope


def a_consumer(scope: Scope, **options: Any) -> Consumer:
    """Its output is a row per event; events named ``poison`` fail in Python, ``bad row`` in the database."""

    async def handle(events: Sequence[Record]) -> Work:
        names = [event["event"] for event in events]
        if "poison" in names:
            raise RuntimeError("poison")

        async def write(tx: Executor) -> None:
            await tx.execute(
                "INSERT INTO delivered (name) SELECT CASE WHEN n <> 'bad row' THEN n END FROM unnest($1::text[]) n",
                names,
            )

        return Work(write)

    return Consumer(scope.db, scope.doorbell, "test", handle, **options)


async def test_each_event_once_in_order(log: Scope) -> None:
    await add(log.db, "a", "b", "c")
    assert await a_consumer(log, batch_size=2).drain() == 3
    await add(log.db, "d")
    assert await a_consumer(log).drain() == 1
    assert await a_consumer(log).drain() == 0
    assert await delivered(log) == ["a", "b", "c", "d"]


async def test_a_consumer_may_start_with_the_future(log: Scope) -> None:
    await add(log.db, "past")
    consumer = a_consumer(log, from_now=True)
    await consumer.drain()
    await add(log.db, "future")
    await consumer.drain()
    assert await delivered(log) == ["future"]


@asynccontextmanager
async def open_transaction(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.url)
    try:
        yield connection
    finally:
        await connection.close()


async def insert_raw(connection: asyncpg.Connection, name: str) -> None:
    await connection.execute(
        """
        INSERT INTO event (occurred, workspace_id, id, event, resource_id, resource, resource_ids)
        VALUES (now(), $1, $2, $3, 'r', '{"prefect.resource.id": "r"}', '{r}')
        """,
        DEFAULT_WORKSPACE,
        new_id(),
        name,
    )


async def test_what_commits_late_is_delivered_once(log: Scope, database: Database) -> None:
    consumer = a_consumer(log)
    async with open_transaction(database) as late:
        transaction = late.transaction()
        await transaction.start()
        await insert_raw(late, "late")
        await add(log.db, "early")
        for _ in range(3):
            await consumer.drain()
        assert await delivered(log) == ["early"]
        await transaction.commit()
    await add(log.db, "after")
    await consumer.drain()
    await consumer.drain()
    assert sorted(await delivered(log)) == ["after", "early", "late"]


async def test_what_never_commits_is_forgotten(log: Scope, database: Database) -> None:
    consumer = a_consumer(log)
    async with open_transaction(database) as gone:
        transaction = gone.transaction()
        await transaction.start()
        await insert_raw(gone, "gone")
        await add(log.db, "stays")
        await consumer.drain()
        await transaction.rollback()
    for _ in range(3):
        await consumer.drain()
    assert await log.db.fetchval("SELECT holes FROM event_consumer") == []
    assert await delivered(log) == ["stays"]


async def test_an_unrelated_long_transaction_holds_nothing_up(log: Scope, database: Database) -> None:
    consumer = a_consumer(log)
    async with open_transaction(database) as unrelated:
        transaction = unrelated.transaction()
        await transaction.start()
        await unrelated.execute("CREATE TABLE unrelated ()")
        for name in ("a", "b", "c"):
            await add(log.db, name)
            await consumer.drain()
            assert (await delivered(log))[-1] == name
        await transaction.rollback()


async def test_two_at_once_without_a_lease_deliver_once(log: Scope, database: Database) -> None:
    names = [f"e{n}" for n in range(400)]
    async with AsyncExitStack() as stack:
        scopes = [await stack.enter_async_context(open_scope(database)) for _ in range(3)]
        running = [a_consumer(s, batch_size=7, leased=False) for s in scopes]
        await running[0].drain()

        async def writing() -> None:
            for start in range(0, len(names), 4):
                await asyncio.gather(*(add(log.db, name) for name in names[start : start + 4]))

        async def consuming(consumer: Consumer) -> None:
            async def everything() -> bool:
                await consumer.drain()
                return len(await delivered(log)) >= len(names)

            await until(everything, "all events are delivered", 30)

        await asyncio.gather(writing(), *map(consuming, running))
    assert Counter(await delivered(log)) == Counter(names)


@pytest.mark.parametrize("poison", ["poison", "bad row"])
async def test_a_poison_event_is_set_aside_alone(log: Scope, poison: str) -> None:
    names = [f"e{n}" for n in range(50)]
    await add(log.db, *names[:33], poison, *names[33:])
    await a_consumer(log, batch_size=20).drain()
    assert await delivered(log) == names
    [letter] = await log.db.fetch("SELECT consumer, event, error FROM event_dead_letter")
    assert (letter["consumer"], letter["event"]["event"]) == ("test", poison)
    assert letter["error"]


async def test_one_works_and_a_dead_one_is_replaced(
    log: Scope, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "LEASE_SECONDS", 0.3)
    first, second = a_consumer(log, owner=new_id()), a_consumer(log, owner=new_id())
    await add(log.db, "a")
    assert await first.run_for(0.05) == 1
    await add(log.db, "b")
    assert await second.run_for(0.05) == 0  # the first is not dead yet
    assert await delivered(log) == ["a"]

    async def taken_over() -> bool:
        return await second.run_for(0.05) == 1

    await until(taken_over, "the second takes over when the first's lease is up")
    assert await delivered(log) == ["a", "b"]


async def test_a_holder_that_lost_its_lease_cannot_commit(log: Scope) -> None:
    slow = a_consumer(log)
    await add(log.db, "a")
    batch = await slow._read(10)
    assert await a_consumer(log).drain() == 1
    assert await slow._commit(batch, await slow.handler(batch.events)) is False
    assert await delivered(log) == ["a"]


async def test_a_cancelled_holder_hands_over_at_once(log: Scope) -> None:
    first, second = a_consumer(log, owner=new_id()), a_consumer(log, owner=new_id())
    await add(log.db, "a")
    running = asyncio.create_task(first.run_for(60))

    async def one() -> bool:
        return len(await delivered(log)) == 1

    await until(one, "the first has delivered")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await add(log.db, "b")
    assert await second.run_for(0.2) == 1


async def test_the_doorbell_wakes_a_waiting_consumer(log: Scope) -> None:
    consumer = a_consumer(log)
    running = asyncio.create_task(consumer.run_for(600))

    async def owned() -> bool:
        return bool(await log.db.fetchval("SELECT owner IS NOT NULL FROM event_consumer"))

    await until(owned, "the consumer runs")
    await add(log.db, "a")

    async def rung() -> bool:
        log.doorbell.ring("events")
        return await delivered(log) == ["a"]

    await until(rung, "the event is delivered")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
