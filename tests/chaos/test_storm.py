"""The whole orchestra in a storm: servers, services, workers, Postgres, Redis, pgbouncer and the balancer are killed,
frozen, partitioned, upgraded, while dozens of schedules, runs, automations and subscribers are at work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.ledger import Entries, Ledger
from tests.chaos.loads.control import StormLoad
from tests.chaos.loads.shape import ENVIRONMENT, Shape
from tests.chaos.plan import chaos_seconds, either, say, seed_of
from tests.chaos.probes import Probes
from tests.chaos.stage import Stage
from tests.chaos.storm import Storm, wait_settled
from tests.chaos.storm_audit import audit_storm, leaked_slots
from tests.chaos.storm_report import StormReport

pytestmark = pytest.mark.chaos

SECONDS = chaos_seconds(short=70, full=1800)
# Two cores carry this with room to spare: a system that is always behind would recover from nothing.
SHAPE = Shape(
    minutely=20, frequent=5, queued=1, choosy=1, workers=5, requests=0.3, stream=6.0, delayed=0.5, takers=4, logs=1.0,
    stock_every=int(either(15, 20)),
)  # fmt: skip


def test_nobody_notices(workdir: Path) -> None:
    seed = seed_of("storm")
    with Stage(workdir, workers=2, bouncer=True, env=ENVIRONMENT) as stage:
        load = StormLoad(stage.api_url, workdir / "load", SHAPE, seed)
        try:
            report = _storm(stage, load, seed, workdir)
        finally:
            load.kill()
    assert report.clean(), report.text()


def _storm(stage: Stage, load: StormLoad, seed: int, workdir: Path) -> StormReport:
    load.start()
    probes = Probes(stage, workdir / "probes").start()
    storm = Storm(stage, probes, seed, Ledger(workdir / "faults.jsonl"))
    report = StormReport(stage, storm, probes, seed)
    try:
        storm.rage(SECONDS, alongside=load.alive)
        probes.stop()
        load.settle()
        wait_settled(stage)
        load.finish()
        own = Entries.of(probes.ledger.path, probes.calls.path, workdir / "faults.jsonl")
        entries = Entries([*load.entries(calls=True).lines, *own.lines])
        audit = audit_storm(stage.database, entries)
        audit.add("slot leaked", leaked_slots(stage.api_url))
        report.audited(audit, entries)
    finally:
        say(report.text())
        say(f"report: {report.save(workdir)}")
    return report
