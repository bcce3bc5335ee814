"""The schema: built once whoever tries, undone, and mirrored by the tables that queries are composed from."""

import asyncio

import asyncpg
import pytest

from sempre.db import migrate, tables
from tests.support.database import Database, Postgres

_TYPES = {
    "UUID": "uuid",
    "TEXT": "text",
    "ARRAY": "ARRAY",
    "TIMESTAMP": "timestamp with time zone",
    "JSONB": "jsonb",
    "BOOLEAN": "boolean",
    "INTEGER": "integer",
    "BIGINTEGER": "bigint",
    "FLOAT": "double precision",
}


@pytest.fixture
def empty(postgres: Postgres) -> Database:
    return postgres.create()


async def _tables(database: Database) -> set[str]:
    connection = await asyncpg.connect(database.url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    return {row["tablename"] for row in rows}


async def test_many_processes_may_migrate_at_once(empty: Database) -> None:
    assert not await migrate.is_current(empty.url)
    await asyncio.gather(*(migrate.upgrade(empty.url) for _ in range(4)))
    assert await migrate.current(empty.url) == migrate.head()
    assert await migrate.is_current(empty.url)


async def test_downgrading_to_the_base_leaves_nothing_and_can_be_undone(empty: Database) -> None:
    await migrate.upgrade(empty.url)
    await migrate.downgrade(empty.url, "base")
    assert await _tables(empty) == {"alembic_version"}
    await migrate.upgrade(empty.url)
    assert {"flow_run", "event", "concurrency_slot"} <= await _tables(empty)


async def test_a_reset_loses_the_data_and_keeps_the_schema(empty: Database) -> None:
    await migrate.upgrade(empty.url)
    connection = await asyncpg.connect(empty.url)
    await connection.execute(
        "INSERT INTO variable (id, workspace_id, name) SELECT gen_random_uuid(), id, 'kept?' FROM workspace"
    )
    await connection.close()
    await migrate.reset(empty.url)
    connection = await asyncpg.connect(empty.url)
    assert await connection.fetchval("SELECT count(*) FROM variable") == 0
    await connection.close()


async def test_a_newer_schema_is_good_enough(empty: Database) -> None:
    await migrate.upgrade(empty.url)
    connection = await asyncpg.connect(empty.url)
    await connection.execute("UPDATE alembic_version SET version_num = 'from-the-future'")
    await connection.close()
    assert await migrate.is_current(empty.url)


async def test_composed_queries_see_the_columns_there_are(database: Database) -> None:
    connection = await asyncpg.connect(database.url)
    rows = await connection.fetch(
        """
        SELECT table_name, column_name, data_type FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name NOT LIKE '%default' AND table_name <> 'alembic_version'
            AND table_name !~ '_\\d{8}$'
        """
    )
    await connection.close()
    there = {(row["table_name"], row["column_name"], row["data_type"]) for row in rows}
    declared = {
        (table.name, column.name, _TYPES[type(column.type).__name__.upper()])
        for table in tables.metadata.tables.values()
        for column in table.columns
    }
    assert declared == there
