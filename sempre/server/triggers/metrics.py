"""What metric triggers measure, in the database: runs counted and summed by slots of time, and where triggers stand.

Only the consumer of a shard writes these, in the transaction that moves its cursor: every run is measured once.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sempre.core.triggers.evaluation import Evaluation
from sempre.core.triggers.index import Candidate
from sempre.core.triggers.metrics import KEPT_SLOTS, Past, Sample, Standing, advance, sample, slot_of
from sempre.core.triggers.model import Event, MetricTrigger
from sempre.db.pool import Executor

__all__ = ["Samples", "Standings", "add_samples", "keep_standings", "look", "samples_of"]


class _Slot(NamedTuple):
    trigger_id: UUID
    slot: datetime


Samples = Mapping[_Slot, Sample]
Standings = Mapping[UUID, tuple[MetricTrigger, Standing]]  # by the trigger's id
_Shown = Iterable[tuple[Event, Sequence[Candidate]]]

_ID = "prefect.resource.id"
_RUN = "prefect.flow-run."

_HISTORIES = """
SELECT s.flow_run_id, s.type, s.name, s.timestamp, (s.details->>'scheduled_time')::timestamptz AS scheduled
FROM unnest($1::uuid[], $2::uuid[]) AS run(id, workspace_id)
JOIN flow_run_state s ON s.flow_run_id = run.id AND s.workspace_id = run.workspace_id
ORDER BY s.flow_run_id, s.timestamp
"""

_ADD = """
INSERT INTO automation_metric_slot AS kept (trigger_id, slot, count, total)
SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::float8[])
ON CONFLICT (trigger_id, slot) DO UPDATE SET count = kept.count + excluded.count, total = kept.total + excluded.total
"""

# The slots that the values since the last look, or the next value, are made of.
_LOAD = """
SELECT s.trigger_id, s.slot, s.count, s.total
FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS wanted(id, first, until)
JOIN automation_metric_slot s ON s.trigger_id = wanted.id AND s.slot >= wanted.first AND s.slot < wanted.until
"""

_KEEP = """
UPDATE automation_watch w SET state = k.state::jsonb FROM unnest($1::uuid[], $2::jsonb[]) AS k(id, state)
WHERE w.trigger_id = k.id
"""

_SWEEP = """
DELETE FROM automation_metric_slot s USING unnest($1::uuid[], $2::timestamptz[]) AS old(id, before)
WHERE s.trigger_id = old.id AND s.slot < old.before
"""


async def samples_of(db: Executor, shown: _Shown) -> Samples:
    """What is measured of the runs that these events tell of, for the triggers that they concern."""
    pairs = [
        (event, trigger)
        for event, candidates in shown
        for candidate in candidates
        if isinstance(trigger := candidate.trigger, MetricTrigger)
    ]
    past = {(event.workspace_id, run) for event, trigger in pairs if (run := _to_look_up(event, trigger)) is not None}
    histories = await _histories(db, past)
    samples: dict[_Slot, Sample] = {}
    for event, trigger in pairs:
        time = min(event.occurred, event.received)
        if time < event.received - trigger.query.slot * KEPT_SLOTS:
            continue
        run = _run_of(event)
        history = () if run is None else histories.get(run, ())
        if (found := sample(trigger.query, _state_type(event), event.occurred, history)) is not None:
            place = _Slot(trigger.id, slot_of(trigger.query, time))
            samples[place] = samples.get(place, Sample(0, 0.0)).plus(found)
    return samples


def _to_look_up(event: Event, trigger: MetricTrigger) -> UUID | None:
    """The run whose history is needed to measure it now."""
    return _run_of(event) if trigger.query.name != "successes" and _state_type(event) else None


def _state_type(event: Event) -> str:
    return event.resource.get("prefect.state-type", "")


def _run_of(event: Event) -> UUID | None:
    try:
        return UUID(event.resource[_ID].removeprefix(_RUN))
    except ValueError:
        return None


async def _histories(db: Executor, runs: set[tuple[UUID, UUID]]) -> dict[UUID, list[Past]]:
    if not runs:
        return {}
    ordered = sorted(runs)
    rows = await db.fetch(_HISTORIES, [id for _, id in ordered], [workspace_id for workspace_id, _ in ordered])
    histories: dict[UUID, list[Past]] = {}
    for row in rows:
        past = Past(row["type"], row["name"], row["timestamp"], row["scheduled"])
        histories.setdefault(row["flow_run_id"], []).append(past)
    return histories


async def add_samples(tx: Executor, samples: Samples) -> None:
    if samples:
        ordered = sorted(samples)
        await tx.execute(
            _ADD,
            [place.trigger_id for place in ordered],
            [place.slot for place in ordered],
            [samples[place].runs for place in ordered],
            [samples[place].total for place in ordered],
        )


async def look(
    db: Executor, evaluation: Evaluation, candidates: Iterable[Candidate], as_of: datetime | None
) -> Standings:
    """Bring the metric triggers among ``candidates`` to ``as_of``; what comes of it goes to the evaluation. ``None``:
    not all is measured yet; whoever looks later finds the same."""
    found = {c.trigger.id: (c, c.trigger) for c in candidates if isinstance(c.trigger, MetricTrigger)}
    if not found or as_of is None:
        return {}
    before = await _standings(db, found)
    spans = {id: _span(trigger, before.get(id), as_of) for id, (_, trigger) in found.items()}
    slots: dict[UUID, dict[datetime, Sample]] = {id: {} for id in found}
    for row in await db.fetch(
        _LOAD, list(spans), [first for first, _ in spans.values()], [until for _, until in spans.values()]
    ):
        slots[row["trigger_id"]][row["slot"]] = Sample(row["count"], row["total"])
    standings = {}
    for id, (candidate, trigger) in found.items():
        standing, turns = advance(trigger.query, before.get(id), slots[id], as_of)
        for turn in turns:
            evaluation.turn(candidate.automation, trigger, turn, turn.at)
        standings[id] = (trigger, standing)
    return standings


def _span(trigger: MetricTrigger, before: Standing | None, as_of: datetime) -> tuple[datetime, datetime]:
    oldest = as_of - trigger.query.slot * KEPT_SLOTS
    since = as_of if before is None else before.at
    return max(oldest, since - trigger.query.range), as_of


async def _standings(db: Executor, trigger_ids: Iterable[UUID]) -> dict[UUID, Standing]:
    rows = await db.fetch(
        "SELECT trigger_id, state FROM automation_watch WHERE trigger_id = ANY($1::uuid[]) AND state IS NOT NULL",
        sorted(trigger_ids),
    )
    return {row["trigger_id"]: _from_json(row["state"]) for row in rows}


async def keep_standings(tx: Executor, standings: Standings) -> None:
    """Write where the triggers stand, and let go of slots that no value is made of any more."""
    if not standings:
        return
    ids = sorted(standings)
    await tx.execute(_KEEP, ids, [_to_json(standings[id][1]) for id in ids])
    oldest = [standings[id][1].at - standings[id][0].query.slot * KEPT_SLOTS for id in ids]
    await tx.execute(_SWEEP, ids, oldest)


def _from_json(state: Mapping[str, Any]) -> Standing:
    since = state["contrary_since"]
    return Standing(
        datetime.fromisoformat(state["at"]), state["firing"], None if since is None else datetime.fromisoformat(since)
    )


def _to_json(standing: Standing) -> dict[str, Any]:
    since = standing.contrary_since
    return {
        "at": standing.at.isoformat(),
        "firing": standing.firing,
        "contrary_since": None if since is None else since.isoformat(),
    }
