"""Reads the database and what was acknowledged, and says where they disagree.

Every check is one statement that returns offences; a system that kept its promises returns none. The database checks
need nothing but the database; the ledger checks compare it with lines of these kinds:

`created` id; `moved` id, state; `finished` id, type; `executed` id; `event` id; `log` message; `task` id;
`schedule` id, seconds (a fixed period); `returned` id (of a lease given back).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from tests.chaos import queries
from tests.chaos.ledger import Entries
from tests.support.database import Database

_SHOWN = 5


@dataclass(frozen=True)
class Offence:
    """A promise that was broken: which one, how often, and some of the evidence."""

    check: str
    count: int
    evidence: list[dict[str, Any]]

    def __str__(self) -> str:
        return "\n".join([f"{self.check}: {self.count}", *(f"    {row}" for row in self.evidence)])


@dataclass
class Report:
    """`figures`: how much was looked at; `checks`: every promise that was checked, kept or not."""

    figures: dict[str, int] = field(default_factory=dict)
    checks: set[str] = field(default_factory=set)
    offences: list[Offence] = field(default_factory=list)

    @property
    def broken(self) -> set[str]:
        return {offence.check for offence in self.offences}

    def add(self, check: str, rows: Sequence[dict[str, Any]]) -> None:
        self.checks.add(check)
        if rows:
            self.offences.append(Offence(check, len(rows), list(rows[:_SHOWN])))

    def __str__(self) -> str:
        looked = ", ".join(f"{name} {count}" for name, count in self.figures.items())
        return "\n".join([f"audited: {looked}; offences: {len(self.offences)}", *map(str, self.offences)])

    def assert_clean(self) -> None:
        assert not self.offences, str(self)


def audit(
    database: Database,
    entries: Entries,
    *,
    exact_versions: bool = True,
    checks: Mapping[str, str] = queries.ALWAYS,
) -> Report:
    """Check everything. The system must be at rest: call `settled` first.

    `exact_versions`: nothing but transitions wrote to runs, so that their versions count them. `checks`: what the
    database is asked whatever the ledger says.
    """
    return asyncio.run(_audit(database, entries, exact_versions, checks))


def settled(database: Database) -> bool:
    """Whether every consumer has read the log to its end and left no hole behind."""
    return not database.fetch(queries.CONSUMERS_BEHIND)


async def _audit(database: Database, entries: Entries, exact_versions: bool, checks: Mapping[str, str]) -> Report:
    connection = await asyncpg.connect(database.url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await examine(connection, entries, exact_versions=exact_versions, checks=checks)
    finally:
        await connection.close()


async def examine(
    connection: Any, entries: Entries, *, exact_versions: bool = True, checks: Mapping[str, str] = queries.ALWAYS
) -> Report:
    """The same on an open connection, in the caller's transaction."""
    report = Report()
    report.figures.update(dict(await connection.fetch(queries.FIGURES)))
    for check, sql in checks.items():
        report.add(check, _rows(await connection.fetch(sql)))
    if exact_versions:
        report.add("version does not count the states", _rows(await connection.fetch(queries.VERSIONS)))
    await _compare(connection, entries, report)
    await _schedules(connection, entries, report)
    return report


def _rows(records: list[Any]) -> list[dict[str, Any]]:
    return [dict(record) for record in records]


async def _compare(connection: Any, entries: Entries, report: Report) -> None:
    """What was acknowledged is there, and is what it was."""

    async def check(name: str, sql: str, *arguments: object) -> None:
        report.add(name, _rows(await connection.fetch(sql, *arguments)))

    await check("run lost", queries.RUNS_LOST, entries.values("created"))
    moved, finished = entries.of_kind("moved"), entries.of_kind("finished")
    await check(
        "acknowledged transition lost",
        queries.TRANSITIONS_LOST,
        [line["id"] for line in moved],
        [line["state"] for line in moved],
    )
    await check(
        "run did not stay finished",
        queries.NOT_AS_FINISHED,
        [line["id"] for line in finished],
        [line["type"] for line in finished],
    )
    executed = entries.values("executed")
    twice = [{"run": run, "executions": count} for run, count in Counter(executed).items() if count > 1]
    report.add("run executed twice", twice)
    await check("run entered Running twice", queries.RAN_TWICE, executed)
    await check("acknowledged event lost or doubled", queries.EVENTS_LOST, entries.values("event"))
    await check("acknowledged log lost", queries.LOGS_LOST, entries.values("log", "message"))
    await check("task run lost", queries.TASK_RUNS_LOST, entries.values("task"))
    await check("returned lease still there", queries.LEASES_STILL_THERE, entries.values("returned"))


async def _schedules(connection: Any, entries: Entries, report: Report) -> None:
    """Every slot of every schedule, from its first to the last one planned, has exactly one run."""
    offences: list[dict[str, Any]] = []
    now: datetime = await connection.fetchval("SELECT now()")
    past = 0
    for line in entries.of_kind("schedule"):
        rows = await connection.fetch(queries.SLOTS_OF_SCHEDULE, line["id"])
        offences += _wrong_slots(line["id"], [row["slot"] for row in rows], timedelta(seconds=line["seconds"]), now)
        past += sum(row["slot"] <= now for row in rows)
    report.figures["schedule slots passed"] = past
    report.add("schedule slot without exactly one run", offences)


def _wrong_slots(schedule: str, slots: list[datetime], period: timedelta, now: datetime) -> list[dict[str, Any]]:
    if not slots or slots[-1] < now:
        return [{"schedule": schedule, "planned until": slots[-1] if slots else None}]
    expected = [slots[0] + period * number for number in range(round((slots[-1] - slots[0]) / period) + 1)]
    runs = Counter(slots)
    return [
        {"schedule": schedule, "slot": slot, "runs": runs[slot]}
        for slot in sorted({*expected, *slots})
        if runs[slot] != 1 or slot not in expected
    ]
