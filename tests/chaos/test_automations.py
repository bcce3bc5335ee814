"""Automations under load, while the process that evaluates them is killed again and again: what fired is what the
oracle reads from the log, and every firing had its effect once."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.chaos.plan import either, say, seeded
from tests.support.database import Database
from tests.support.servers import Ensemble
from tests.support.trigger_oracle import Oracle
from tests.support.wait import eventually

pytestmark = pytest.mark.chaos

SECONDS = either(8, 60)
PER_SECOND = either(200, 500)
_BATCH = 20
_ENVIRONMENT = {
    "SEMPRE_SERVER_EVENTS_PROACTIVE_GRANULARITY_SECONDS": "1",
    # Runs are made by automations only, and nobody executes them.
    "SEMPRE_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
}
_SETTLE_SECONDS = 90.0

Json = dict[str, Any]

_BEHIND = """
SELECT shard FROM event_consumer
WHERE name = 'triggers' AND position < (SELECT max(seq) FROM event WHERE event LIKE 'load.%')
"""
_OWED = "SELECT id FROM automation_action WHERE status IN ('ready', 'running')"
_LOG = """
SELECT id, event, resource, related, floor(extract(epoch FROM occurred) * 1000000)::bigint AS occurred
FROM event WHERE event LIKE 'load.%' ORDER BY seq
"""
_FIRED = "SELECT id, firing, fired_at FROM automation_firing WHERE automation_id = $1 ORDER BY fired_at"
_RUNS = "SELECT idempotency_key FROM flow_run WHERE idempotency_key LIKE 'automation %'"
_TOLD = "SELECT count(*) AS told FROM event WHERE event = $1"


def _leaf(name: str, **fields: Any) -> Json:
    return {"type": "event", "posture": "Reactive", "expect": [name], "threshold": 1, "within": 0, **fields}


_EACH = {"for_each": ["prefect.resource.id"]}
_AUTOMATIONS: dict[str, Json] = {
    "every tenth": _leaf("load.a", threshold=10),
    "every fifth of each": _leaf("load.a", threshold=5, **_EACH),
    "within a second": _leaf("load.b", threshold=4, within=1, **_EACH),
    "opened": _leaf("load.c", after=["load.b"], within=0.5, match={"prefect.resource.id": "thing.[12]"}, **_EACH),
    "in order": {
        "type": "sequence",
        "within": None,
        "triggers": [_leaf("load.a", threshold=7), _leaf("load.b", threshold=5), _leaf("load.c", threshold=3)],
    },
    "two of three": {
        "type": "compound",
        "within": None,
        "require": 2,
        "triggers": [_leaf(f"load.{name}", threshold=30) for name in "abc"],
    },
}
_UNFINISHED = _leaf("load.done", posture="Proactive", after=["load.begun"], within=10, **_EACH)


class Load:
    """A client that sends its events in order, each batch until it is accepted."""

    def __init__(self, url: str, draw: random.Random) -> None:
        self._url = url
        self._draw = draw
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._over = time.monotonic() + SECONDS
        self.sent = 0
        self.unfinished: set[str] = set()
        self.failure: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def running(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> None:
        self._thread.join(SECONDS + 60)
        assert self.failure is None, self.failure
        assert not self.running()

    def _run(self) -> None:
        try:
            begun = [f"job.{number}" for number in range(40)]
            self.unfinished = set(begun[::4])
            self._send([_event("load.begun", job) for job in begun])
            self._send([_event("load.done", job) for job in begun if job not in self.unfinished])
            for number in itertools.count(1):
                if time.monotonic() > self._over:
                    return
                due = time.monotonic() + _BATCH / PER_SECOND
                self._send([self._any() for _ in range(_BATCH)])
                if number % 50 == 0:
                    self._send([_event("load.a", "thing.1")] * 2)
                time.sleep(max(0.0, due - time.monotonic()))
        except BaseException as failure:
            self.failure = failure

    def _any(self) -> Json:
        return _event(f"load.{self._draw.choice('aabbc')}", f"thing.{self._draw.randrange(8)}")

    def _send(self, events: list[Json]) -> None:
        post(f"{self._url}/events", events)
        self.sent += len({event["id"] for event in events})


def _event(name: str, resource: str) -> Json:
    return {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": name,
        "resource": {"prefect.resource.id": resource},
        "payload": {"text": "x" * 100},
    }


def post(url: str, body: object) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


@pytest.fixture
def evaluated(workdir: Path, database: Database) -> Iterator[Ensemble]:
    group = Ensemble(workdir, database, servers=1, env=_ENVIRONMENT)
    group.start()
    yield group
    group.stop()


def _automate(url: str) -> dict[str, Json]:
    flow = post(f"{url}/flows/", {"name": "a flow"})
    deployment = post(f"{url}/deployments/", {"name": "a deployment", "flow_id": flow["id"]})
    action = {"type": "run-deployment", "source": "selected", "deployment_id": deployment["id"]}
    return {
        name: post(f"{url}/automations/", {"name": name, "trigger": trigger, "actions": [action]})
        for name, trigger in {**_AUTOMATIONS, "unfinished": _UNFINISHED}.items()
    }


def test_killed_while_it_evaluates(evaluated: Ensemble) -> None:
    draw = seeded("automations")
    database, url = evaluated.database, evaluated.api_url
    eventually(lambda: len(database.fetch("SELECT FROM event_consumer WHERE name = 'triggers'")) == 4, "shards", 30)
    automations = _automate(url)
    load = Load(url, draw)
    load.start()
    kills = 0
    while load.running():
        due = time.monotonic() + draw.uniform(0.5, 3)
        eventually(lambda due=due: time.monotonic() > due or not load.running(), "a moment")  # type: ignore[misc]
        victim = draw.choice(evaluated.services)
        victim.kill()
        kills += 1
        victim.start()
    load.join()
    count = "SELECT FROM automation_firing WHERE automation_id = $1"
    unfinished = UUID(automations["unfinished"]["id"])
    eventually(lambda: not database.fetch(_BEHIND), "everything is evaluated", _SETTLE_SECONDS)
    expected = len(load.unfinished)
    eventually(lambda: len(database.fetch(count, unfinished)) >= expected, "what did not come was noticed", 60)
    eventually(lambda: not database.fetch(_OWED), "every action is done", _SETTLE_SECONDS)
    fired = check(database, automations, load)
    say(f"automations: {load.sent} events, {kills} kills, fired {fired}")


def check(database: Database, automations: dict[str, Json], load: Load) -> dict[str, int]:
    """What fired is what the oracle says, and each firing had one run and one finished action."""
    log = database.fetch(_LOG)
    assert len(log) == load.sent
    figures: dict[str, int] = {}
    for name, automation in automations.items():
        firings = [_parsed(row["firing"]) for row in database.fetch(_FIRED, UUID(automation["id"]))]
        figures[name] = len(firings)
        if name == "unfinished":
            keys = Counter(firing["triggering_labels"]["prefect.resource.id"] for firing in firings)
            assert keys == Counter(load.unfinished)
            continue
        oracle = Oracle(automation["trigger"])
        for event in log:
            resource = {**event, "id": str(event["id"]), "resource": _parsed(event["resource"]), "related": []}
            oracle.see(resource, event["occurred"])
        said = [(firing["triggering_event"]["id"], firing["triggering_labels"]) for firing in firings]
        assert said == [(firing["event"], firing["labels"]) for firing in oracle.fired], name
        assert firings, f"{name} never fired: the load does not test it"
    total = sum(figures.values())
    runs = [row["idempotency_key"] for row in database.fetch(_RUNS)]
    assert len(set(runs)) == len(runs) == total, "one run for each firing"
    statuses = Counter(row["status"] for row in database.fetch("SELECT status FROM automation_action"))
    assert statuses == Counter({"done": total})
    for said_of in ("prefect.automation.triggered", "prefect.automation.action.executed"):
        (told,) = database.fetch(_TOLD, said_of)
        assert told["told"] == total, said_of
    return figures


def _parsed(document: Any) -> Any:
    return json.loads(document) if isinstance(document, str) else document
