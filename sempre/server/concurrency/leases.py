"""Leases after they were taken: renewed, given back, or expired and collected; and slots given back by count.

Locks are taken in the order slots, leases, limits, each sorted by key. The collection of expired leases waits for no
slot and no lease at all: what somebody else is just touching is left for the next round.
"""

from collections.abc import Sequence
from uuid import UUID

from sempre.db.pool import Executor
from sempre.db.statement import Statement
from sempre.server.concurrency.levels import bucket_level, denied_slots
from sempre.server.concurrency.statements import LIVE
from sempre.server.concurrency.taking import waits_of
from sempre.server.scope import Scope

__all__ = ["collect_expired", "release", "release_by_count", "renew"]

_SHORTEST_OCCUPANCY = 0.1

# An expired slot that nobody took over lives again, if its number may still be handed out: beyond a limit that was
# lowered meanwhile nothing comes back to life. A limit that was deleted has no say.
_RENEW = Statement(f"""
WITH held AS MATERIALIZED (
    SELECT limit_id, slot, expires_at FROM concurrency_slot
    WHERE lease_id = :id::uuid AND workspace_id = :workspace_id::uuid
    ORDER BY limit_id, slot FOR UPDATE
), usable AS MATERIALIZED (
    SELECT held.limit_id, held.slot FROM held LEFT JOIN concurrency_limit l ON l.id = held.limit_id
    WHERE l.id IS NULL OR {LIVE.format(alias="held")} OR held.slot <= sempre_highest_slot(l.id, l.slot_limit)
), lease AS (
    UPDATE concurrency_lease e SET
        expires_at = CASE WHEN e.expires_at IS NULL THEN NULL
                          ELSE clock_timestamp() + make_interval(secs => :seconds::float8) END
    WHERE e.id = :id::uuid AND e.workspace_id = :workspace_id::uuid AND NOT EXISTS (
        SELECT FROM unnest(e.limit_ids) AS needed(limit_id) JOIN concurrency_limit l ON l.id = needed.limit_id
        WHERE (SELECT count(*) FROM usable u WHERE u.limit_id = needed.limit_id) < e.slots
    )
    RETURNING e.id, e.expires_at
), renewed AS (
    UPDATE concurrency_slot s SET expires_at = lease.expires_at
    FROM usable u, lease WHERE s.limit_id = u.limit_id AND s.slot = u.slot
)
SELECT id FROM lease
""")


def _end_leases(*, doomed: str, locking: str, only_whole: bool) -> Statement:
    """End the leases that the query ``doomed`` names: their slots, their share of buckets, and the leases, at once."""
    whole = """
        WHERE (SELECT count(*) FROM concurrency_slot s WHERE s.lease_id = doomed.id)
            = (SELECT count(*) FROM held WHERE held.lease_id = doomed.id)
    """
    return Statement(f"""
WITH doomed AS MATERIALIZED ({doomed}),
held AS MATERIALIZED (
    SELECT limit_id, slot, lease_id FROM concurrency_slot WHERE lease_id IN (SELECT id FROM doomed)
    ORDER BY limit_id, slot {locking}
), ending AS MATERIALIZED (
    SELECT id FROM doomed {whole if only_whole else ""}
), freed AS (
    DELETE FROM concurrency_slot s USING held JOIN ending ON ending.id = held.lease_id
    WHERE s.limit_id = held.limit_id AND s.slot = held.slot
    RETURNING s.limit_id, s.lease_id
), locked AS MATERIALIZED (
    SELECT id FROM concurrency_lease
    WHERE id IN (SELECT id FROM ending) AND (SELECT count(*) FROM freed) >= 0
    ORDER BY id FOR UPDATE
), ended AS (
    DELETE FROM concurrency_lease e USING locked WHERE e.id = locked.id
    RETURNING e.id, e.slots, e.bucket_ids, extract(epoch FROM clock_timestamp() - e.created)::float8 AS occupancy
), returned AS (
    SELECT limit_id, count(*) AS leases, avg(greatest(occupancy / greatest(slots, 1), {_SHORTEST_OCCUPANCY})) AS each,
           sum(from_bucket) AS from_bucket
    FROM (
        SELECT DISTINCT freed.limit_id, ended.id, ended.slots, ended.occupancy, 0::bigint AS from_bucket
        FROM freed JOIN ended ON ended.id = freed.lease_id
        UNION ALL
        SELECT bucket.id, ended.id, ended.slots, ended.occupancy, ended.slots
        FROM ended CROSS JOIN LATERAL unnest(ended.bucket_ids) AS bucket(id)
    ) AS share GROUP BY limit_id
), {_CHANGE_LIMITS}
SELECT count(*) FROM ended
""")


