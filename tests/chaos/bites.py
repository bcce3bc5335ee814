"""Every fault bites: with one defence switched off a short storm of kills and freezes is found out by the auditor.

`python -m tests.chaos.bites [NAME...]` runs them all, or those named, and prints the table; test_bites.py asserts it.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.auditor import Report
from tests.chaos.defences import MARK
from tests.chaos.faults.hands import Faults
from tests.chaos.loads.control import StormLoad
from tests.chaos.loads.shape import ENVIRONMENT, Shape
from tests.chaos.storm_audit import audit_storm, unsettled
from tests.support.database import Database, Postgres
from tests.support.prefect_env import ROOT
from tests.support.servers import Ensemble, run_sempre

_NONE = Shape(
    minutely=0, frequent=0, queued=0, choosy=0, workers=0, requests=0, scripts=0, stream=0, emitters=0, subscribers=0,
    delayed=0, task_workers=0, takers=0, logs=0,
)  # fmt: skip
_SETTLE_SECONDS = 25.0


def _only(**parts: float) -> Shape:
    return Shape(**{**_NONE.__dict__, **parts})


_RUNS = _only(frequent=8, workers=4, requests=1.0, scripts=1, mishaps=3.0)


@dataclass(frozen=True)
class Bite:
    """`expected`: checks of which at least one must find it. `faults`: API and services are killed and frozen."""

    defence: str
    expected: frozenset[str]
    shape: Shape
    seconds: float = 40.0
    faults: bool = True
    env: dict[str, str] = field(default_factory=dict)
    settle: float = _SETTLE_SECONDS


def _bite(defence: str, *expected: str, **options: object) -> Bite:
    return Bite(defence, frozenset(expected), **options)  # type: ignore[arg-type]


_ABANDONED = "SEMPRE_SERVER_SERVICES_ABANDONED_RUNS_"
_LEFT = "run left in flight"

CONTROL = _bite("nothing", shape=Shape(workers=4, minutely=4, mishaps=3.0), seconds=60.0, settle=90.0)
"""The same storm with every defence on: the auditor must find nothing."""

BITES = (
    _bite(
        "the fence of log consumers",
        "automation firing lost or doubled",
        "event doubled",
        "firing without its actions",
        "firing without exactly one event",
        "dead letter",
        shape=_only(stream=40, emitters=1),
    ),
    _bite(
        "compare-and-set of transitions",
        "illegal transition",
        "run executed twice",
        "event tells another past",
        shape=_only(frequent=8, workers=8, requests=2.0, mishaps=0.0),
        faults=False,
    ),
    _bite(
        "the unique key of schedule slots",
        "schedule slot without exactly one run",
        shape=_only(frequent=2, workers=1, requests=0.2),
        seconds=15.0,
        faults=False,
        settle=5.0,
    ),
    _bite(
        "claims of background tasks",
        "background task given twice",
        shape=_only(delayed=6.0, task_workers=4, workers=1, requests=0.2),
        faults=False,
        seconds=15.0,
    ),
    _bite(
        "claims and keys of actions",
        "action without exactly one run",
        "firing without exactly one event",
        shape=_only(stream=40, workers=2),
        faults=False,
        seconds=25.0,
    ),
    _bite(
        "doorbell and polling",
        "consumer behind",
        "task run lost",
        "automation firing lost or doubled",
        shape=_only(stream=10, workers=2, frequent=2),
        faults=False,
        seconds=15.0,
        settle=10.0,
        env={
            "SEMPRE_SERVER_SERVICES_TRIGGERS_LOOP_SECONDS": "3600",
            "SEMPRE_SERVER_SERVICES_TASK_RUN_RECORDER_LOOP_SECONDS": "3600",
        },
    ),
    _bite(
        "renewal of leases",
        "more leases held than slots",
        shape=_only(takers=8, mishaps=8.0, workers=1, requests=0.2),
        faults=False,
        seconds=130.0,
        settle=5.0,
    ),
    _bite("taking back claims", _LEFT, shape=_RUNS, env={f"{_ABANDONED}ENABLED": "false"}),
    _bite("crashing silent runs", _LEFT, shape=_RUNS, env={"SEMPRE_SERVER_SERVICES_HEARTBEATS_ENABLED": "false"}),
    _bite(
        "collecting expired leases",
        "expired lease not collected",
        shape=_only(takers=8, mishaps=8.0, workers=1, requests=0.2),
        seconds=60.0,
        settle=30.0,
        env={"SEMPRE_SERVER_SERVICES_REPOSSESSOR_ENABLED": "false"},
        faults=False,
    ),
    _bite(
        "events in the transaction of the change",
        "state without exactly one event",
        shape=_RUNS,
        seconds=15.0,
        faults=False,
        settle=5.0,
    ),
    _bite(
        "fencing off who lost its claim",
        "illegal transition",
        "run in two hands at once",
        "run executed twice",
        shape=_only(frequent=8, workers=6, requests=3.0, mishaps=8.0),
        seconds=90.0,
        faults=False,
    ),
    _bite(
        "recognising a repeated proposal",
        "illegal transition",
        "run executed twice",
        shape=_only(frequent=8, workers=4, requests=2.0, scripts=2, mishaps=0.0, lost=0.1),
        seconds=25.0,
        faults=False,
    ),
    _bite(
        "confirmation after durability",
        "acknowledged event lost or doubled",
        shape=_only(stream=20, emitters=3, workers=1, requests=0.2),
    ),
)


def run(bite: Bite, workdir: Path, database: Database, seed: int = 1) -> Report:
    """The report on a short storm with the defence off. AssertionError if the defence was in use all the same."""
    sites = f"{ROOT / 'tests' / 'chaos' / 'bitten'}:{ROOT}"
    env = {**ENVIRONMENT, **bite.env, "PYTHONPATH": sites, "CHAOS_DEFENCE_OFF": bite.defence}
    ensemble = Ensemble(workdir, database, env=env)
    load = None
    try:
        ensemble.start()
        load = StormLoad(ensemble.api_url, workdir / "load", bite.shape, seed, timeout=10.0).start()
        faults = Faults(ensemble, random.Random(seed)).start() if bite.faults else None
        _wait(load, time.monotonic() + bite.seconds)
        if faults:
            faults.finish()
        load.settle()
        deadline = time.monotonic() + bite.settle
        while time.monotonic() < deadline and unsettled(database):
            time.sleep(1.0)
        load.finish(120)
        report = audit_storm(database, load.entries(calls=True))
    finally:
        if load:
            load.kill()
        ensemble.stop()
    (workdir / "report.txt").write_text(str(report))
    logs = "".join(log.read_text(errors="replace") for log in workdir.glob("*.log"))
    assert f"{MARK} {bite.defence}" in logs, f"{bite.defence}: it was not switched off"
    return report


def _wait(load: StormLoad, until: float) -> None:
    while time.monotonic() < until:
        load.alive()
        time.sleep(0.5)


def main(names: Sequence[str]) -> None:
    postgres = Postgres()

    def migrate(database: Database) -> None:
        run_sempre("server", "database", "upgrade", "-y", home=Path(tempfile.mkdtemp()), database=database)

    try:
        for bite in (CONTROL, *BITES):
            if names and not any(name in bite.defence for name in names):
                continue
            database = postgres.create_from("bites", migrate)
            workdir = Path(tempfile.mkdtemp(prefix="bite-"))
            began = time.monotonic()
            try:
                report = run(bite, workdir, database)
                found = {offence.check: offence.count for offence in report.offences}
                as_it_should = report.broken & bite.expected if bite.expected else not report.offences
                verdict = ("bites" if bite.expected else "clean") if as_it_should else "NOT AS EXPECTED"
            except (AssertionError, RuntimeError) as error:
                verdict, found = "FAILED", {str(error)[-300:]: 1}
            seconds = time.monotonic() - began
            print(f"{bite.defence:<42} {verdict:<15} {seconds:5.0f} s {found} {workdir}", flush=True)
            postgres.drop(database)
    finally:
        postgres.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
