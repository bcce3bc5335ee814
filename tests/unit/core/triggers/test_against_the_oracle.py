"""Random automations and events: the engine fires as the oracle does, which was written from the spec alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from sempre.core.triggers.evaluation import BucketKey, ChildKey, Evaluation
from sempre.core.triggers.model import Automation, Bucket, Event, Firing
from sempre.server.triggers.definitions import defined
from tests.support.trigger_oracle import SECOND, Oracle
from tests.support.trigger_plans import Document, steps, triggers

_START = datetime(2026, 5, 4, 12, tzinfo=UTC)
_BUFFER = 60 * SECOND


def _at(micro: int) -> datetime:
    return _START + timedelta(microseconds=micro)


def _automation(trigger: Document) -> Automation:
    row: dict[str, Any] = {"id": UUID(int=1), "workspace_id": UUID(int=2), "updated": _START, "trigger": trigger}
    return defined(row).automation


class _Machine:
    """The engine's pure part. What it has counted is written down and read back at the end of every evaluation."""

    def __init__(self, automation: Automation) -> None:
        self.automation = automation
        self.buckets: dict[BucketKey, Bucket] = {}
        self.children: dict[ChildKey, Firing] = {}
        self.last_firing: datetime | None = None
        self.fired: list[Firing] = []
        self._ids = count(1)
        self._open = self._begin()

    def see(self, step: Document) -> None:
        occurred = _at(step["occurred"])
        seen = Event(
            step["number"],
            UUID(step["id"]),
            step["event"],
            occurred,
            _at(step["wall"]),
            step["resource"],
            step["related"],
        )
        for trigger in self.automation.event_triggers:
            if trigger.concerns(seen):
                self._open.observe(self.automation, trigger, seen, _at(step["wall"]))

    def tick(self, due: list[str], wall: int, as_of: int) -> None:
        for trigger in self.automation.event_triggers:
            if str(trigger.id) in due:
                self._open.watch(self.automation, trigger, _at(as_of), _at(wall))

    def commit(self) -> None:
        for _, place, bucket in self._open.changed_buckets():
            self.buckets.pop(place, None)
            if bucket is not None:
                self.buckets[place] = bucket
        for _, child, firing in self._open.changed_children():
            self.children.pop(child, None)
            if firing is not None:
                self.children[child] = firing
        self.fired += [reaction.firing for reaction in self._open.reactions]
        self.last_firing = self._open.last_firing
        self._open = self._begin()

    def sweep(self, before: int) -> None:
        watched = {trigger.id for trigger in self.automation.event_triggers if trigger.proactive}
        self.buckets = {
            place: bucket
            for place, bucket in self.buckets.items()
            if bucket.end > _at(before) or place.trigger_id in watched
        }
        self._open = self._begin()

    def _begin(self) -> Evaluation:
        return Evaluation(lambda: UUID(int=next(self._ids)), dict(self.buckets), dict(self.children), self.last_firing)


def _told(firing: Firing, numbers: dict[int, str]) -> Document:
    return {
        "trigger": str(firing.trigger_id),
        "time": round((firing.triggered - _START) / timedelta(microseconds=1)),
        "labels": dict(firing.labels),
        "event": firing.event and numbers[firing.event.number],
        "firings": [_told(child, numbers) for child in firing.firings],
    }


@settings(max_examples=600, deadline=None)
@given(trigger=triggers(), plan=steps(), together=st.integers(1, 5))
def test_the_engine_fires_as_the_oracle_does(trigger: Document, plan: list[Document], together: int) -> None:
    """``together``: how many steps are evaluated before what was counted is written down."""
    oracle, machine = Oracle(trigger), _Machine(_automation(trigger))
    for number, step in enumerate(plan):
        wall = step["wall"]
        if step["kind"] == "event":
            oracle.see(step, wall)
            machine.see(step)
        elif step["kind"] == "tick":
            as_of = wall - step["behind"] * SECOND
            machine.tick(oracle.due(wall), wall, as_of)
            oracle.tick(wall, as_of)
        else:
            machine.commit()
            machine.sweep(wall - _BUFFER)
            oracle.sweep(wall - _BUFFER)
        if number % together == 0:
            machine.commit()
    machine.commit()
    ids = {step["number"]: step["id"] for step in plan if step["kind"] == "event"}
    assert [_told(firing, ids) for firing in machine.fired] == oracle.fired
    note(f"{trigger['type']} fired: {bool(oracle.fired)}")


def test_the_oracle_knows_the_worked_examples() -> None:
    """Two of the timelines of section 12, so that the oracle itself is held to something."""
    reactive = _leaf(expect=["x"], for_each=["prefect.resource.id"], threshold=3, within=60)
    oracle = Oracle(reactive)
    for seconds in (0, 10, 20, 30, 40, 50, 70, 80, 125, 130, 140):
        _see(oracle, seconds, "x")
    assert [firing["time"] // SECOND for firing in oracle.fired] == [20, 140]
    stuck = _leaf(
        posture="Proactive",
        after=["run.Pending"],
        expect=["run.*"],
        for_each=["prefect.resource.id"],
        within=300,
    )
    oracle = Oracle(stuck)
    plan = [(62, "A", "Pending"), (65, "B", "Pending"), (66, "B", "Running"), (100, "C", "Pending")]
    plan += [(101, "C", "Running"), (102, "C", "Pending")]
    oracle.tick(0, 0)
    for seconds, run, state in plan:
        _see(oracle, seconds, f"run.{state}", run)
    for seconds in range(5, 600, 5):
        oracle.tick(seconds * SECOND, seconds * SECOND)
    assert [(firing["time"] // SECOND, firing["event"]) for firing in oracle.fired] == [(365, "62"), (405, "102")]


def _leaf(**fields: Any) -> Document:
    plain = {"id": "t", "type": "event", "posture": "Reactive", "match": {}, "match_related": {}, "after": []}
    return {**plain, "expect": [], "for_each": [], "threshold": 1, "within": 0, **fields}


def _see(oracle: Oracle, seconds: int, name: str, resource: str = "R1") -> None:
    event = {"id": str(seconds), "event": name, "occurred": seconds * SECOND, "related": []}
    oracle.see({**event, "resource": {"prefect.resource.id": resource}}, seconds * SECOND)
