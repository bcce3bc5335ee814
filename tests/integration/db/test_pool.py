"""The pool: what fails for now is told apart from what is wrong, and it recovers by itself."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from sempre.db import pool as pools
from sempre.db.errors import DatabaseUnavailable
from tests.support.database import Database


@pytest.fixture
async def db(database: Database) -> AsyncIterator[pools.Database]:
    opened = pools.Database(database.url, size=2, statement_timeout=5, acquire_timeout=0.3)
    await opened.open()
    yield opened
    await opened.close()


async def test_documents_and_ids_travel_both_ways(db: pools.Database) -> None:
    id = await db.fetchval("SELECT gen_random_uuid()")
    assert await db.fetchval("SELECT $1::jsonb", {"id": id, "list": (1, 2)}) == {"id": str(id), "list": [1, 2]}
    assert await db.fetchval("SELECT 'null'::jsonb IS NULL") is False


async def test_a_database_that_is_not_there_is_unavailable() -> None:
    away = pools.Database("postgresql://nobody@127.0.0.1:1/none", connect_timeout=1)
    await away.open()
    with pytest.raises(DatabaseUnavailable):
        await away.fetchval("SELECT 1")
    await away.close()


async def test_reads_survive_the_loss_of_every_connection(db: pools.Database, database: Database) -> None:
    await asyncio.gather(*(db.fetchval("SELECT pg_sleep(0.05)") for _ in range(2)))
    killer = await asyncpg.connect(database.url)
    await killer.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await killer.close()
    assert await db.fetchval("SELECT 1") == 1


async def test_waiting_for_a_connection_is_bounded(db: pools.Database) -> None:
    async with db.transaction(), db.transaction():
        with pytest.raises(DatabaseUnavailable):
            await db.fetchval("SELECT 1")
    assert await db.fetchval("SELECT 1") == 1


async def test_a_statement_that_takes_too_long_is_unavailable(database: Database) -> None:
    hasty = pools.Database(database.url, statement_timeout=0.1)
    await hasty.open()
    with pytest.raises(DatabaseUnavailable):
        await hasty.fetchval("SELECT pg_sleep(5)")
    await hasty.close()


async def test_wrong_statements_and_values_stay_what_they_are(db: pools.Database) -> None:
    with pytest.raises(asyncpg.DataError):
        await db.fetchval("SELECT $1::text", "a\0b")
    with pytest.raises(asyncpg.UniqueViolationError):
        await db.execute("INSERT INTO workspace SELECT * FROM workspace")


async def test_a_transaction_is_all_or_nothing(db: pools.Database) -> None:
    async def half_way() -> None:
        async with db.transaction() as transaction:
            await transaction.execute("INSERT INTO service (name) VALUES ('half-way')")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await half_way()
    assert await db.fetchval("SELECT count(*) FROM service WHERE name = 'half-way'") == 0
