"""The worked examples of the specification (events-and-automations, section 12), event by event."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest

from sempre.core.triggers.evaluation import BucketKey, ChildKey, Evaluation
from sempre.core.triggers.model import Automation, Bucket, CompositeTrigger, Event, EventTrigger, Firing

START = datetime(2026, 5, 4, 12, tzinfo=UTC)
_numbers = count(1)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def new_id() -> UUID:
    return UUID(int=next(_numbers))


def event(seconds: float, name: str, resource: str = "r") -> Event:
    number = next(_numbers)
    return Event(number, UUID(int=number), name, at(seconds), at(seconds), {"prefect.resource.id": resource})


class Replay:
    """One automation whose state is written down and loaded again at every step."""

    def __init__(self, trigger: EventTrigger | CompositeTrigger) -> None:
        self.automation = Automation(new_id(), new_id(), trigger)
        self.buckets: dict[BucketKey, Bucket] = {}
        self.children: dict[ChildKey, Firing] = {}
        self.fired: list[tuple[float, Firing]] = []

    def send(self, *events: Event) -> None:
        for one in events:
            evaluation = self._begin()
            for trigger in self.automation.event_triggers:
                if trigger.concerns(one):
                    evaluation.observe(self.automation, trigger, one, one.occurred)
            self._end(evaluation, one.occurred)

    def tick(self, seconds: float, behind: float = 0) -> None:
        evaluation = self._begin()
        for trigger in self.automation.event_triggers:
            evaluation.watch(self.automation, trigger, at(seconds - behind), at(seconds))
        self._end(evaluation, at(seconds))

    def times(self) -> list[float]:
        return [seconds for seconds, _ in self.fired]

    def bucket(self, *key: str) -> tuple[float, float, int]:
        (trigger,) = self.automation.event_triggers
        held = self.buckets[BucketKey(trigger.id, key)]
        return (held.start - START).total_seconds(), (held.end - START).total_seconds(), held.count

    def _begin(self) -> Evaluation:
        return Evaluation(new_id, dict(self.buckets), dict(self.children))

    def _end(self, evaluation: Evaluation, now: datetime) -> None:
        for _, place, bucket in evaluation.changed_buckets():
            self.buckets.pop(place, None)
            if bucket is not None:
                self.buckets[place] = bucket
        for _, child, firing in evaluation.changed_children():
            self.children.pop(child, None)
            if firing is not None:
                self.children[child] = firing
        self.fired += [((now - START).total_seconds(), reaction.firing) for reaction in evaluation.reactions]


def of_names(names: str) -> list[EventTrigger]:
    return [EventTrigger(new_id(), expect=frozenset({name})) for name in names]


def spread(history: str) -> Iterable[Event]:
    """``"0 A, 12 B"`` as events."""
    for item in history.split(", "):
        seconds, name = item.split()
        yield event(float(seconds), name)


def test_reactive_windows_tumble_for_each_resource() -> None:
    replay = Replay(
        EventTrigger(
            new_id(),
            expect=frozenset({"x"}),
            for_each=("prefect.resource.id",),
            threshold=3,
            within=timedelta(seconds=60),
        )
    )
    replay.send(event(0, "x", "R1"))
    assert replay.bucket("R1") == (-900, 60, 1)
    replay.send(event(5, "x", "R2"))
    assert replay.bucket("R2") == (-895, 65, 1)
    replay.send(event(10, "x", "R1"), event(20, "x", "R1"))
    assert replay.times() == [20]
    assert replay.fired[0][1].labels == {"prefect.resource.id": "R1"}
    assert replay.bucket("R1") == (60, 120, 0)
    replay.send(*(event(seconds, "x", "R1") for seconds in (30, 40, 50, 70, 80)))
    assert replay.bucket("R1") == (60, 120, 2)
    replay.send(event(125, "x", "R1"))
    assert replay.bucket("R1") == (125, 185, 1)
    replay.send(event(130, "x", "R1"), event(140, "x", "R1"))
    assert replay.times() == [20, 140]
    assert replay.bucket("R1") == (185, 245, 0)


def _stuck_in_pending(expect: str) -> EventTrigger:
    return EventTrigger(
        new_id(),
        proactive=True,
        match={"prefect.resource.id": "prefect.flow-run.*"},
        for_each=("prefect.resource.id",),
        after=frozenset({"prefect.flow-run.Pending"}),
        expect=frozenset({expect}),
        within=timedelta(seconds=300),
    )


def _runs(replay: Replay) -> None:
    for seconds, run, state in [
        (62, "A", "Pending"),
        (65, "B", "Pending"),
        (66, "B", "Running"),
        (100, "C", "Pending"),
        (101, "C", "Running"),
        (102, "C", "Pending"),
    ]:
        replay.send(event(seconds, f"prefect.flow-run.{state}", f"prefect.flow-run.{run}"))


def test_proactive_tells_of_runs_that_stay_pending() -> None:
    replay = Replay(_stuck_in_pending("prefect.flow-run.*"))
    replay.tick(0)
    _runs(replay)
    assert replay.bucket("prefect.flow-run.A") == (62, 362, 0)
    assert replay.bucket("prefect.flow-run.C") == (102, 402, 0)
    for seconds in range(300, 500, 5):
        replay.tick(seconds)
    assert replay.times() == [365, 405]
    assert [firing.labels["prefect.resource.id"] for _, firing in replay.fired] == [
        "prefect.flow-run.A",
        "prefect.flow-run.C",
    ]
    assert replay.fired[0][1].event is not None
    assert replay.fired[0][1].event.occurred == at(62)
    assert replay.buckets == {}


def test_proactive_waits_as_much_longer_as_the_events_are_behind() -> None:
    replay = Replay(_stuck_in_pending("prefect.flow-run.*"))
    _runs(replay)
    for seconds in range(300, 390, 5):
        replay.tick(seconds, behind=12)
    assert replay.times() == [375]


def test_proactive_does_not_arm_a_watch_again_on_an_event_it_does_not_expect() -> None:
    replay = Replay(_stuck_in_pending("prefect.flow-run.Running"))
    _runs(replay)
    for seconds in range(400, 800, 5):
        replay.tick(seconds)
    assert [firing.labels["prefect.resource.id"] for _, firing in replay.fired] == ["prefect.flow-run.A"]


@pytest.mark.parametrize(
    ("within", "history", "fired"),
    [
        (10, "0 A, 3 B, 6 C", [6]),
        (10, "20 B, 22 A, 24 C", []),
        (10, "20 B, 22 A, 24 C, 26 B, 28 C", [28]),
        (10, "45 A, 50 B, 56 C", []),
        (None, "45 A, 50 B, 56 C", [56]),
    ],
)
def test_sequence(within: float | None, history: str, fired: list[float]) -> None:
    span = None if within is None else timedelta(seconds=within)
    replay = Replay(CompositeTrigger(new_id(), tuple(of_names("ABC")), needed=3, ordered=True, within=span))
    replay.send(*spread(history))
    assert replay.times() == fired


@pytest.mark.parametrize(
    ("needed", "history", "fired"),
    [
        (3, "0 A, 12 B, 29 C", [29]),
        (3, "40 B, 41 A, 42 A, 71 C, 72 B, 73 A", [72]),
        (2, "0 A, 12 B, 29 C", [12]),
        (1, "0 A, 12 B, 29 C", [0, 12, 29]),
    ],
)
def test_compound(needed: int, history: str, fired: list[float]) -> None:
    replay = Replay(CompositeTrigger(new_id(), tuple(of_names("ABC")), needed=needed, within=timedelta(seconds=30)))
    replay.send(*spread(history))
    assert replay.times() == fired


def test_the_firing_of_a_composite_names_its_last_event_and_all_its_children() -> None:
    replay = Replay(CompositeTrigger(new_id(), tuple(of_names("AB")), needed=2))
    first, second = event(1, "A"), event(2, "B")
    replay.send(first, second)
    ((_, firing),) = replay.fired
    assert firing.event == second.key
    assert [child.event for child in firing.firings] == [first.key, second.key]
    assert firing.labels == {}


def _any_order(events: Sequence[Event], threshold: int, within: float) -> list[float]:
    replay = Replay(
        EventTrigger(new_id(), expect=frozenset({"x"}), threshold=threshold, within=timedelta(seconds=within))
    )
    replay.send(*events)
    return replay.times()


def test_events_in_the_wrong_order_count_as_they_would_in_the_right_one() -> None:
    backwards = [event(10 - number, "x") for number in range(10)]
    assert len(_any_order(backwards, threshold=10, within=60)) == 1
    assert len(_any_order(backwards, threshold=1, within=0)) == 10
