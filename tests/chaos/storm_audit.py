"""The auditor of the storm: the ledgers of `loads` against the database, check by check.

`unsettled` says what it has to wait for; `audit_storm` gives a Report (auditor.py) whose offences name the promise and
list ids; `leaked_slots` looks for leaks as a client sees them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from tests.chaos import queries, storm_checks, storm_queries
from tests.chaos.auditor import Report
from tests.chaos.ledger import Entries
from tests.chaos.loads.shape import LEASE_SECONDS, SILENCE_SECONDS, TAKEN
from tests.chaos.loads.world import LEASES, STREAM
from tests.support.database import Database
from tests.support.wait import WaitTimeout, eventually

DUE_SECONDS = 8.0
"""How old a due run may be when the storm is over and workers are free."""
_REST_SECONDS = 30.0
_FIRST_SLOT_SECONDS = 20.0
# What fences are for, which the previous release does not know: check -> the column of the run.
_FENCED = {"illegal transition": "flow_run_id", "run did not stay finished": "id"}


def unsettled(database: Database) -> dict[str, int]:
    """What is not at rest yet: kind -> how many. Workers must still be at work; nothing new becomes due any more."""
    found = {
        "consumers behind": len(database.fetch(storm_queries.CONSUMERS_FAR_BEHIND)),
        "runs due": len(database.fetch(storm_queries.STUCK_DUE, time.time() - DUE_SECONDS)),
        "runs in flight": len(database.fetch(storm_queries.IN_FLIGHT)),
        "actions owed": len(database.fetch(storm_queries.OWED)),
        "background tasks": len(database.fetch(storm_queries.TASKS_QUEUED)),
        "leases": len(database.fetch(storm_queries.LEASES_LEFT)),
    }
    return {name: count for name, count in found.items() if count}


def audit_storm(database: Database, entries: Entries) -> Report:
    """Everything. The load has ended; waits for the consumers to read what it left."""
    with contextlib.suppress(WaitTimeout):  # the report will say so
        eventually(
            lambda: not database.fetch(storm_queries.CONSUMERS_FAR_BEHIND), "the log is read", _REST_SECONDS, 1.0
        )
    return asyncio.run(_audit(database, entries))


async def _audit(database: Database, entries: Entries) -> Report:
    connection = await asyncpg.connect(database.url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await examine(connection, entries)
    finally:
        await connection.close()


async def examine(connection: Any, entries: Entries) -> Report:
    """The same on an open connection, in the caller's transaction."""
    audit = _Audit(connection, entries, Report())
    await audit.figures()
    await audit.look()
    for name, sql in storm_queries.ALWAYS.items():
        await audit.ask(name, sql)
    await audit.acknowledged()
    await audit.stuck()
    await audit.executions()
    await audit.schedules()
    await audit.automations()
    await audit.feeds()
    audit.clients()
    return audit.report


