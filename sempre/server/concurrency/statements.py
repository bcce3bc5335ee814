"""Slots of concurrency limits, as SQL that other statements build on.

A slot in use is a row numbered 1 to the limit; the primary key (limit, number) decides every race. Taking picks random
free numbers, so that parallel takers rarely collide; a collision takes fewer rows than asked, which the caller's check
turns into "nothing happened, look again".
"""

__all__ = [
    "FREE_RUN_SLOTS",
    "HOLD_RUN_SLOTS",
    "LIVE",
    "RENEW_RUN_SLOTS",
    "TAKE_RUN_SLOTS",
    "Part",
    "free_slots",
    "slots_in_use",
]

from typing import NamedTuple

LIVE = "({alias}.expires_at IS NULL OR {alias}.expires_at > clock_timestamp())"


class Part(NamedTuple):
    """Common table expressions to put behind ``run AS (...)``, and what must hold for the statement to count."""

    expressions: str
    check: str | None = None


def slots_in_use(limit_id: str) -> str:
    """Scalar subquery: the live slots of the limit named by the SQL expression ``limit_id``."""
    return f"(SELECT count(*) FROM concurrency_slot u WHERE u.limit_id = {limit_id} AND {LIVE.format(alias='u')})"


def free_slots(limit: str, slots: str) -> str:
    """Lateral subquery yielding up to ``slots`` free numbers (column ``slot``) of the limit row aliased ``limit``.

    Of the first (in use + wanted) numbers at least the wanted ones are free; the sixteen more are there for parallel
    takers to miss each other.
    """
    return f"""(
        SELECT number.slot
        FROM generate_series(1, least(
            sempre_highest_slot({limit}.id, {limit}.slot_limit), {slots_in_use(f"{limit}.id")} + {slots} + 16
        )) AS number(slot)
        WHERE NOT EXISTS (
            SELECT FROM concurrency_slot s
            WHERE s.limit_id = {limit}.id AND s.slot = number.slot AND {LIVE.format(alias="s")}
        )
        ORDER BY random() LIMIT {slots}
    )"""


_EXPIRY = "clock_timestamp() + make_interval(secs => :slot_ttl::float8)"

# One slot of each limit in :limit_ids for the run, under one lease; a dead slot is taken over in place. The run's own
# dead slot comes first: it may have one row per limit only. One whose number is no longer handed out, since the limit
# was lowered, goes; nobody else can want that number, so parallel takers do not meet head-on.
TAKE_RUN_SLOTS = Part(
    f"""
lease AS (
    INSERT INTO concurrency_lease (id, workspace_id, expires_at, slots, limit_ids, holder_type, holder_id)
    SELECT :lease_id::uuid, run.workspace_id, {_EXPIRY}, 1, :limit_ids::uuid[], :holder_type::text, run.id FROM run
),
own AS MATERIALIZED (
    SELECT s.limit_id, s.slot, s.run_id, s.slot <= sempre_highest_slot(l.id, l.slot_limit) AS usable
    FROM run JOIN concurrency_slot s ON s.run_id = run.id JOIN concurrency_limit l ON l.id = s.limit_id
    WHERE s.limit_id = ANY(:limit_ids::uuid[])
),
buried AS (
    DELETE FROM concurrency_slot s USING own
    WHERE NOT own.usable AND s.limit_id = own.limit_id AND s.slot = own.slot AND s.run_id = own.run_id
        AND s.expires_at <= clock_timestamp()
    RETURNING s.slot
),
taken AS (
    INSERT INTO concurrency_slot AS held (limit_id, slot, workspace_id, lease_id, run_id, acquired_at, expires_at)
    SELECT l.id, number.slot, run.workspace_id, :lease_id::uuid, run.id, clock_timestamp(), {_EXPIRY}
    FROM run
    JOIN concurrency_limit l ON l.id = ANY(:limit_ids::uuid[]) AND (SELECT count(*) FROM buried) >= 0
    CROSS JOIN LATERAL (SELECT coalesce(
        (SELECT own.slot FROM own WHERE own.limit_id = l.id AND own.usable),
        (SELECT free.slot FROM {free_slots("l", "1")} free)
    ) AS slot) number
    WHERE number.slot IS NOT NULL
    ORDER BY l.id
    ON CONFLICT (limit_id, slot) DO UPDATE SET
        workspace_id = excluded.workspace_id, lease_id = excluded.lease_id, run_id = excluded.run_id,
        acquired_at = excluded.acquired_at, expires_at = excluded.expires_at
        WHERE held.expires_at <= clock_timestamp()
    RETURNING held.limit_id
)""",
    "sempre_require((SELECT count(*) FROM taken) = cardinality(:limit_ids::uuid[]), 'slot taken by another')",
)

_ALL_RENEWED = (
    "sempre_require((SELECT count(*) FROM renewed) = cardinality(:limit_ids::uuid[]), 'slot lost to another')"
)

# The run keeps the slots it holds, until a new expiry. One that has just expired is not held: others may have filled
# the limit since, so the run has to take one like everybody else.
RENEW_RUN_SLOTS = Part(
    f"""
renewed AS (
    UPDATE concurrency_slot s SET expires_at = {_EXPIRY}
    FROM run WHERE s.run_id = run.id AND s.limit_id = ANY(:limit_ids::uuid[]) AND {LIVE.format(alias="s")}
    RETURNING s.lease_id
),
renewed_lease AS (
    UPDATE concurrency_lease SET expires_at = {_EXPIRY} WHERE id IN (SELECT lease_id FROM renewed)
)""",
    _ALL_RENEWED,
)

# The run keeps the slots it holds until it ends. Nobody will renew their lease, so there is none any more.
HOLD_RUN_SLOTS = Part(
    f"""
before AS MATERIALIZED (
    SELECT s.limit_id, s.slot, s.run_id, s.lease_id FROM concurrency_slot s JOIN run ON s.run_id = run.id
    WHERE s.limit_id = ANY(:limit_ids::uuid[])
),
renewed AS (
    UPDATE concurrency_slot s SET expires_at = NULL, lease_id = NULL
    FROM before WHERE s.limit_id = before.limit_id AND s.slot = before.slot AND s.run_id = before.run_id
        AND {LIVE.format(alias="s")}
    RETURNING before.lease_id
),
ended_lease AS (
    DELETE FROM concurrency_lease WHERE id IN (SELECT lease_id FROM renewed)
)""",
    _ALL_RENEWED,
)

# Everything orchestration holds for the run. Idempotent and exact: what is not held is not freed.
FREE_RUN_SLOTS = Part(
    """
freed AS (
    DELETE FROM concurrency_slot s USING run WHERE s.run_id = run.id RETURNING s.lease_id
),
ended_lease AS (
    DELETE FROM concurrency_lease WHERE id IN (SELECT lease_id FROM freed)
)"""
)
