"""What is wrong with a database, and the cures that need nobody's judgement.

Everything here runs beside the servers: looking takes no locks that anybody would notice, and cures are those of
upgrades, which see to that themselves.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import Any, Literal

from sempre.db import migrate, partitions
from sempre.db.expected import indexes_of
from sempre.db.migrations.indexes import Index
from sempre.db.pool import Database

__all__ = ["Finding", "examine", "fix"]

_BLOATED = 0.2
_MANY_DEAD_ROWS = 10_000
_LONG_TRANSACTION = timedelta(minutes=10)
# A concurrent REINDEX that was cut off leaves these beside the index it was for.
_LEFTOVER = r"_cc(new|old)\d*$"

_INVALID = """
SELECT c.relname AS name, t.relname AS tab, c.relname ~ $1 AS leftover,
    EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.relid = i.indrelid) AS building
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
    AND NOT (i.indisvalid AND i.indisready AND i.indislive)
ORDER BY c.relname
"""
_PRESENT = """
SELECT c.relname AS name FROM pg_class c
WHERE c.relkind IN ('i', 'I') AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
"""
_BLOAT = """
SELECT relname AS name, n_dead_tup AS dead, n_live_tup AS live, greatest(last_vacuum, last_autovacuum) AS vacuumed
FROM pg_stat_user_tables WHERE schemaname = current_schema() AND n_dead_tup > $1 AND n_dead_tup > $2 * n_live_tup
ORDER BY n_dead_tup DESC
"""
_OLD_TRANSACTIONS = """
SELECT pid, coalesce(nullif(application_name, ''), 'unknown') AS name, state,
    extract(epoch FROM now() - xact_start)::bigint AS seconds
FROM pg_stat_activity WHERE datname = current_database() AND xact_start < now() - $1::interval
ORDER BY xact_start
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """``broken``: something is slower or fails until it is cured; ``notice``: somebody should look at it.

    ``cure`` says what `fix` does about it, ``None`` where that takes a person; ``fixed``: it was done.
    """

    check: Literal["version", "index", "partition", "dead letters", "bloat", "transaction"]
    subject: str
    state: Literal["broken", "notice"]
    detail: str
    cure: str | None = None
    fixed: bool = False


async def examine(db: Database, *, options: migrate.Options, days_ahead: int) -> list[Finding]:
    """All there is to say, the worst first.

    ``options`` are those that migrations connect with, ``days_ahead`` the days for which partitions are made ahead.
    """
    standing = await migrate.look(db.dsn, options=options)
    if standing.revision is None:
        return [Finding("version", "schema", "broken", "The database is empty.", "build the schema")]
    found = [finding async for finding in _version(standing)]
    if not standing.is_foreign:
        # Of a schema newer than this release nobody can tell which indexes it replaced.
        expected = indexes_of(standing.revision) if migrate.knows(standing.revision) else {}
        found += [finding async for finding in _indexes(db, expected)]
        found += [finding async for finding in _partitions(db, days_ahead)]
        found += [finding async for finding in _dead_letters(db)]
        found += [finding async for finding in _hints(db)]
    return sorted(found, key=lambda finding: finding.state != "broken")


async def fix(
    db: Database, findings: Sequence[Finding], *, options: migrate.Options, days_ahead: int, tell: migrate.Tell
) -> list[Finding]:
    """Cure what has a cure, then look again: what was cured as ``fixed``, and what is left."""
    curable = [finding for finding in findings if finding.cure]
    if any(finding.check == "version" for finding in curable):
        await migrate.upgrade(db.dsn, options=options, tell=tell)
    names = [finding.subject for finding in curable if finding.check == "index"]
    standing = await migrate.look(db.dsn, options=options)
    if names and standing.revision is not None and migrate.knows(standing.revision):
        expected = indexes_of(standing.revision)
        wanted = [expected[name] for name in names if name in expected]
        await migrate.rebuild(
            db.dsn, wanted, drop=[name for name in names if name not in expected], options=options, tell=tell
        )
    # A schema that was just built has none of either.
    if any(finding.check in ("version", "partition") for finding in curable):
        await _make_partitions(db, days_ahead)
    after = await examine(db, options=options, days_ahead=days_ahead)
    left = {(finding.check, finding.subject) for finding in after}
    done = [replace(finding, fixed=True) for finding in curable if (finding.check, finding.subject) not in left]
    return done + after


