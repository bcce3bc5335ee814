"""Indexes of big tables, built while everybody goes on writing.

``CREATE INDEX CONCURRENTLY`` runs in no transaction, so a migration that builds several may end half-way: whatever it
left is taken up by the next upgrade. A finished index is kept, an invalid one is dropped and built again. On a
partitioned table it goes partition by partition, and the index counts as built once all of them have it.

The builds themselves wait for old transactions without keeping anybody from the table, so they have no lock timeout.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

import asyncpg
from alembic import op
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from sempre.db.migrations import on_driver, run_script, tell

__all__ = ["Index", "build", "drop"]

# A partition made meanwhile has the index when it is attached; one that was made before but not seen yet is met again.
_ROUNDS = 5
_TELL_SECONDS = 5.0
_LOOK_SECONDS = 0.5

_PROGRESS = """
SELECT p.phase, CASE WHEN p.phase LIKE 'waiting%' THEN p.lockers_done ELSE p.blocks_done + p.tuples_done END AS done,
    CASE WHEN p.phase LIKE 'waiting%' THEN p.lockers_total ELSE p.blocks_total + p.tuples_total END AS total,
    a.pid, a.state, extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds
FROM pg_stat_progress_create_index p LEFT JOIN pg_stat_activity a ON a.pid = nullif(p.current_locker_pid, 0)
WHERE p.datname = current_database() AND p.relid = to_regclass(:table)
"""


@dataclass(frozen=True, slots=True)
class Index:
    """``definition`` is what follows the table's name: USING, columns, INCLUDE, WHERE."""

    name: str
    table: str
    definition: str
    unique: bool = False

    @property
    def create(self) -> str:
        return "CREATE UNIQUE INDEX" if self.unique else "CREATE INDEX"


def build(*indexes: Index) -> None:
    """Build those that are missing or invalid; the caller's transaction is committed before."""
    with op.get_context().autocommit_block():
        for number, index in enumerate(indexes, start=1):
            tell(f"Building index {index.name} on {index.table} ({number} of {len(indexes)}).")
            if _offline():
                _run(f"{index.create} CONCURRENTLY IF NOT EXISTS {index.name} ON {index.table} {index.definition}")
            elif _is_partitioned(index.table):
                _build_in_partitions(index)
            else:
                _build_one(index)


def drop(*names: str) -> None:
    """Drop those that are there, without keeping anybody from the table."""
    with op.get_context().autocommit_block():
        for name in names:
            if not _offline() and _is_partitioned(name):
                # Postgres drops the index of a partitioned table at once or not at all.
                run_script(f"DROP INDEX IF EXISTS {name}")
            else:
                _run(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def _build_one(index: Index) -> None:
    _let_end(index.table)
    valid = _value("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)", name=index.name)
    if valid:
        return
    if valid is False:
        tell(f"Index {index.name} was left unfinished; building it again.")
        _run(f"DROP INDEX CONCURRENTLY {index.name}")
    _run_watched(f"{index.create} CONCURRENTLY {index.name} ON {index.table} {index.definition}", index)


def _let_end(table: str) -> None:
    """Wait for a build that is under way: that of a killed upgrade goes on, for Postgres does not notice until its end
    that nobody waits."""
    told = False
    while _value(_PROGRESS, table=table):
        if not told:
            tell(f"An index of {table} is still being built by somebody else; waiting for its end.")
            told = True
        on_driver(lambda _: asyncio.sleep(_LOOK_SECONDS))


def _build_in_partitions(index: Index) -> None:
    run_script(f"{index.create} IF NOT EXISTS {index.name} ON ONLY {index.table} {index.definition}")
    for _ in range(_ROUNDS):
        for partition in _partitions_without(index):
            part = Index(
                f"{partition}_{index.name.removeprefix(f'{index.table}_')}", partition, index.definition, index.unique
            )
            _build_one(part)
            run_script(f"ALTER INDEX {index.name} ATTACH PARTITION {part.name}")
        if _value("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)", name=index.name):
            return
    raise RuntimeError(f"index {index.name}: new partitions of {index.table} keep coming without it; upgrade again")


def _partitions_without(index: Index) -> list[str]:
    rows = op.get_bind().execute(
        text(
            """
            SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
            WHERE inhparent = to_regclass(:table) AND NOT EXISTS (
                SELECT FROM pg_inherits part JOIN pg_index i ON i.indexrelid = part.inhrelid
                WHERE part.inhparent = to_regclass(:name) AND i.indrelid = child.oid
            )
            ORDER BY child.relname
            """
        ),
        {"table": index.table, "name": index.name},
    )
    return [row[0] for row in rows]


def _is_partitioned(name: str) -> bool:
    kind = _value("SELECT relkind::text FROM pg_class WHERE oid = to_regclass(:name)", name=name)
    return kind in ("p", "I")


def _value(sql: str, **parameters: Any) -> Any:
    return op.get_bind().execute(text(sql), parameters).scalar()


def _run(sql: str) -> None:
    if _offline():
        op.execute(sql)
        return
    on_driver(lambda connection: connection.execute(sql))


def _run_watched(sql: str, index: Index) -> None:
    async def run(connection: asyncpg.Connection) -> None:
        watching = asyncio.ensure_future(_watch(index))
        try:
            await connection.execute(sql)
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, asyncpg.PostgresError, SQLAlchemyError):
                await watching

    on_driver(run)


async def _watch(index: Index) -> None:
    """Tell every few seconds how far the build is, over a connection that holds no snapshot: builds wait for those."""
    config = op.get_context().config
    connect = config.attributes.get("connect") if config else None
    if connect is None:
        return
    await asyncio.sleep(_TELL_SECONDS)
    async with connect() as opened:
        watcher = await opened.execution_options(isolation_level="AUTOCOMMIT")
        while True:
            row = (await watcher.execute(text(_PROGRESS), {"table": index.table})).first()
            if row is not None:
                share = f", {100 * row.done // row.total} %" if row.total else ""
                for_whom = f" (pid {row.pid}, {row.state}, {row.seconds:.0f} s old)" if row.pid else ""
                tell(f"Index {index.name}: {row.phase}{share}{for_whom}.")
            await asyncio.sleep(_TELL_SECONDS)


def _offline() -> bool:
    return bool(op.get_context().as_sql)
