"""Single faults with promises about them: what must not even be late."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.auditor import audit, settled
from tests.chaos.ledger import Entries, Ledger
from tests.chaos.load import BackgroundLoad, Shape
from tests.chaos.loads import shape as storm_shape
from tests.chaos.loads.control import StormLoad
from tests.chaos.members import FLOWS
from tests.chaos.plan import either, in_full_form, say, seed_of, seeded
from tests.chaos.probes import Probes
from tests.chaos.stage import Stage
from tests.chaos.storm import wait_settled
from tests.chaos.storm_audit import audit_storm
from tests.support.prefect_env import PrefectClient
from tests.support.wait import eventually

pytestmark = pytest.mark.chaos

REDIS_AWAY = either(15, 60)
POSTGRES_AWAY = 10.0
PROCESSES, FLOWS_EACH = (2, 4) if either(1, 0) else (4, 5)
KILLS = int(either(2, 6))
REPLICA_SECONDS = either(25, 300)
REPLICA_DEPLOYMENTS = int(either(60, 500))
CALM = storm_shape.Shape(minutely=6, frequent=6, workers=3, mishaps=0.0, stream=10.0, subscribers=1, logs=1.0)


@pytest.fixture(scope="module")
def stage(workdir: Path) -> Iterator[Stage]:
    with Stage(workdir / "stage", standby=False, env=storm_shape.ENVIRONMENT) as group:
        yield group


def wait(seconds: float) -> None:
    """The time itself is what is tested: it cannot be waited for in any other way."""
    end = time.monotonic() + seconds
    eventually(lambda: time.monotonic() >= end, "time passes", seconds + 5)


def test_redis_away_and_empty(stage: Stage, workdir: Path) -> None:
    """Under load: no request fails, schedules are late by less than 5 s, automations by less than 10 s."""
    assert stage.redis
    load = StormLoad(stage.api_url, workdir / "redis-load", CALM, seed_of("redis away"))
    probes = Probes(stage, workdir / "redis-probes")
    try:
        load.start()
        probes.start()
        moments = {"calm": time.time()}
        wait(5)
        moments["away"] = time.time()
        stage.redis.kill()
        wait(REDIS_AWAY)
        stage.redis.wipe_disk()
        moments["empty"] = time.time()
        stage.redis.start()
        wait(10)
        moments["end"] = time.time()
        probes.stop()
        load.settle()
        wait_settled(stage)
        load.finish()
    finally:
        load.kill()
    calls = load.entries(calls=True)
    report = audit_storm(stage.database, Entries([*calls.lines, *Entries.of(probes.ledger.path).lines]))
    figures = {}
    for phase, until in zip(("calm", "away", "empty"), ("away", "empty", "end"), strict=True):
        late = {name: round(probes.latest(name, moments[phase], moments[until]), 2) for name in probes.late}
        figures[phase] = late
    answered = [line for line in calls.of_kind("call") if line["at"] > moments["away"]]
    # The load itself loses an answer now and then, and asks again.
    troubled = [line for line in answered if line["bad"].keys() - {"lost"}]
    acknowledged = [line for line in calls.of_kind("event") if moments["away"] < line["at"] < moments["empty"]]
    say(f"redis {REDIS_AWAY:g} s away: late {figures}; {len(answered)} requests, slowest "
        f"{max(line['seconds'] for line in answered):.2f} s, {len(acknowledged)} events; {report}")  # fmt: skip
    assert not probes.refused, probes.refused[:5]
    assert not troubled, troubled[:5]
    assert not calls.of_kind("wrong") + calls.of_kind("gave_up")
    assert max(figures[phase]["schedules"] for phase in figures) < 5
    assert max(figures[phase]["automations"] for phase in figures) < 10
    assert len(acknowledged) > REDIS_AWAY, "events were taken in all the time"
    report.assert_clean()


def test_services_killed(stage: Stage, workdir: Path) -> None:
    """kill -9 of one of two service processes: the next interval of every service runs within 10 s."""
    draw = seeded("services killed")
    probes = Probes(stage, workdir / "services-probes").start()
    worst: dict[str, float] = {}
    for number in range(KILLS):
        victim = stage.services[number % 2]
        wait(draw.uniform(0.5, 3))
        killed = time.time()
        victim.kill()
        names = [f"round of {name}" for name in probes.intervals]
        longest = max(probes.intervals.values()) + 10
        eventually(
            lambda: all(probes.alive(name, killed) for name in [*names, "automations"]),  # noqa: B023
            "every service ran again",
            longest,
        )
        for name, interval in probes.intervals.items():
            beats = [began for began, _ in probes.pulses[f"round of {name}"].beats]
            last = max((beat for beat in beats if beat <= killed), default=killed)
            late = next(beat for beat in beats if beat > killed) - (last + interval)
            worst[name] = round(max(worst.get(name, 0.0), late), 2)
        victim.start()
        eventually(victim.ready, "it is back", 30)
    probes.stop()
    say(f"services killed {KILLS} times: next rounds late by at most {worst} s")
    assert max(worst.values()) < 10


@in_full_form
def test_postgres_restarts_under_real_flows(stage: Stage, workdir: Path) -> None:
    """Postgres is away for 10 s while flows of the real client run: all complete."""
    client = PrefectClient(stage.api_url, workdir / "flows", FLOWS)
    path = workdir / "many.jsonl"
    ledger = Ledger(path)
    steps = 30
    flows = [client.start_script("many.py", str(path), str(FLOWS_EACH), str(steps)) for _ in range(PROCESSES)]
    count = PROCESSES * FLOWS_EACH
    eventually(lambda: len(ledger.entries().of_kind("executed")) == count, "all flows run", 120)
    stage.postgres.primary.stop()
    wait(POSTGRES_AWAY)
    stage.postgres.restart()
    began = time.monotonic()
    for flow in flows:
        assert flow.wait(180) == 0, flow.tail(80)
    entries = ledger.entries()
    say(f"postgres away {POSTGRES_AWAY:g} s: {count} real flows, over after {time.monotonic() - began:.0f} s")
    assert [line["value"] for line in entries.of_kind("result")] == [sum(range(steps))] * count
    assert len(entries.of_kind("body")) == count * steps, "each task's body ran exactly once"
    runs = stage.database.fetch(
        "SELECT state_type, count(*) AS runs FROM flow_run WHERE id = ANY($1::text[]::uuid[]) GROUP BY 1",
        entries.values("executed"),
    )
    assert runs == [{"state_type": "COMPLETED", "runs": count}]


@in_full_form
def test_three_replicas_without_coordination(workdir: Path) -> None:
    """Exactly one run for each slot of hundreds of schedules, though every replica plans all of them at once."""
    env = {
        "SEMPRE_SERVER_SERVICES_COORDINATION_ENABLED": "false",
        "SEMPRE_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1",
        # Plans reach just beyond the present, so that all replicas add to them all the time.
        "SEMPRE_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME_SECONDS": "90",
        "SEMPRE_SERVER_SERVICES_SCHEDULER_MIN_RUNS": "2",
    }
    shape = Shape(lifecycles=0, minutely=REPLICA_DEPLOYMENTS, frequent=3, runners=1)
    with Stage(workdir / "three", apis=1, services=3, redis=False, standby=False, env=env) as stage:
        ledger = Ledger(workdir / "three.jsonl")
        load = BackgroundLoad(stage.api_url, ledger, shape, seeded("three replicas"), timeout=20).start()
        expected = REPLICA_DEPLOYMENTS + 3
        eventually(lambda: len(ledger.entries().of_kind("schedule")) == expected, "all are deployed", 120)
        wait(REPLICA_SECONDS)
        load.finish(120)
        eventually(lambda: settled(stage.database), "the consumers have read the whole log", 30)
        rounds = stage.database.fetch("SELECT count(*) AS runs FROM flow_run WHERE auto_scheduled")[0]["runs"]
        report = audit(stage.database, ledger.entries())
    say(f"three replicas uncoordinated: {REPLICA_DEPLOYMENTS} minutely schedules, {rounds} runs planned; {report}")
    report.assert_clean()
