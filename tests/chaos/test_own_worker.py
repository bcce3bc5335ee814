"""Our own workers while they, the processes of their runs and the API are killed, alone and all at once: every run is
executed by one process at a time and ends as it should, and nothing whose result was kept is executed again."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import storm_queries, troupe_checks
from tests.chaos.auditor import Report, audit
from tests.chaos.ledger import Entries
from tests.chaos.plan import SHORT, either, say, seed_of
from tests.chaos.troupe import SCHEDULED, SERVERS, Process, Troupe
from tests.support.database import Database
from tests.support.servers import Ensemble
from tests.support.wait import WaitTimeout, eventually

pytestmark = pytest.mark.chaos

OUTAGE = either(20, 300)
HANDS = int(either(1, 3))
"""How often each kind of kill is dealt before the outage."""
SETTLE_SECONDS = either(240, 600)
NAMES = ("first", "second")
_LEFT = """
SELECT id::text, state_type, state_name FROM flow_run
WHERE state_type NOT IN ('COMPLETED', 'FAILED', 'CANCELLED') AND parent_task_run_id IS NULL
    AND expected_start_time < to_timestamp($1::float8)
"""
_DUE = """
SELECT id::text FROM flow_run WHERE auto_scheduled AND expected_start_time < to_timestamp($1::float8)
"""
_STATE = "SELECT state_type, state_name FROM flow_run WHERE id = $1::text::uuid"


class Play:
    """Kills by a seed. `struck`: how often what was killed."""

    def __init__(self, troupe: Troupe, draw: random.Random) -> None:
        self.troupe = troupe
        self.struck: Counter[str] = Counter()
        self._draw = draw
        self._kinds: dict[str, Callable[[], None]] = {
            "worker": self._worker, "process": self._process, "worker and processes": self._machine,
            "parent": self._parent, "awaiting its retry": self._awaiting, "one API": self._one_api,
        }  # fmt: skip
        moments = ["claimed", "starting", "started"]  # integration tests have each of them
        for moment in [draw.choice(moments)] if SHORT else moments:
            self._kinds[moment] = partial(self._fail_at, moment)

    # --- acts ------------------------------------------------------------------------------------------

    def scattered(self) -> None:
        """Every kind of kill, in a drawn order, while the API is there."""
        for _ in range(HANDS):
            kinds = list(self._kinds)
            self._draw.shuffle(kinds)
            for kind in kinds:
                self._ask(self._draw.randint(1, 3))
                self.pause(self._draw.uniform(0.2, either(1.0, 4.0)))
                self._strike(kind)
                self.troupe.retry_crashed()

    def outage(self) -> None:
        """No API for a while, long runs in their middle; workers and processes die meanwhile."""
        names = ("mapped", "mapped", "mapped", "mapped", "retrying", "failing")
        long = [self.troupe.ask(name, int(0.7 * OUTAGE), 0.5) for name in names]
        eventually(lambda: self._begun(long), "the long runs have begun", 120, detail=self.troupe.tails)
        self._ask(3)
        began = time.monotonic()
        for server in self.troupe.ensemble.servers:
            server.kill()
        # What is killed now stays dead until the API is back: most live on under workers that die.
        kinds = ["worker"] * HANDS + ["worker", "process", "worker and processes", "parent"]
        self._draw.shuffle(kinds)
        moments = sorted(self._draw.uniform(0.05, 0.9) * OUTAGE for _ in kinds)
        for kind, moment in zip(kinds, moments, strict=True):
            self.pause(began + moment - time.monotonic())
            self._strike(kind)
        self.pause(began + OUTAGE - time.monotonic())
        self._api_back()

    def everything_at_once(self) -> None:
        troupe = self.troupe
        self._ask(4)
        troupe.retry_crashed()
        eventually(troupe.processes, "something runs", 120, detail=troupe.tails)
        self.pause(self._draw.uniform(0.5, 2.0))
        print(f"[chaos] {time.strftime('%H:%M:%S')} killed: everything", flush=True)
        self.struck["everything"] += 1
        for server in troupe.ensemble.servers:
            server.kill()
        for services in troupe.ensemble.services:
            services.kill()
        troupe.kill_machine(*NAMES)
        order: list[Callable[[], None]] = [self._api_back, self._services_back]
        order += [lambda name=name: self._back(name) for name in NAMES]  # type: ignore[misc]
        self._draw.shuffle(order)
        for act in order:
            self.pause(self._draw.uniform(0.0, either(1.0, 10.0)))
            act()

    def settle(self) -> float:
        """Until everything that was to run before now has ended; returns when that was, in epoch seconds."""
        for name in NAMES:
            self.troupe.serving(name)
        whole = time.time()

        def rest() -> bool:
            self.troupe.retry_crashed()
            left = self.troupe.database.fetch(_LEFT, whole)
            assert not left, f"{len(left)} runs are left, {left[:5]}"
            return True

        eventually(rest, "every run ends", SETTLE_SECONDS, 0.5, detail=self.troupe.tails)
        return whole

    # --- kinds of kills --------------------------------------------------------------------------------

    def _strike(self, kind: str) -> None:
        print(f"[chaos] {time.strftime('%H:%M:%S')} killed: {kind}", flush=True)
        self.struck[kind] += 1
        self._kinds[kind]()

    def _worker(self) -> None:
        name = self._draw.choice(NAMES)
        self.troupe.kill_worker(name)
        self.pause(self._draw.uniform(0.0, either(2.0, 25.0)))  # the server gives it up after 15
        self._back(name)

    def _process(self) -> None:
        running = self.troupe.processes()
        if running:
            self.troupe.kill_process(self._draw.choice(running))

    def _machine(self) -> None:
        name = self._draw.choice(NAMES)
        self.troupe.kill_machine(name)
        self.pause(self._draw.uniform(0.0, either(2.0, 25.0)))
        self._back(name)

    def _parent(self) -> None:
        """Nobody knows then how its children end; one of them is killed too."""
        name = self._draw.choice(NAMES)
        running = self.troupe.processes(name)
        self.troupe.kill_parents(name)
        if running:
            self.troupe.kill_process(self._draw.choice(running))

    def _fail_at(self, moment: str) -> None:
        """A worker dies with its next run, between its claim and what comes after."""
        name = self._draw.choice(NAMES)
        self.troupe.kill_worker(name)
        failing = self.troupe.start_failing(name, moment)

        def dead() -> bool:
            if failing.running():
                self.troupe.ask("mapped", 1)
            return not failing.running()

        eventually(dead, f"the worker dies when a run is {moment}", 120, 1.0, detail=failing.tail)
        self.troupe.ledger.write("killed worker", name=name)
        self._back(name)

    def _awaiting(self) -> None:
        """A process that waits for the next attempt of its run."""
        asked = [self.troupe.ask("retrying", 2)]

        def waits() -> Process | None:
            (run,) = self.troupe.database.fetch(_STATE, asked[-1])
            if run["state_type"] in ("COMPLETED", "CRASHED"):  # it went by unseen
                asked.append(self.troupe.ask("retrying", 2))
            if run["state_name"] != "AwaitingRetry":
                return None
            return next((process for process in self.troupe.processes() if process.run == asked[-1]), None)

        self.troupe.kill_process(eventually(waits, "a run awaits its retry", 120, 0.1, detail=self.troupe.tails))

    def _one_api(self) -> None:
        server = self._draw.choice(self.troupe.ensemble.servers)
        server.kill()
        server.start()

    # --- helpers ---------------------------------------------------------------------------------------

    def _ask(self, count: int) -> None:
        for _ in range(count):
            name = self._draw.choice(("mapped", "mapped", "retrying", "failing"))
            self.troupe.ask(name, self._draw.randint(2, int(either(4, 12))), self._draw.uniform(0.05, 0.5))

    def _begun(self, runs: list[str]) -> bool:
        return set(runs) <= {line["run"] for line in self.troupe.entries().of_kind("begin")}

    def _back(self, name: str) -> None:
        self.troupe.start(name, wait=False)

    def _api_back(self) -> None:
        for server in self.troupe.ensemble.servers:
            server.start()

    def _services_back(self) -> None:
        for services in self.troupe.ensemble.services:
            services.start()

    def pause(self, seconds: float) -> None:
        due = time.monotonic() + max(0.0, seconds)
        eventually(lambda: time.monotonic() >= due, "a drawn moment", max(0.0, seconds) + 5, 0.02)


@pytest.fixture
def troupe(database: Database, workdir: Path) -> Iterator[Troupe]:
    ensemble = Ensemble(workdir, database, servers=2, services=1, env=SERVERS)
    ensemble.start()
    made = Troupe(ensemble, database, workdir)
    try:
        made.prepare()
        yield made
    finally:
        made.clear()
        ensemble.stop()


def test_nothing_is_lost_or_done_twice(troupe: Troupe) -> None:
    seed = seed_of("own worker")
    play = Play(troupe, random.Random(f"own worker {seed}"))
    for name in NAMES:
        troupe.start(name)
    play.scattered()
    play.outage()
    play.everything_at_once()
    whole = play.settle()
    troupe.stop()
    eventually(lambda: not troupe.orphans(), "no process is left", 60, detail=troupe.orphans)
    check(troupe, whole, play)


def check(troupe: Troupe, whole: float, play: Play) -> None:
    database, entries = troupe.database, troupe.entries()
    eventually(lambda: not database.fetch(storm_queries.CONSUMERS_FAR_BEHIND), "the log is read", 60)
    with contextlib.suppress(WaitTimeout):  # the report will say so
        eventually(lambda: not database.fetch(troupe_checks.TASK_RUNS_LEFT), "the server ends what was left", 60)
    known = Entries(troupe_checks.acknowledged(entries))
    report = audit(database, known, exact_versions=False, checks=troupe_checks.ALWAYS)
    due = {row["id"] for row in database.fetch(_DUE, whole)}
    compare(report, entries, database.fetch(troupe_checks.STATES), due)
    report.add("claim noted though it is over", [{"path": str(path)} for path in troupe.claims_noted()])
    figures = f"{dict(play.struck)}; outage of {OUTAGE:g} s; {len(due)} slots of {SCHEDULED}"
    say(f"own workers: killed: {figures}; {entries.figures()}; {report}")
    report.assert_clean()


def compare(report: Report, entries: Entries, runs: list[dict[str, Any]], due: set[str]) -> None:
    """The checks of the ledger and of the histories of runs."""
    report.add("run in another state than its own", troupe_checks.not_as_it_should_be(entries, runs, due))
    report.add("run crashed though its process was not killed", troupe_checks.crashed_unharmed(entries, runs))
    report.add("run begun without leave", troupe_checks.begun_without_leave(entries, runs))
    for name, look in troupe_checks.CHECKS.items():
        report.add(name, look(entries))
