"""Runs for the dates of schedules: which schedules need some, which dates, and their insertion.

Any number of replicas may do this at once, and schedules may change meanwhile:

- the idempotency key of a run is its schedule and date, so nothing is inserted twice;
- the insertion shares locks of the deployment and the schedule that it finds unchanged. Whoever pauses, changes or
  deletes one of them writes that row first and removes planned runs afterwards, so either the insertion sees the
  change, or the removal sees the runs.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sempre.core.schedules import MAX_OCCURRENCES, from_json, idempotency_key, planned
from sempre.core.transitions.model import FlowRunPolicy
from sempre.db.pool import Executor, Record
from sempre.db.statement import Statement
from sempre.schemas.slugs import random_slug
from sempre.server.flow_runs.orchestration import policy_to_json
from sempre.server.ids import new_id
from sempre.server.scope import Scope

__all__ = ["Bounds", "changed_lately", "needing_runs", "of_deployment", "schedule_runs"]

log = logging.getLogger("sempre.server.deployments")

_POLICY = policy_to_json(FlowRunPolicy())


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How far ahead each schedule is to have runs; see :func:`sempre.core.schedules.planned`."""

    min_runs: int
    max_runs: int
    min_time: timedelta
    max_time: timedelta


@dataclass(frozen=True, slots=True)
class _Planned:
    """A date of a schedule that has no run yet, as far as was read."""

    schedule: Record
    key: str
    date: datetime


# A schedule's own planned run ``r``: only those that it still waits for count.
_OWN = """
    r.deployment_id = s.deployment_id AND r.state_type = 'SCHEDULED' AND r.auto_scheduled
    AND r.created_by->>'id' = s.id::text AND r.next_scheduled_start_time >= now()
"""

# One row per active schedule of the chosen deployments, with the keys of the runs it has already.
_SCHEDULES_OF_CHOSEN = f"""
SELECT s.deployment_id, s.id AS schedule_id, s.schedule, s.updated, now() AS now,
    greatest(chosen.updated, (
        SELECT max(each.updated) FROM deployment_schedule each WHERE each.deployment_id = s.deployment_id
    )) AS changed,
    ARRAY(SELECT r.idempotency_key FROM flow_run r WHERE {_OWN}) AS known
FROM chosen JOIN deployment_schedule s ON s.deployment_id = chosen.id AND s.active
ORDER BY s.deployment_id, s.id
"""

_NEEDING_RUNS = Statement(f"""
WITH chosen AS (
    SELECT d.id, d.updated FROM deployment d
    WHERE NOT d.paused AND d.id > :after::uuid AND EXISTS (
        SELECT FROM deployment_schedule s CROSS JOIN LATERAL (
            SELECT count(*) AS runs, max(r.next_scheduled_start_time) AS latest FROM flow_run r WHERE {_OWN}
        ) own
        WHERE s.deployment_id = d.id AND s.active
            AND (own.runs < :min_runs::bigint OR own.latest < now() + :min_time::interval)
    )
    ORDER BY d.id LIMIT :size::bigint
)
{_SCHEDULES_OF_CHOSEN}
""")

_CHANGED_LATELY = Statement(f"""
WITH chosen AS (
    SELECT d.id, d.updated FROM deployment d
    WHERE NOT d.paused AND d.id > :after::uuid
        AND EXISTS (SELECT FROM deployment_schedule s WHERE s.deployment_id = d.id AND s.active)
        AND (d.updated >= now() - :window::interval OR d.id IN (
            SELECT s.deployment_id FROM deployment_schedule s WHERE s.updated >= now() - :window::interval
        ))
    ORDER BY d.id LIMIT :size::bigint
)
{_SCHEDULES_OF_CHOSEN}
""")

_OF_DEPLOYMENT = Statement(f"""
WITH chosen AS (
    SELECT d.id, d.updated FROM deployment d WHERE d.id = :id::uuid AND d.workspace_id = :workspace_id::uuid
)
{_SCHEDULES_OF_CHOSEN}
""")

# What a run takes from its deployment is read here, behind the locks: the dates alone were computed before.
_INSERT = Statement("""
WITH source AS MATERIALIZED (
    SELECT d.id AS deployment_id, s.id AS schedule_id, d.workspace_id, d.flow_id, d.version, d.work_queue_id,
        d.work_queue_name, d.infrastructure_document_id, d.parameters || s.parameters AS parameters,
        array_prepend('auto-scheduled', d.tags) AS tags,
        d.labels || jsonb_build_object('prefect.flow.id', d.flow_id, 'prefect.deployment.id', d.id) AS labels,
        jsonb_build_object('id', s.id, 'type', 'SCHEDULE', 'display_value', coalesce(nullif(s.slug, ''), CASE
            WHEN s.schedule ? 'interval' THEN 'IntervalSchedule' WHEN s.schedule ? 'cron' THEN 'CronSchedule'
            ELSE 'RRuleSchedule' END)) AS created_by
    FROM unnest(:schedule_ids::uuid[], :seen::timestamptz[]) AS read(schedule_id, updated)
        JOIN deployment_schedule s ON s.id = read.schedule_id
        JOIN deployment d ON d.id = s.deployment_id
    WHERE s.active AND s.updated = read.updated AND (:even_paused::boolean OR NOT d.paused)
    ORDER BY d.id, s.id
    FOR SHARE OF d, s
), run AS (
    INSERT INTO flow_run (
        id, workspace_id, name, flow_id, deployment_id, deployment_version, work_queue_id, work_queue_name, parameters,
        idempotency_key, empirical_policy, tags, labels, auto_scheduled, infrastructure_document_id, created_by,
        state_id, state_type, state_name, state_timestamp, state_message, state_details, expected_start_time,
        next_scheduled_start_time
    )
    SELECT p.id, source.workspace_id, p.name, source.flow_id, source.deployment_id, source.version,
        source.work_queue_id, source.work_queue_name, source.parameters, p.key, :policy::jsonb, source.tags,
        source.labels, true, source.infrastructure_document_id, source.created_by, p.state_id, 'SCHEDULED',
        'Scheduled', clock_timestamp(), 'Flow run scheduled', jsonb_build_object('scheduled_time', p.scheduled_time),
        p.date, p.date
    FROM unnest(
        :ids::uuid[], :state_ids::uuid[], :run_schedule_ids::uuid[], :names::text[], :keys::text[],
        :dates::timestamptz[], :scheduled_times::text[]
    ) AS p(id, state_id, schedule_id, name, key, date, scheduled_time)
        JOIN source ON source.schedule_id = p.schedule_id
    ORDER BY source.flow_id, p.key
    ON CONFLICT (flow_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, workspace_id, work_queue_id, state_id, state_timestamp, state_details
), history AS (
    INSERT INTO flow_run_state (id, workspace_id, flow_run_id, timestamp, type, name, message, details)
    SELECT state_id, workspace_id, id, state_timestamp, 'SCHEDULED', 'Scheduled', 'Flow run scheduled', state_details
    FROM run
)
SELECT count(*) AS runs, array_agg(DISTINCT q.work_pool_id) FILTER (WHERE q.id IS NOT NULL) AS work_pool_ids
FROM run LEFT JOIN work_queue q ON q.id = run.work_queue_id
""")


