"""Taking slots of several limits at once, all or nothing.

Locks are always taken in the order slots, leases, limits, each sorted by key; see :mod:`.leases` for the other side.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from sempre.core.concurrency import Limit, Waits, retry_after
from sempre.db.pool import Executor, Record
from sempre.db.statement import Statement
from sempre.server.concurrency.levels import active_slots, bucket_level, denied_slots
from sempre.server.concurrency.statements import free_slots
from sempre.server.errors import Locked, Unprocessable
from sempre.server.ids import new_id
from sempre.server.scope import Scope

__all__ = ["MOST_SLOTS", "Full", "LeaseTerms", "refuse", "take", "waits_of"]

MOST_SLOTS = 10_000  # rows one request may make; a bucket has no rows and no such bound
_MOST_ATTEMPTS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTerms:
    """``seconds`` None: the lease ends with its holder, never with time. ``run_id``: the run that holds the slots, at
    most one of each limit, so that taking them is idempotent."""

    seconds: float | None
    holder_type: str | None = None
    holder_id: UUID | None = None
    run_id: UUID | None = None


class Full(Exception):
    """Some limit has too few free slots. ``limits`` are all that were asked, as last read."""

    def __init__(self, limits: list[Record]) -> None:
        super().__init__("no free slot")
        self.limits = limits


_LOAD = Statement(f"""
SELECT l.id, l.name, l.slot_limit AS limit, l.active, l.slot_decay_per_second, l.avg_slot_occupancy_seconds,
       {active_slots("l")} AS active_slots, {denied_slots("l", ":tag_wait::float8", ":wait::float8")} AS denied_slots,
       EXISTS (SELECT FROM concurrency_slot s WHERE s.limit_id = l.id AND s.run_id = :run_id::uuid) AS held
FROM concurrency_limit l
WHERE l.workspace_id = :workspace_id::uuid AND l.name = ANY(:names::text[])
ORDER BY l.name
""")

_EXPIRY = "clock_timestamp() + make_interval(secs => :seconds::float8)"

_TAKE = Statement(f"""
WITH wanted AS MATERIALIZED (
    SELECT l.id, free.slot FROM concurrency_limit l CROSS JOIN LATERAL {free_slots("l", ":slots::bigint")} free
    WHERE l.workspace_id = :workspace_id::uuid AND l.id = ANY(:limit_ids::uuid[])
        AND l.active AND l.slot_decay_per_second = 0
), taken AS (
    INSERT INTO concurrency_slot AS held (limit_id, slot, workspace_id, lease_id, run_id, acquired_at, expires_at)
    SELECT id, slot, :workspace_id::uuid, :lease_id::uuid, :run_id::uuid, clock_timestamp(), {_EXPIRY}
    FROM wanted ORDER BY id, slot
    ON CONFLICT (limit_id, slot) DO UPDATE SET
        workspace_id = excluded.workspace_id, lease_id = excluded.lease_id, run_id = excluded.run_id,
        acquired_at = excluded.acquired_at, expires_at = excluded.expires_at
        WHERE held.expires_at <= clock_timestamp()
    RETURNING held.limit_id
), lease AS (
    INSERT INTO concurrency_lease (
        id, workspace_id, expires_at, slots, limit_ids, bucket_ids, holder_type, holder_id
    )
    SELECT :lease_id::uuid, :workspace_id::uuid, {_EXPIRY}, :slots::bigint, :limit_ids::uuid[], :bucket_ids::uuid[],
           :holder_type::text, :holder_id::uuid
    WHERE :lease_id::uuid IS NOT NULL
), bucket AS MATERIALIZED (
    SELECT id FROM concurrency_limit
    WHERE id = ANY(:bucket_ids::uuid[]) AND (SELECT count(*) FROM taken) >= 0
    ORDER BY id FOR UPDATE
), filled AS (
    UPDATE concurrency_limit l SET
        bucket_level = {bucket_level("l")} + :slots::bigint,
        denied_slots = {denied_slots("l", ":tag_wait::float8", ":wait::float8")}, updated = clock_timestamp()
    FROM bucket
    WHERE l.id = bucket.id AND l.workspace_id = :workspace_id::uuid AND l.active AND l.slot_decay_per_second > 0
        AND {bucket_level("l")} + :slots::bigint <= l.slot_limit
    RETURNING l.id
)
SELECT sempre_require(
    (SELECT count(*) FROM taken) = cardinality(:limit_ids::uuid[]) * :slots::bigint
    AND (SELECT count(*) FROM filled) = cardinality(:bucket_ids::uuid[]), 'slot taken by another'
)
""")

_REFUSE = Statement(f"""
WITH refusing AS MATERIALIZED (
    SELECT id FROM concurrency_limit
    WHERE workspace_id = :workspace_id::uuid AND id = ANY(:ids::uuid[]) ORDER BY id FOR UPDATE
)
UPDATE concurrency_limit l SET
    bucket_level = {bucket_level("l")},
    denied_slots = {denied_slots("l", ":tag_wait::float8", ":wait::float8")} + :slots::bigint,
    updated = clock_timestamp()
