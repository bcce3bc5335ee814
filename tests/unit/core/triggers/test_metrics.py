"""Metrics of runs: what is measured, when it fires, when that ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sempre.core.triggers.metrics import MetricQuery, Past, Sample, Standing, Turn, advance, sample, slot_of

_T = datetime(2026, 1, 1, tzinfo=UTC)
_MINUTES_5 = timedelta(minutes=5)


def at(seconds: float) -> datetime:
    return _T + timedelta(seconds=seconds)


def query(name: str = "successes", operator: str = "<", threshold: float = 0.5, **more: timedelta) -> MetricQuery:
    return MetricQuery(name, operator, threshold, more.get("range", _MINUTES_5), more.get("firing_for", _MINUTES_5))


def slots(asked: MetricQuery, *samples: tuple[float, float]) -> dict[datetime, Sample]:
    """Slots of single runs: (when, what it was like)."""
    found: dict[datetime, Sample] = {}
    for seconds, value in samples:
        slot = slot_of(asked, at(seconds))
        found[slot] = found.get(slot, Sample(0, 0.0)).plus(Sample(1, value))
    return found


# --- what is measured --------------------------------------------------------------------------------

_HISTORY = [
    Past("SCHEDULED", "Scheduled", at(0), at(10)),
    Past("SCHEDULED", "Late", at(25), at(10)),
    Past("PENDING", "Pending", at(30)),
    Past("SCHEDULED", "AwaitingConcurrencySlot", at(31), at(61)),
    Past("PENDING", "Pending", at(62)),
    Past("RUNNING", "Running", at(70)),
    Past("SCHEDULED", "AwaitingRetry", at(80), at(85)),
    Past("RUNNING", "Retrying", at(90)),
    Past("COMPLETED", "Completed", at(95)),
]


@pytest.mark.parametrize(
    ("name", "state", "seconds", "expected"),
    [
        ("successes", "COMPLETED", 95, 1.0),
        ("successes", "CRASHED", 95, 0.0),
        ("successes", "CANCELLED", 95, 0.0),
        ("successes", "RUNNING", 70, None),
        ("duration", "COMPLETED", 95, 15.0),
        ("duration", "FAILED", 80, 10.0),
        ("duration", "CRASHED", 65, None),  # it never ran
        ("duration", "RUNNING", 70, None),
        ("lateness", "RUNNING", 70, 60.0),
        ("lateness", "RUNNING", 90, None),  # not its first start
        ("lateness", "COMPLETED", 95, None),
    ],
)
def test_samples(name: str, state: str, seconds: float, expected: float | None) -> None:
    found = sample(query(name), state, at(seconds), _HISTORY)
    assert found == (None if expected is None else Sample(1, expected))


def test_a_run_nobody_scheduled_is_not_late() -> None:
    history = [Past("PENDING", "Pending", at(0)), Past("RUNNING", "Running", at(5))]
    assert sample(query("lateness"), "RUNNING", at(5), history) is None


def test_a_run_that_starts_early_is_not_late() -> None:
    history = [Past("SCHEDULED", "Scheduled", at(0), at(10)), Past("RUNNING", "Running", at(5))]
    assert sample(query("lateness"), "RUNNING", at(5), history) == Sample(1, 0.0)


# --- when it fires -----------------------------------------------------------------------------------


def every(seconds: int, until: int, value: float, since: int = 0) -> list[tuple[float, float]]:
    return [(time, value) for time in range(since, until, seconds)]


def turns(asked: MetricQuery, samples: list[tuple[float, float]], until: float, step: float = 5) -> list[Turn]:
    """All turns until then, looking every ``step`` seconds."""
    standing: Standing | None = None
    found: list[Turn] = []
    time = 0.0
    while time <= until:
        standing, more = advance(asked, standing, slots(asked, *samples), at(time))
        found += more
        time += step
    return found


def test_fires_once_the_condition_has_held_for_long_enough_and_resolves_the_same_way() -> None:
    samples = [*every(10, 600, 0.0), *every(10, 2000, 1.0, since=600)]
    fired, resolved = turns(query(), samples, 2000)
    # The first slot with a run ends at 5 s, and from then on it must hold for 300 s.
    assert (fired.firing, fired.at, fired.value) == (True, at(305), 0.0)
    # At half and half, after 745 s, the condition does not hold any more.
    assert not resolved.firing
    assert resolved.at == at(745 + 300)
    assert resolved.value == 1.0


def test_a_relapse_starts_the_waiting_anew() -> None:
    asked = query(operator=">", threshold=0.0)
    samples = [*every(10, 250, 1.0), *every(1, 900, -20.0, since=250), *every(1, 2000, 20.0, since=900)]
    (fired,) = turns(asked, samples, 2000)
    assert fired.firing
    assert fired.at > at(900 + 300)


def test_without_runs_nothing_fires_and_nothing_resolves() -> None:
    asked = query(operator=">=", threshold=0.0)
    assert turns(asked, [], 3000) == []
    assert turns(asked, [(100, 1.0)], 3000) == [], "one run is seen for as long as the range: not beyond it"
    (fired,) = turns(asked, every(10, 1000, 1.0), 5000)
    assert fired.firing, "and it stays, as nothing says that it is over"


@pytest.mark.parametrize(("operator", "holds"), [("<", False), ("<=", True), (">", False), (">=", True)])
def test_operators_at_the_threshold(operator: str, holds: bool) -> None:
    asked = query(operator=operator, threshold=2.0)
    assert asked.holds(2.0) is holds
    assert asked.holds(1.0) is operator.startswith("<")


def test_a_long_absence_looks_at_what_is_known() -> None:
    asked = query()
    standing, more = advance(asked, Standing(at(-10_000_000)), slots(asked, *every(10, 1000, 0.0)), at(1000))
    assert [turn.at for turn in more] == [at(305)]
    assert standing.at == at(1000)


def test_time_does_not_go_backwards() -> None:
    asked = query()
    standing = Standing(at(100), contrary_since=at(50))
    assert advance(asked, standing, {}, at(60)) == (standing, ())


@settings(deadline=None, max_examples=30)
@given(
    samples=st.lists(st.tuples(st.integers(0, 3000), st.sampled_from([0.0, 1.0])), max_size=60),
    looks=st.lists(st.integers(1, 3000), max_size=20),
    operator=st.sampled_from(["<", "<=", ">", ">="]),
)
def test_when_somebody_looks_plays_no_part(samples: list[tuple[int, float]], looks: list[int], operator: str) -> None:
    asked = query(operator=operator)
    kept = slots(asked, *samples)
    standing, _ = advance(asked, None, kept, at(0))
    seldom = standing
    found: list[Turn] = []
    for time in sorted(looks):
        seldom, more = advance(asked, seldom, kept, at(time))
        found += more
    seldom, more = advance(asked, seldom, kept, at(3600))
    assert [*found, *more] == turns(asked, samples, 3600)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=30)
@given(
    samples=st.lists(st.tuples(st.integers(0, 3000), st.sampled_from([0.0, 1.0])), max_size=60),
    firing_for=st.integers(300, 900),
)
def test_turns_alternate_and_last(samples: list[tuple[int, float]], firing_for: int) -> None:
    """Against a plain account: the value at every end of a slot, computed from the runs themselves."""
    asked = query(firing_for=timedelta(seconds=firing_for))
    firing, since, expected = False, None, []
    for time in range(5, 3601, 5):
        seen = [value for when, value in samples if time - 300 <= when < time]
        contrary = bool(seen) and (sum(seen) / len(seen) < 0.5) != firing
        since = (time if since is None else since) if contrary else None
        if since is not None and time - since >= firing_for:
            firing, since = not firing, None
            expected.append((firing, at(time)))
    assert [(turn.firing, turn.at) for turn in turns(asked, samples, 3600)] == expected  # type: ignore[arg-type]
