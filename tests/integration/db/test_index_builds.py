"""Indexes of big tables: built beside writers, taken up where an upgrade was cut off, partition by partition."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

from sempre.db import migrate
from sempre.db.migrations.indexes import Index, build
from tests.support.database import Database, Postgres

INDEX = Index("flow_run_by_name", "flow_run", "(name)")
PARTITIONED = Index("log_by_level", "log", "(level)")


@pytest.fixture
def empty(postgres: Postgres) -> Database:
    return postgres.create()


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database.url)
    yield opened
    await opened.close()


async def _migration(database: Database, *indexes: Index) -> None:
    """Build the indexes as a revision does."""

    def work(connection: Connection) -> None:
        context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
        with context.begin_transaction(), Operations.context(context):
            build(*indexes)

    engine = create_async_engine("postgresql+asyncpg://", poolclass=pool.NullPool, connect_args={"dsn": database.url})
    async with engine.connect() as opened:
        await opened.run_sync(work)
    await engine.dispose()


async def _is_valid(connection: asyncpg.Connection, name: str) -> bool | None:
    valid: bool | None = await connection.fetchval(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", name
    )
    return valid


async def test_an_index_is_built_once(database: Database, connection: asyncpg.Connection) -> None:
    await _migration(database, INDEX)
    assert await _is_valid(connection, INDEX.name)
    oid = await connection.fetchval("SELECT to_regclass($1)::oid", INDEX.name)
    await _migration(database, INDEX)
    assert await connection.fetchval("SELECT to_regclass($1)::oid", INDEX.name) == oid


async def test_an_index_that_was_left_unfinished_is_built_again(
    database: Database, connection: asyncpg.Connection
) -> None:
    # What a cut-off build leaves: here it cannot end, for there are two rows of one name.
    await connection.execute("CREATE TABLE again (name text); INSERT INTO again VALUES ('x'), ('x')")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("CREATE UNIQUE INDEX CONCURRENTLY again_name ON again (name)")
    assert await _is_valid(connection, "again_name") is False
    await _migration(database, Index("again_name", "again", "(name)"))
    assert await _is_valid(connection, "again_name")


async def test_a_partitioned_table_gets_its_index_in_every_partition(
    database: Database, connection: asyncpg.Connection
) -> None:
    for day in (1, 2):
        await connection.execute(
            f"CREATE TABLE log_2020010{day} PARTITION OF log "
            f"FOR VALUES FROM ('2020-01-0{day}') TO ('2020-01-0{day + 1}')"
        )
    # One that an upgrade got to before it was cut off, attached to nothing yet.
    await connection.execute("CREATE INDEX log_20200102_by_level ON log_20200102 (level)")
    await _migration(database, PARTITIONED)
    assert await _is_valid(connection, PARTITIONED.name)
    parts = await connection.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass($1)", PARTITIONED.name
    )
    assert {row[0] for row in parts} == {"log_20200101_by_level", "log_20200102_by_level", "log_default_by_level"}
    await connection.execute(
        "CREATE TABLE log_20200103 PARTITION OF log FOR VALUES FROM ('2020-01-03') TO ('2020-01-04')"
    )
    assert await _is_valid(connection, PARTITIONED.name)
    await _migration(database, PARTITIONED)


async def test_an_upgrade_that_was_cut_off_goes_on(empty: Database) -> None:
    await migrate.upgrade(empty.url, "0003")
    connection = await asyncpg.connect(empty.url)
    await connection.execute("CREATE INDEX flow_run_by_start ON flow_run (name)")
    await connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'flow_run_by_start'::regclass")
    told: list[str] = []
    await migrate.upgrade(empty.url, tell=told.append)
    assert any("flow_run_by_start was left unfinished" in sentence for sentence in told)
    assert any("task_run_by_end on task_run (13 of 13)" in sentence for sentence in told)
    definition = await connection.fetchval("SELECT pg_get_indexdef('flow_run_by_start'::regclass)")
    await connection.close()
    assert "COALESCE(start_time, expected_start_time)" in definition


async def test_there_and_back(empty: Database) -> None:
    await migrate.upgrade(empty.url)
    await migrate.downgrade(empty.url, "0003")
    connection = await asyncpg.connect(empty.url)
    assert await _is_valid(connection, "flow_run_started")
    assert await _is_valid(connection, "flow_run_by_start") is None
    await connection.close()
    await migrate.upgrade(empty.url)


def test_the_script_of_an_upgrade_builds_concurrently_and_outside_of_transactions() -> None:
    script = migrate.sql_of("0003", "0004")
    before, _, after = script.partition("CREATE INDEX CONCURRENTLY IF NOT EXISTS flow_run_by_expected")
    assert after
    assert before.rstrip().endswith("COMMIT;") or "BEGIN" not in before