async def needing_runs(db: Executor, after: UUID, size: int, bounds: Bounds) -> list[Record]:
    """Active schedules of the next ``size`` deployments, of all workspaces, in which one has too few runs."""
    parameters = {"after": after, "size": size, "min_runs": bounds.min_runs, "min_time": bounds.min_time}
    return await db.fetch(_NEEDING_RUNS.sql, *_NEEDING_RUNS.bind(**parameters))


async def changed_lately(db: Executor, after: UUID, size: int, window: timedelta) -> list[Record]:
    """Active schedules of the next ``size`` deployments, of all workspaces, that were changed within ``window``."""
    return await db.fetch(_CHANGED_LATELY.sql, *_CHANGED_LATELY.bind(after=after, size=size, window=window))


async def of_deployment(db: Executor, workspace_id: UUID, id: UUID) -> list[Record]:
    """The deployment's active schedules."""
    return await db.fetch(_OF_DEPLOYMENT.sql, *_OF_DEPLOYMENT.bind(id=id, workspace_id=workspace_id))


async def schedule_runs(
    scope: Scope,
    schedules: Sequence[Record],
    bounds: Bounds,
    *,
    start: datetime | None = None,
    since_change: timedelta = timedelta(0),
    even_paused: bool = False,
) -> int:
    """Insert the runs that are missing for the schedules (rows of the functions above); returns how many.

    Dates count from ``start``, by default from now; from the last change of the deployment or any of its schedules
    if that was less than ``since_change`` ago, for it removed the runs that were planned and a date may have passed.
    """
    # Dates are pure computing: in a thread they do not hold up requests.
    missing = await asyncio.to_thread(_missing, schedules, bounds, start, since_change)
    inserted = 0
    size = scope.settings.services.scheduler.insert_batch_size
    for first in range(0, len(missing), size):
        inserted += await _insert(scope, missing[first : first + size], even_paused)
    return inserted


def _missing(
    schedules: Sequence[Record], bounds: Bounds, start: datetime | None, since_change: timedelta
) -> list[_Planned]:
    missing: list[_Planned] = []
    for schedule in schedules:
        now, changed = schedule["now"], schedule["changed"]
        begin = start or (changed if now - since_change <= changed <= now else now)
        try:
            missing.extend(_dates(schedule, begin, bounds))
        except Exception:
            ids = schedule["schedule_id"], schedule["deployment_id"]
            log.exception("schedule %s of deployment %s has no dates", *ids)
    return missing


def _dates(schedule: Record, begin: datetime, bounds: Bounds) -> Iterator[_Planned]:
    known = frozenset(schedule["known"])
    max_runs = min(bounds.max_runs, MAX_OCCURRENCES)
    dates = planned(from_json(schedule["schedule"]), begin, bounds.min_runs, max_runs, bounds.min_time, bounds.max_time)
    for date in dates:
        key = idempotency_key(schedule["deployment_id"], schedule["schedule_id"], date)
        if key not in known:
            yield _Planned(schedule, key, date)


async def _insert(scope: Scope, batch: Sequence[_Planned], even_paused: bool) -> int:
    sources = {p.schedule["schedule_id"]: p.schedule["updated"] for p in batch}
    parameters: dict[str, Any] = {
        "schedule_ids": list(sources),
        "seen": list(sources.values()),
        "even_paused": even_paused,
        "policy": _POLICY,
        "ids": [new_id() for _ in batch],
        "state_ids": [new_id() for _ in batch],
        "run_schedule_ids": [p.schedule["schedule_id"] for p in batch],
        "names": [random_slug() for _ in batch],
        "keys": [p.key for p in batch],
        "dates": [p.date for p in batch],
        "scheduled_times": [p.date.astimezone(UTC).isoformat().replace("+00:00", "Z") for p in batch],
    }
    done = await scope.db.fetchrow(_INSERT.sql, *_INSERT.bind(**parameters))
    assert done is not None
    scope.doorbell.ring(*(f"work:{id}" for id in done["work_pool_ids"] or ()))
    return int(done["runs"])
