"""Two API servers and two services processes on one Postgres, one of each dying or freezing at any time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.auditor import audit, settled
from tests.chaos.faults.hands import Faults
from tests.chaos.ledger import Ledger
from tests.chaos.load import LIMITED, BackgroundLoad, Shape
from tests.chaos.plan import chaos_seconds, in_full_form, say, seeded
from tests.chaos.queries import LEASES_STILL_THERE
from tests.support.database import Database
from tests.support.servers import Ensemble
from tests.support.wait import eventually

pytestmark = [pytest.mark.chaos, in_full_form]

SECONDS = chaos_seconds(short=25, full=240)
SHAPE = Shape(minutely=50, frequent=6, runners=2, contenders=20, slots=3, takers=8, abandoned=2)
ENVIRONMENT = {
    # Every replica runs every round: nothing but the database keeps them apart.
    "SEMPRE_SERVER_SERVICES_COORDINATION_ENABLED": "false",
    "SEMPRE_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1",
    "SEMPRE_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
    "SEMPRE_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "1",
    "SEMPRE_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "2",
    "SEMPRE_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1",
    "SEMPRE_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "2",
    "SEMPRE_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
}

_MOST_SLOTS = """
SELECT l.name, count(*) AS live, l.slot_limit FROM concurrency_slot s JOIN concurrency_limit l ON l.id = s.limit_id
WHERE s.expires_at IS NULL OR s.expires_at > clock_timestamp() GROUP BY l.id
"""


class Sampler:
    """Looks at the live slots of every limit all the time; `over` is what should never be seen."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.samples = 0
        self.over: list[dict[str, object]] = []

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def _look(self) -> None:
        while not self._stop.wait(0.25):
            self.samples += 1
            self.over += [row for row in self._database.fetch(_MOST_SLOTS) if row["live"] > row["slot_limit"]]


@pytest.fixture
def battered(workdir: Path, database: Database) -> Iterator[Ensemble]:
    group = Ensemble(workdir, database, env=ENVIRONMENT)
    group.start()
    yield group
    group.stop()


def test_nothing_is_lost_and_nothing_happens_twice(battered: Ensemble, database: Database, workdir: Path) -> None:
    draw = seeded("ensemble")
    ledger = Ledger(workdir / "ledger.jsonl")
    load = BackgroundLoad(battered.api_url, ledger, SHAPE, draw).start()
    eventually(lambda: ledger.entries().of_kind("executed"), "the load runs", 60)
    with Sampler(database) as sampler:
        faults = Faults(battered, draw).start()
        end = time.monotonic() + SECONDS
        eventually(lambda: time.monotonic() > end or not load.running(), "the time is over", SECONDS + 10, 0.5)
        faults.finish()
        done = load.finish(120)
    eventually(lambda: settled(database), "the recorder has read the whole log", 30)
    abandoned = ledger.entries().values("abandoned")
    eventually(
        lambda: not database.fetch(LEASES_STILL_THERE, abandoned), "abandoned leases expire and are collected", 60
    )
    report = audit(database, ledger.entries())
    say(f"ensemble: {dict(faults.counts)}; answers {dict(done.api.statuses)}; ledger {ledger.entries().figures()}")
    say(f"ensemble: slots at once {done.slots.most} of {SHAPE.slots}, leases at once {done.leases.most} of 4; {report}")
    strikes = {f"{side} {fault}" for side in ("api", "services") for fault in ("kill -9", "freeze")}
    assert strikes <= faults.counts.keys(), f"not every fault happened: {faults.counts}"
    assert sampler.samples > 10
    assert not sampler.over, "more live slots than the limit"
    assert done.slots.most <= SHAPE.slots, f"runs of {LIMITED} at once"
    assert done.leases.most <= 4
    report.assert_clean()
