"""A large database, made by set-based SQL: what two busy months leave behind.

Everything is a function of a run's number, so that the same scale gives the same database (times aside, which count
back from now) and tables that name each other's rows can be filled side by side. Indexes of the big tables are
dropped before and built again after.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from benchmarks import large_sql
from sempre.db import partitions
from sempre.db.pool import Database

__all__ = ["BIG_TABLES", "Size", "seed", "size_of"]

BIG_TABLES = ("flow_run", "flow_run_state", "task_run", "task_run_state", "event", "log", "artifact")
_SMALL_TABLES = ("flow", "deployment", "deployment_schedule", "work_pool", "work_queue", "artifact_collection")
DAYS = 60
_BATCHES = 20
_RUNS = 1_000_000  # flow runs at scale 1; all else follows from them

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """Rows of one table, and bytes with its indexes."""

    table: str
    rows: int
    bytes: int
    index_bytes: int


async def seed(url: str, scale: float, say: Say, *, days: int = DAYS) -> float:
    """Fill the migrated, empty database at ``url``; returns the seconds it took. Two connections work at once."""
    began = time.perf_counter()
    runs = max(1000, round(_RUNS * scale))
    await _make_partitions(url, days)
    main, side = [await asyncpg.connect(url, command_timeout=None) for _ in range(2)]
    try:
        for connection in (main, side):
            await connection.execute("SET synchronous_commit = off; SET maintenance_work_mem = '512MB'")
        await main.execute(large_sql.FUNCTIONS)
        await main.execute(large_sql.SMALL_TABLES)
        await main.execute("INSERT INTO seeding.total VALUES ($1, $2)", runs, float(days))
        await main.execute(large_sql.RUNS)
        await main.execute("ANALYZE seeding.run")
        say(f"{runs:,} runs laid out in {time.perf_counter() - began:.0f} s")
        indexes = await _drop_indexes(main)
        batches = [(runs * n // _BATCHES, runs * (n + 1) // _BATCHES) for n in range(_BATCHES)]
        await asyncio.gather(
            _fill(main, ("flow_run", "flow_run_state", "task_run", "task_run_state"), batches, say),
            _fill(side, ("event", "log", "artifact"), batches, say),
        )
        await main.execute(large_sql.COLLECTIONS)
        await _build(indexes, (main, side), say)
        await main.execute("DROP SCHEMA seeding CASCADE")
        await _tidy((main, side), say)
    finally:
        await main.close()
        await side.close()
    return time.perf_counter() - began


async def size_of(connection: asyncpg.Connection) -> list[Size]:
    """The big tables, partitions added up."""
    rows = await connection.fetch(
        """
        SELECT root.relname AS name, sum(greatest(part.reltuples, 0))::bigint AS rows,
            sum(pg_total_relation_size(part.oid))::bigint AS bytes,
            sum(pg_indexes_size(part.oid))::bigint AS index_bytes
        FROM pg_class root CROSS JOIN LATERAL (
            SELECT relid::oid AS oid FROM pg_partition_tree(root.oid) WHERE isleaf
            UNION ALL SELECT root.oid WHERE root.relkind = 'r'
        ) leaf JOIN pg_class part ON part.oid = leaf.oid
        WHERE root.oid = ANY(SELECT to_regclass(name)::oid FROM unnest($1::text[]) name)
        GROUP BY 1 ORDER BY 3 DESC
        """,
        list(BIG_TABLES),
    )
    return [Size(row["name"], row["rows"], row["bytes"], row["index_bytes"]) for row in rows]


async def _make_partitions(url: str, days: int) -> None:
    db = Database(url, size=1)
    await db.open()
    try:
        today = datetime.now(UTC).date()
        for table in (partitions.EVENTS, partitions.LOGS):
            await partitions.create_days(db, table, today - timedelta(days=days), today + timedelta(days=7))
    finally:
        await db.close()


async def _drop_indexes(connection: asyncpg.Connection) -> list[tuple[str, str]]:
    """Drop what is no constraint; returns ``(name, definition)``, the largest tables first."""
    rows = await connection.fetch(
        """
        SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition
        FROM unnest($1::text[]) WITH ORDINALITY AS wanted(name, place)
            JOIN pg_index i ON i.indrelid = to_regclass(wanted.name)
        WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)
        ORDER BY wanted.place DESC
        """,
        list(BIG_TABLES),
    )
    for row in rows:
        await connection.execute(f"DROP INDEX {row['name']}")
    return [(row["name"], row["definition"]) for row in rows]


async def _fill(
    connection: asyncpg.Connection, tables: Sequence[str], batches: Sequence[tuple[int, int]], say: Say
) -> None:
    for table in tables:
        began, rows = time.perf_counter(), 0
        # What a transaction emptied itself is not written to the WAL where that is minimal.
        async with connection.transaction():
            await connection.execute(f"TRUNCATE {table} CASCADE")
            for first, last in batches:
                status = await connection.execute(large_sql.FILL[table], first, last)
                rows += int(status.rpartition(" ")[2])
        say(f"{table}: {rows:,} rows in {time.perf_counter() - began:.0f} s")


async def _build(indexes: list[tuple[str, str]], connections: Sequence[asyncpg.Connection], say: Say) -> None:
    waiting = list(indexes)

    async def work(connection: asyncpg.Connection) -> None:
        while waiting:
            name, definition = waiting.pop(0)
            began = time.perf_counter()
            await connection.execute(definition.replace(" ON ONLY ", " ON "))
            if time.perf_counter() - began > 5:
                say(f"index {name} built in {time.perf_counter() - began:.0f} s")

    await asyncio.gather(*map(work, connections))


async def _tidy(connections: Sequence[asyncpg.Connection], say: Say) -> None:
    """What autovacuum would have done meanwhile: visibility maps and statistics."""
    began = time.perf_counter()
    waiting = list(BIG_TABLES)

    async def work(connection: asyncpg.Connection) -> None:
        while waiting:
            await connection.execute(f"VACUUM (ANALYZE, FREEZE) {waiting.pop(0)}")

    await asyncio.gather(*map(work, connections))
    await connections[0].execute(f"ANALYZE {', '.join(_SMALL_TABLES)}")
    say(f"vacuumed and analysed in {time.perf_counter() - began:.0f} s")