async def _version(standing: migrate.Standing) -> AsyncIterator[Finding]:
    if standing.is_foreign:
        detail = f"Revision {standing.revision} is another application's; this is not a database of Sempre."
        yield Finding("version", "schema", "broken", detail)
    elif not standing.is_enough or standing.unfinished:
        detail = f"The schema is at {standing.revision}, this release needs {migrate.head()}."
        yield Finding("version", "schema", "broken", detail, "upgrade")
    elif standing.revision != migrate.head():
        detail = f"The schema is at {standing.revision}, newer than this release, which knows {migrate.head()}."
        yield Finding("version", "schema", "notice", detail)


async def _indexes(db: Database, expected: Mapping[str, Index]) -> AsyncIterator[Finding]:
    for row in await db.fetch(_INVALID, _LEFTOVER):
        name, table = row["name"], row["tab"]
        if row["building"]:
            yield Finding("index", name, "notice", f"On {table}, being built right now or waiting for its turn.")
        elif name in expected:
            yield Finding("index", name, "broken", f"On {table}, left unfinished: nothing uses it.", "build it again")
        elif row["leftover"]:
            yield Finding(
                "index", name, "broken", f"On {table}, left behind by a REINDEX: written, not used.", "drop it"
            )
        else:
            yield Finding("index", name, "broken", f"On {table}, invalid, and not one of Sempre's own: REINDEX it.")
    present = {row["name"] for row in await db.fetch(_PRESENT)}
    for name, index in expected.items():
        if name not in present:
            yield Finding("index", name, "broken", f"On {index.table}, missing.", "build it")


async def _partitions(db: Database, days_ahead: int) -> AsyncIterator[Finding]:
    today = await _today(db)
    for table in (partitions.EVENTS, partitions.LOGS):
        there = await partitions.existing_days(db, table)
        wanted = [today + timedelta(days=number) for number in range(days_ahead + 1)]
        missing = [day for day in wanted if day not in there]
        if today in missing or (missing and len(missing) >= days_ahead):
            detail = f"{len(missing)} of the {len(wanted)} days from today on have no partition."
            yield Finding("partition", table.name, "broken", detail, "make them")
        stray = await db.fetchval(f"SELECT count(*) FROM (SELECT FROM {table.name}_default LIMIT 100000) x")
        if stray >= 100_000:
            detail = "100,000 rows or more are in the default partition: it is never dropped as a whole."
            yield Finding("partition", f"{table.name}_default", "notice", detail)


async def _make_partitions(db: Database, days_ahead: int) -> None:
    today = await _today(db)
    for table in (partitions.EVENTS, partitions.LOGS):
        await partitions.create_days(db, table, today - timedelta(days=1), today + timedelta(days=days_ahead))


async def _today(db: Database) -> Any:
    return (await db.fetchval("SELECT now()")).astimezone(UTC).date()


async def _dead_letters(db: Database) -> AsyncIterator[Finding]:
    rows = await db.fetch(
        "SELECT consumer, count(*) AS count, max(recorded) AS newest FROM event_dead_letter GROUP BY 1 ORDER BY 1"
    )
    for row in rows:
        detail = f"{row['count']} events could not be used, the last one at {row['newest']:%Y-%m-%d %H:%M} UTC."
        yield Finding("dead letters", row["consumer"], "notice", detail)


async def _hints(db: Database) -> AsyncIterator[Finding]:
    for row in await db.fetch(_BLOAT, _MANY_DEAD_ROWS, _BLOATED):
        vacuumed = f"vacuumed last at {row['vacuumed']:%Y-%m-%d %H:%M}" if row["vacuumed"] else "never vacuumed"
        share = 100 * row["dead"] // max(1, row["dead"] + row["live"])
        yield Finding("bloat", row["name"], "notice", f"{row['dead']:,} dead rows, {share} % of it; {vacuumed}.")
    for row in await db.fetch(_OLD_TRANSACTIONS, _LONG_TRANSACTION):
        detail = f"{row['name']}, {row['state']} for {row['seconds']} s: dead rows are kept as long."
        yield Finding("transaction", f"pid {row['pid']}", "notice", detail)