FROM refusing WHERE l.id = refusing.id
""")


async def take(
    scope: Scope, names: Sequence[str], slots: int, *, rate_limit: bool = False, lease: LeaseTerms | None = None
) -> tuple[UUID | None, list[Record]]:
    """Take ``slots`` of every limit named, under one lease if terms are given. Unknown names are ignored, inactive
    limits let everybody in. Returns the lease's id and the limits found, by name.

    Raises Full, and Unprocessable for what can never succeed.
    """
    limits: list[Record] = []
    for _ in range(_MOST_ATTEMPTS):
        limits = await _load(scope, names, lease)
        active = [limit for limit in limits if limit["active"] and not limit["held"]]
        _check(active, slots, rate_limit)
        if any(limit["active_slots"] + slots > limit["limit"] for limit in active):
            raise Full(limits)
        if not active and (lease is None or lease.run_id is not None):
            return None, limits  # a run needs no lease that holds nothing
        lease_id = None if lease is None else new_id()
        if await _attempt(scope, active, slots, lease_id, lease):
            return lease_id, limits
    # Whoever lost this often stands before a limit that is as good as full.
    raise Full(limits)


async def refuse(scope: Scope, full: Full, slots: int) -> Locked:
    """The answer to a request that found no slots. It is remembered: the more are refused, the longer they wait."""
    active = [limit for limit in full.limits if limit["active"]]
    await scope.db.execute(
        _REFUSE.sql,
        *_REFUSE.bind(
            workspace_id=scope.workspace_id, ids=[limit["id"] for limit in active], slots=slots, **_waits(scope)
        ),
    )
    draw = random.random()  # noqa: S311 (jitter)
    seconds = retry_after((_limit(row) for row in active), slots, draw, waits_of(scope))
    return Locked("Locked", {"Retry-After": str(seconds)})


def waits_of(scope: Scope) -> Waits:
    """The longest waits that the settings allow."""
    settings = scope.settings
    return Waits(tags=settings.tasks.tag_slot_wait_seconds, others=settings.concurrency.maximum_slot_wait_seconds)


def _waits(scope: Scope) -> dict[str, float]:
    waits = waits_of(scope)
    return {"tag_wait": waits.tags, "wait": waits.others}


async def _load(scope: Scope, names: Sequence[str], lease: LeaseTerms | None) -> list[Record]:
    return await scope.db.fetch(
        _LOAD.sql,
        *_LOAD.bind(
            workspace_id=scope.workspace_id,
            names=list(names),
            run_id=lease.run_id if lease else None,
            **_waits(scope),
        ),
    )


def _check(active: Iterable[Record], slots: int, rate_limit: bool) -> None:
    active = list(active)
    if any(limit["limit"] < slots for limit in active):
        raise Unprocessable("Slots requested is greater than the limit")
    steady = [limit for limit in active if limit["slot_decay_per_second"] == 0]
    if rate_limit and steady:
        named = ", ".join(repr(limit["name"]) for limit in steady)
        raise Unprocessable(
            "Only concurrency limits with slot decay can be used for rate limiting. "
            f"The following limits do not have a decay configured: {named}"
        )
    if steady and slots > MOST_SLOTS:
        raise Unprocessable(f"At most {MOST_SLOTS} slots can be taken at once.")


async def _attempt(
    scope: Scope, active: list[Record], slots: int, lease_id: UUID | None, lease: LeaseTerms | None
) -> bool:
    """Whether all slots were taken; else none was, because another came first."""
    terms = lease or LeaseTerms(seconds=None)
    parameters: dict[str, Any] = {
        "workspace_id": scope.workspace_id,
        "slots": slots,
        "limit_ids": [limit["id"] for limit in active if limit["slot_decay_per_second"] == 0],
        "bucket_ids": [limit["id"] for limit in active if limit["slot_decay_per_second"] > 0],
        "lease_id": lease_id,
        "seconds": terms.seconds,
        "holder_type": terms.holder_type,
        "holder_id": terms.holder_id,
        "run_id": terms.run_id,
        **_waits(scope),
    }
    try:
        await _execute(scope.db, parameters)
    except asyncpg.UniqueViolationError:
        return False  # the run itself, in a parallel request
    except asyncpg.PostgresError as error:
        if error.sqlstate == "SP001":
            return False
        raise
    return True


async def _execute(db: Executor, parameters: dict[str, Any]) -> None:
    await db.fetchval(_TAKE.sql, *_TAKE.bind(**parameters))


def _limit(row: Record) -> Limit:
    return Limit(
        name=row["name"],
        limit=row["limit"],
        active=row["active"],
        active_slots=row["active_slots"],
        denied_slots=row["denied_slots"],
        slot_decay_per_second=row["slot_decay_per_second"],
        avg_slot_occupancy_seconds=row["avg_slot_occupancy_seconds"],
    )