# Of `returned` (limit_id, leases, each = seconds a slot was held or null, from_bucket): the levels, what is forgotten
# of refusals, and the average occupancy, which moves by 1/(2 * limit) of the difference for every lease.
_CHANGE_LIMITS = f"""
limits AS MATERIALIZED (
    SELECT id FROM concurrency_limit WHERE id IN (SELECT limit_id FROM returned) ORDER BY id FOR UPDATE
), changed AS (
    UPDATE concurrency_limit l SET
        bucket_level = greatest(0, {bucket_level("l")} - returned.from_bucket),
        denied_slots = {denied_slots("l", ":tag_wait::float8", ":wait::float8")},
        avg_slot_occupancy_seconds = l.avg_slot_occupancy_seconds + coalesce(
            (returned.each - l.avg_slot_occupancy_seconds)
                * (1 - power(1 - 1 / (2 * greatest(l.slot_limit, 1)::float8), returned.leases::float8)), 0
        ),
        updated = clock_timestamp()
    FROM returned, limits WHERE l.id = limits.id AND returned.limit_id = limits.id
)"""

_RELEASE = _end_leases(
    doomed="SELECT id FROM concurrency_lease WHERE id = ANY(:ids::uuid[]) AND workspace_id = :workspace_id::uuid",
    locking="FOR UPDATE",
    only_whole=False,
)

_COLLECT = _end_leases(
    doomed="""
        SELECT id FROM concurrency_lease WHERE expires_at <= now()
        ORDER BY expires_at LIMIT :most::int FOR UPDATE SKIP LOCKED
    """,
    locking="FOR UPDATE SKIP LOCKED",
    only_whole=True,
)

# Only slots without a holder can be given back by count: those of leases and runs are theirs.
_RELEASE_BY_COUNT = Statement(f"""
WITH named AS MATERIALIZED (
    SELECT id, name, slot_limit, slot_decay_per_second FROM concurrency_limit
    WHERE workspace_id = :workspace_id::uuid AND name = ANY(:names::text[])
), chosen AS MATERIALIZED (
    SELECT anonymous.limit_id, anonymous.slot FROM named CROSS JOIN LATERAL (
        SELECT limit_id, slot FROM concurrency_slot
        WHERE limit_id = named.id AND lease_id IS NULL AND run_id IS NULL
        ORDER BY slot DESC LIMIT :slots::bigint FOR UPDATE SKIP LOCKED
    ) AS anonymous
), freed AS (
    DELETE FROM concurrency_slot s USING chosen WHERE s.limit_id = chosen.limit_id AND s.slot = chosen.slot
    RETURNING s.limit_id
), returned AS (
    SELECT id AS limit_id, 1 AS leases, :slots::bigint AS from_bucket,
           CASE WHEN :occupancy::float8 IS NOT NULL
                THEN greatest(:occupancy::float8 / :slots::bigint, {_SHORTEST_OCCUPANCY}) END AS each
    FROM named
    WHERE (SELECT count(*) FROM freed) >= 0 AND (slot_decay_per_second > 0 OR :occupancy::float8 IS NOT NULL)
), {_CHANGE_LIMITS}
SELECT id, name, slot_limit AS limit FROM named ORDER BY name
""")

# Without a limit and without a holder nobody can ever give them back: their taker raced the deletion of the limit.
_DELETE_ORPHANS = """
DELETE FROM concurrency_slot WHERE (limit_id, slot) IN (
    SELECT s.limit_id, s.slot FROM concurrency_slot s
    WHERE s.lease_id IS NULL AND s.run_id IS NULL
        AND NOT EXISTS (SELECT FROM concurrency_limit l WHERE l.id = s.limit_id)
    LIMIT $1 FOR UPDATE SKIP LOCKED
)
"""


async def renew(db: Executor, workspace_id: UUID, id: UUID, seconds: float) -> bool:
    """Let the lease expire ``seconds`` from now. ``False``: it is gone, or lost a slot while it was expired."""
    return await db.fetchval(_RENEW.sql, *_RENEW.bind(id=id, workspace_id=workspace_id, seconds=seconds)) is not None


async def release(scope: Scope, ids: Sequence[UUID], db: Executor | None = None) -> int:
    """Give everything back that the leases hold; returns how many there were. Unknown ones are passed over."""
    waits = waits_of(scope)
    ended: int = await (db or scope.db).fetchval(
        _RELEASE.sql,
        *_RELEASE.bind(ids=list(ids), workspace_id=scope.workspace_id, tag_wait=waits.tags, wait=waits.others),
    )
    return ended


async def release_by_count(
    scope: Scope, names: Sequence[str], slots: int, occupancy: float | None
) -> list[dict[str, object]]:
    """Give ``slots`` back that were taken without a lease, of every limit named; returns the limits known.

    ``occupancy``: seconds for which all of them together were held.
    """
    waits = waits_of(scope)
    rows = await scope.db.fetch(
        _RELEASE_BY_COUNT.sql,
        *_RELEASE_BY_COUNT.bind(
            workspace_id=scope.workspace_id,
            names=list(names),
            slots=slots,
            occupancy=occupancy,
            tag_wait=waits.tags,
            wait=waits.others,
        ),
    )
    return [dict(row) for row in rows]


async def collect_expired(scope: Scope, most: int) -> int:
    """End up to ``most`` expired leases, of all workspaces; returns how many."""
    waits = waits_of(scope)
    ended: int = await scope.db.fetchval(
        _COLLECT.sql, *_COLLECT.bind(most=most, tag_wait=waits.tags, wait=waits.others)
    )
    await scope.db.execute(_DELETE_ORPHANS, most)
    return ended
