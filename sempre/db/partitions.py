"""Day partitions of the fast-growing tables: made ahead of time, dropped when past retention.

Every step is safe with any number of processes at once: a transaction-level advisory lock lets one work, and the
others find nothing left to do. Locks on the tables are waited for briefly, because whoever waits for an exclusive lock
makes everybody behind it wait too; what could not be locked is done in the next round.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sempre.db.pool import Database, Executor

__all__ = ["EVENTS", "LOGS", "PartitionedTable", "create_days", "drop_before", "existing_days"]

_LOCK_TIMEOUT = "1s"
_LOCK_KEY = 5_773_269_180_401_002
# A day with more rows than this in the default partition stays there: moving it would hold the lock for too long.
_MOST_ROWS_MOVED = 20_000
# Nothing but insertions: soon known to be visible to all, so that counts need no look at the rows.
_VACUUM = "WITH (autovacuum_vacuum_insert_scale_factor = 0.05)"


@dataclass(frozen=True, slots=True)
class PartitionedTable:
    """``name`` is partitioned by ranges of ``column``, with a partition ``<name>_default`` for what has no day."""

    name: str
    column: str

    def partition(self, day: date) -> str:
        return f"{self.name}_{day:%Y%m%d}"


EVENTS = PartitionedTable("event", "occurred")
LOGS = PartitionedTable("log", "recorded")


async def existing_days(db: Executor, table: PartitionedTable) -> Mapping[date, str]:
    """The days that have a partition, with its name, ascending."""
    rows = await db.fetch(
        """
        SELECT child.relname AS name FROM pg_inherits
            JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = to_regclass($1)
        """,
        table.name,
    )
    days: dict[date, str] = {}
    for row in rows:
        suffix = row["name"].removeprefix(f"{table.name}_")
        if suffix.isdigit() and len(suffix) == 8:
            days[date(int(suffix[:4]), int(suffix[4:6]), int(suffix[6:]))] = row["name"]
    return dict(sorted(days.items()))


async def create_days(db: Database, table: PartitionedTable, first: date, last: date) -> list[date]:
    """Make the partitions of the days from ``first`` to ``last`` that are missing; returns those made.

    Rows of these days that went to the default partition meanwhile move along. Raises DatabaseUnavailable if a lock was
    not to be had.
    """
    wanted = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    if not set(wanted) - set(await existing_days(db, table)):
        return []
    async with db.transaction() as tx:
        await _exclusively(tx)
        missing = [day for day in wanted if day not in await existing_days(tx, table)]
        if not missing:
            return []
        await tx.execute(f"LOCK TABLE {table.name}_default IN ACCESS EXCLUSIVE MODE")
        crowded = await _crowded_days(tx, table, missing)
        made = [day for day in missing if day not in crowded]
        for day in made:
            await _create(tx, table, day)
    return made


async def drop_before(db: Database, table: PartitionedTable, cutoff: datetime) -> list[date]:
    """Drop the partitions all of whose rows are older than ``cutoff``; returns their days."""
    dropped: list[date] = []
    for day, name in (await existing_days(db, table)).items():
        if _start(day + timedelta(days=1)) > cutoff:
            break
        # One transaction each: dropping locks the whole table for a moment, and fewer at a time is a shorter moment.
        async with db.transaction() as tx:
            await _exclusively(tx)
            await tx.execute(f"DROP TABLE IF EXISTS {name}")
        dropped.append(day)
    return dropped


async def _exclusively(tx: Executor) -> None:
    await tx.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
    await tx.execute("SELECT pg_advisory_xact_lock($1)", _LOCK_KEY)


async def _crowded_days(tx: Executor, table: PartitionedTable, days: Iterable[date]) -> set[date]:
    rows = await tx.fetch(
        f"""
        SELECT ({table.column} AT TIME ZONE 'UTC')::date AS day FROM {table.name}_default
        WHERE ({table.column} AT TIME ZONE 'UTC')::date = ANY($1::date[])
        GROUP BY 1 HAVING count(*) > $2
        """,
        list(days),
        _MOST_ROWS_MOVED,
    )
    return {row["day"] for row in rows}


async def _create(tx: Executor, table: PartitionedTable, day: date) -> None:
    name, start, end = table.partition(day), _start(day), _start(day + timedelta(days=1))
    await tx.execute(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING DEFAULTS INCLUDING CONSTRAINTS) {_VACUUM}")
    await tx.execute(
        f"""
        WITH moved AS (
            DELETE FROM {table.name}_default WHERE {table.column} >= $1 AND {table.column} < $2 RETURNING *
        )
        INSERT INTO {name} SELECT * FROM moved
        """,
        start,
        end,
    )
    await tx.execute(
        f"ALTER TABLE {table.name} ATTACH PARTITION {name} "
        f"FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')"
    )


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