class _Audit:
    def __init__(self, connection: Any, entries: Entries, report: Report) -> None:
        self._connection = connection
        self._entries = entries
        self._states: list[dict[str, Any]] = []
        self._unfenced: set[str] = set()
        self.report = report

    async def rows(self, sql: str, *arguments: object) -> list[dict[str, Any]]:
        return [dict(record) for record in await self._connection.fetch(sql, *arguments)]

    async def ask(self, name: str, sql: str, *arguments: object) -> None:
        rows = await self.rows(sql, *arguments)
        if column := _FENCED.get(name):
            rows = [row for row in rows if str(row[column]) not in self._unfenced]
        self.report.add(name, rows)

    async def look(self) -> None:
        self._states = await self.rows(storm_queries.STATES)
        self._unfenced = storm_checks.unfenced(self._entries, self._states)
        self.report.figures["runs the previous release did not fence"] = len(self._unfenced)

    async def figures(self) -> None:
        for sql in (queries.FIGURES, storm_queries.FIGURES):
            self.report.figures.update({str(name): int(count) for name, count in await self._connection.fetch(sql)})
        for kind in ("begin", "died", "froze", "cancel", "hook", "seen", "given", "taken", "refused_upgrade"):
            self.report.figures[f"ledger {kind}"] = len(self._entries.of_kind(kind))

    async def acknowledged(self) -> None:
        """What was acknowledged is there, and is what it was."""
        entries = self._entries
        await self.ask("run lost", queries.RUNS_LOST, entries.values("created") + entries.values("prey"))
        moved, finished = entries.of_kind("moved"), entries.of_kind("finished")
        await self.ask("acknowledged transition lost", queries.TRANSITIONS_LOST,
                       [line["id"] for line in moved], [line["state"] for line in moved])  # fmt: skip
        await self.ask("run did not stay finished", queries.NOT_AS_FINISHED,
                       [line["id"] for line in finished], [line["type"] for line in finished])  # fmt: skip
        events = entries.values("event") + entries.values("stream")
        await self.ask("acknowledged event lost or doubled", queries.EVENTS_LOST, events)
        await self.ask("acknowledged log lost", queries.LOGS_LOST, entries.values("log", "message"))
        await self.ask("task run lost", queries.TASK_RUNS_LOST, entries.values("task"))
        await self.ask("returned lease still there", queries.LEASES_STILL_THERE, entries.values("returned"))
        await self.ask("run not recalled exactly once", storm_queries.PREY, entries.values("prey"))
        done = [line["id"] for line in entries.of_kind("lasted")]
        await self.ask("background task not completed", storm_queries.TASKS_NOT_COMPLETED, done)

    async def stuck(self) -> None:
        ended = self.phase("stopping")
        await self.ask("run stuck before its start", storm_queries.STUCK_DUE, ended - DUE_SECONDS)
        self.report.add("background task lost", storm_checks.tasks_lost(self._entries))
        self.report.add("background task given twice", storm_checks.tasks_given_twice(self._entries))

    async def executions(self) -> None:
        entries, states = self._entries, self._states
        add = self.report.add
        add("run executed twice", storm_checks.executed_twice(entries, states))
        add("stock run executed twice", storm_checks.stock_executed_twice(entries, states))
        add("run in two hands at once", storm_checks.overlapping(entries))
        add("run completed by nobody", storm_checks.never_executed(entries, states))
        add("run crashed though it was heard", storm_checks.false_alarms(entries, states, SILENCE_SECONDS))
        add("claim taken back early", storm_checks.taken_back_early(entries, states))
        limits = {
            line["deployment"]: 2 + int(line["name"].rpartition("-")[2])
            for line in entries.of_kind("schedule")
            if line["name"].startswith(("queued", "choosy"))
        }
        add("deployment beyond its limit", storm_checks.crowded(entries, states, limits))
        add("more leases held than slots", storm_checks.too_many_leases(entries))

    async def schedules(self) -> None:
        offences: list[dict[str, Any]] = []
        ended = self.phase("stopping") - DUE_SECONDS
        pausing = {line["deployment"]: float(line["at"]) for line in self._entries.of_kind("pausing")}
        passed = 0
        for schedule in self._entries.of_kind("schedule"):
            rows = await self.rows(storm_queries.SLOTS, schedule["id"])
            now = pausing.get(schedule["deployment"], ended)
            slots = [(row["slot"].timestamp(), row["runs"]) for row in rows]
            passed += sum(slot <= now for slot, _ in slots)
            offences += storm_checks.wrong_slots(schedule, slots, now, _FIRST_SLOT_SECONDS)
        self.report.figures["schedule slots passed"] = passed
        self.report.add("schedule slot without exactly one run", offences)

    async def automations(self) -> None:
        entries, add = self._entries, self.report.add
        log = await self.rows(storm_queries.STREAM_LOG)
        actions, runs = await self.rows(storm_queries.ACTIONS), await self.rows(storm_queries.ACTION_RUNS)
        wrong: list[dict[str, Any]] = []
        runners, callers = set[str](), set[str]()
        for automation in entries.of_kind("automation"):
            firings = await self.rows(storm_queries.FIRINGS, UUID(automation["id"]))
            name = automation["name"]
            self.report.figures[f"fired {name}"] = len(firings)
            if name in STREAM:
                wrong += storm_checks.wrong_firings(automation, log, firings)
            elif name == "unfinished":
                wrong += storm_checks.wrong_alarms(entries, firings)
            else:
                wrong += storm_checks.wrong_calls(automation, log, firings)
            if name in {*STREAM, "unfinished"}:
                runners.add(automation["id"])
            elif name.startswith("call"):
                callers.add(automation["id"])
        add("automation firing lost or doubled", wrong)
        add("webhook lost or of no action", storm_checks.wrong_hooks(entries, actions, callers))
        add("action without exactly one run", storm_checks.wrong_runs(actions, runs, runners))
        self.report.figures["webhooks repeated under their key"] = len(storm_checks.called_twice(entries))

    async def feeds(self) -> None:
        events = await self.rows(storm_queries.SEEABLE)
        missed, excused = storm_checks.gaps(self._entries, events, self.phase("stopping"))
        self.report.figures["events stored too late for subscribers"] = excused
        self.report.add("subscriber missed an event", missed)

    def clients(self) -> None:
        """What the protocol's client would not have survived."""
        kinds: dict[str, str] = {
            "request gave up": "gave_up",
            "answer that is not retried": "wrong",
            "websocket closed for good": "clean_close",
        }
        for name, kind in kinds.items():
            self.report.add(name, self._entries.of_kind(kind))
        refused, unheard = storm_checks.refusals(self._entries)
        self.report.add("websocket refused", refused)
        self.report.figures["websockets refused while no server was up"] = unheard
        calls = self._entries.of_kind("call")
        if calls:
            self.report.figures["calls"] = len(calls)
            self.report.figures["calls retried"] = sum(line["attempts"] > 1 for line in calls)
            self.report.figures["slowest call, ms"] = int(1000 * max(line["seconds"] for line in calls))

    def phase(self, name: str) -> float:
        """When it began; now if it did not."""
        found = [line["at"] for line in self._entries.of_kind("phase") if line["name"] == name]
        return float(min(found)) if found else time.time()


def leaked_slots(api_url: str) -> list[dict[str, Any]]:
    """By behaviour: whoever wants every slot of the idle limit gets each of them, and not one more."""
    with httpx.Client(base_url=api_url, timeout=20) as http:
        wanted = {"slots": 1, "names": [LEASES], "mode": "concurrency", "lease_duration": LEASE_SECONDS}
        answers = [http.post("/v2/concurrency_limits/increment-with-lease", json=wanted) for _ in range(TAKEN + 1)]
        for answer in answers:
            if answer.is_success:
                http.post("/v2/concurrency_limits/decrement-with-lease", json={"lease_id": answer.json()["lease_id"]})
    statuses = [answer.status_code for answer in answers]
    return [] if statuses == [200] * TAKEN + [423] else [{"slots": TAKEN, "answers": statuses}]
