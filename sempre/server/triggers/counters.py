"""What triggers have counted, in the database: buckets, firings of children, watches, events that wait.

Only the consumer of a shard writes these, in its own transaction; so nothing here guards against a second writer.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sempre.core.triggers.evaluation import BucketKey, ChildKey
from sempre.core.triggers.model import Automation, Bucket, EventKey, Firing, Key
from sempre.db.pool import Executor, Record
from sempre.server.responses import dumps
from sempre.server.triggers.definitions import shard_of

__all__ = [
    "BucketWrite",
    "children_of_parents",
    "due_watches",
    "forget",
    "is_anything_left_over",
    "load_buckets",
    "load_due_buckets",
    "next_ends",
    "start_watches",
    "stop_watches",
    "sweep",
    "sweep_forgotten",
    "write_buckets",
    "write_children",
    "write_watches",
]

_BUCKET = "trigger_id, key, window_start, window_end, count, last_number, last_occurred"


def hash_of(key: Key) -> UUID:
    """A key of any length as 128 bits. The lengths go in, so that no two keys run together."""
    text = "".join(f"{len(value)}:{value}" for value in key)
    return UUID(bytes=hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest())


async def load_buckets(db: Executor, keys: Iterable[BucketKey]) -> dict[BucketKey, Bucket]:
    wanted = sorted({(key.trigger_id, hash_of(key.key)) for key in keys})
    rows = await db.fetch(
        f"""
        SELECT {_BUCKET} FROM unnest($1::uuid[], $2::uuid[]) AS wanted(id, hash)
        JOIN automation_bucket ON trigger_id = wanted.id AND key_hash = wanted.hash
        """,
        [id for id, _ in wanted],
        [hash for _, hash in wanted],
    )
    return {_bucket_key(row): _bucket(row) for row in rows}


async def load_due_buckets(
    db: Executor, trigger_ids: Sequence[UUID], as_of: datetime, limit: int
) -> tuple[dict[BucketKey, Bucket], dict[EventKey, Any]]:
    """Of proactive triggers: buckets that are over or have got what they wait for, the oldest of them; and, for each
    trigger that counts everything together, the one it has. With them, those of their last events that were kept."""
    rows = await db.fetch(
        f"""
        SELECT DISTINCT {_BUCKET}, last_event FROM unnest($1::uuid[]) AS wanted(id) CROSS JOIN LATERAL (
            (SELECT * FROM automation_bucket WHERE trigger_id = wanted.id AND proactive AND window_end <= $2
             ORDER BY window_end LIMIT $3)
            UNION ALL
            (SELECT * FROM automation_bucket WHERE trigger_id = wanted.id AND satisfied LIMIT $3)
            UNION ALL
            (SELECT * FROM automation_bucket WHERE trigger_id = wanted.id AND key_hash = $4)
        ) due
        """,
        sorted(trigger_ids),
        as_of,
        limit,
        hash_of(()),
    )
    buckets = {_bucket_key(row): _bucket(row) for row in rows}
    kept = {
        EventKey(row["last_number"], row["last_occurred"]): row["last_event"]
        for row in rows
        if row["last_event"] is not None
    }
    return buckets, kept


def _bucket_key(row: Record) -> BucketKey:
    return BucketKey(row["trigger_id"], tuple(row["key"]))


def _bucket(row: Record) -> Bucket:
    last = None if row["last_number"] is None else EventKey(row["last_number"], row["last_occurred"])
    return Bucket(row["window_start"], row["window_end"], row["count"], last)


class BucketWrite:
    """A bucket to be written, with what the table says beside it."""

    __slots__ = ("automation", "bucket", "key", "last_event", "proactive", "satisfied")

    def __init__(
        self,
        automation: Automation,
        key: BucketKey,
        bucket: Bucket,
        *,
        proactive: bool,
        satisfied: bool,
        last_event: dict[str, Any] | None,
    ) -> None:
        self.automation = automation
        self.key = key
        self.bucket = bucket
        self.proactive = proactive
        self.satisfied = satisfied
        self.last_event = last_event


_WRITE_BUCKETS = """
INSERT INTO automation_bucket (
    trigger_id, key_hash, key, automation_id, workspace_id, shard, proactive, satisfied, window_start, window_end,
    count, last_number, last_occurred, last_event
)
SELECT w.trigger_id, w.key_hash, ARRAY(SELECT jsonb_array_elements_text(w.key::jsonb)), w.automation_id, w.workspace_id,
       w.shard, w.proactive, w.satisfied, w.window_start, w.window_end, w.count, w.last_number, w.last_occurred,
       w.last_event
FROM unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::int[], $7::boolean[], $8::boolean[],
    $9::timestamptz[], $10::timestamptz[], $11::bigint[], $12::bigint[], $13::timestamptz[], $14::jsonb[]
) AS w(trigger_id, key_hash, key, automation_id, workspace_id, shard, proactive, satisfied, window_start, window_end,
       count, last_number, last_occurred, last_event)
ON CONFLICT (trigger_id, key_hash) DO UPDATE SET
    satisfied = excluded.satisfied, window_start = excluded.window_start, window_end = excluded.window_end,
    count = excluded.count, last_number = excluded.last_number, last_occurred = excluded.last_occurred,
    last_event = excluded.last_event
"""


async def write_buckets(tx: Executor, writes: Sequence[BucketWrite], gone: Iterable[BucketKey]) -> None:
    deleted = sorted((key.trigger_id, hash_of(key.key)) for key in gone)
    if deleted:
        await tx.execute(
            """
            DELETE FROM automation_bucket b USING unnest($1::uuid[], $2::uuid[]) AS gone(id, hash)
            WHERE b.trigger_id = gone.id AND b.key_hash = gone.hash
            """,
            [id for id, _ in deleted],
            [hash for _, hash in deleted],
        )
    rows = sorted(
        (
            (
                write.key.trigger_id,
                hash_of(write.key.key),
                dumps(write.key.key).decode(),
                write.automation.id,
                write.automation.workspace_id,
                shard_of(write.automation.id),
                write.proactive,
                write.satisfied,
                write.bucket.start,
                write.bucket.end,
                write.bucket.count,
                write.bucket.last_event.number if write.bucket.last_event else None,
                write.bucket.last_event.occurred if write.bucket.last_event else None,
                write.last_event,
            )
            for write in writes
        ),
        key=lambda row: row[:2],
    )
    if rows:
        await tx.execute(_WRITE_BUCKETS, *(list(column) for column in zip(*rows, strict=True)))


async def children_of_parents(
    db: Executor, parent_ids: Iterable[UUID]
) -> tuple[dict[ChildKey, Firing], dict[UUID, Any]]:
    """The firings that composite triggers keep of their children, and their documents by the firing's id."""
    rows = await db.fetch(
        """
        SELECT parent_trigger_id, child_trigger_id, firing_id, fired_at, firing FROM automation_child_firing
        WHERE parent_trigger_id = ANY($1::uuid[])
        """,
        sorted(set(parent_ids)),
    )
    firings = {
        ChildKey(row["parent_trigger_id"], row["child_trigger_id"]): Firing(
            row["firing_id"], row["child_trigger_id"], row["fired_at"]
        )
        for row in rows
    }
    return firings, {row["firing_id"]: row["firing"] for row in rows}


async def write_children(
    tx: Executor,
    kept: Sequence[tuple[Automation, ChildKey, Firing]],
    gone: Sequence[ChildKey],
    documents: Mapping[UUID, Any],
) -> None:
    if gone:
        await tx.execute(
            """
            DELETE FROM automation_child_firing f USING unnest($1::uuid[], $2::uuid[]) AS gone(parent, child)
            WHERE f.parent_trigger_id = gone.parent AND f.child_trigger_id = gone.child
            """,
            [key.parent_id for key in gone],
            [key.child_id for key in gone],
        )
    if kept:
        await tx.execute(
            """
            INSERT INTO automation_child_firing (
                parent_trigger_id, child_trigger_id, automation_id, workspace_id, shard, firing_id, fired_at, firing
            )
            SELECT * FROM unnest(
                $1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::int[], $6::uuid[], $7::timestamptz[], $8::jsonb[]
            )
            ON CONFLICT (parent_trigger_id, child_trigger_id) DO UPDATE SET
                firing_id = excluded.firing_id, fired_at = excluded.fired_at, firing = excluded.firing
            """,
            [key.parent_id for _, key, _ in kept],
            [key.child_id for _, key, _ in kept],
            [automation.id for automation, _, _ in kept],
            [automation.workspace_id for automation, _, _ in kept],
            [shard_of(automation.id) for automation, _, _ in kept],
            [firing.id for _, _, firing in kept],
            [firing.triggered for _, _, firing in kept],
            [documents[firing.id] for _, _, firing in kept],
        )


async def start_watches(db: Executor, shard: int, wanted: Mapping[UUID, Automation], now: datetime) -> None:
    """Look at these triggers from now on; those that are looked at already stay as they are."""
    ids = sorted(wanted)
    await db.execute(
        """
        INSERT INTO automation_watch (trigger_id, automation_id, workspace_id, shard, due)
        SELECT w.trigger_id, w.automation_id, w.workspace_id, $4, $5
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS w(trigger_id, automation_id, workspace_id)
        ON CONFLICT DO NOTHING
        """,
        ids,
        [wanted[id].id for id in ids],
        [wanted[id].workspace_id for id in ids],
        shard,
        now,
    )


async def stop_watches(db: Executor, trigger_ids: Sequence[UUID]) -> None:
    await db.execute("DELETE FROM automation_watch WHERE trigger_id = ANY($1::uuid[])", sorted(trigger_ids))


async def due_watches(db: Executor, shard: int, now: datetime, limit: int) -> list[UUID]:
    """Triggers to look at now, those that have waited longest first."""
    rows = await db.fetch(
        "SELECT trigger_id FROM automation_watch WHERE shard = $1 AND due <= $2 ORDER BY due LIMIT $3",
        shard,
        now,
        limit,
    )
    return [row["trigger_id"] for row in rows]


async def next_ends(tx: Executor, trigger_ids: Sequence[UUID], as_of: datetime) -> dict[UUID, datetime | None]:
    """When the next bucket of each trigger ends."""
    rows = await tx.fetch(
        """
        SELECT wanted.id, (
            SELECT window_end FROM automation_bucket
            WHERE trigger_id = wanted.id AND proactive AND window_end > $2 ORDER BY window_end LIMIT 1
        ) AS next_end FROM unnest($1::uuid[]) AS wanted(id)
        """,
        sorted(trigger_ids),
        as_of,
    )
    return {row["id"]: row["next_end"] for row in rows}


async def write_watches(tx: Executor, due: Mapping[UUID, datetime]) -> None:
    ids = sorted(due)
    await tx.execute(
        """
        UPDATE automation_watch w SET due = next.due FROM unnest($1::uuid[], $2::timestamptz[]) AS next(id, due)
        WHERE w.trigger_id = next.id
        """,
        ids,
        [due[id] for id in ids],
    )


async def is_anything_left_over(db: Executor, shard: int, before: datetime) -> bool:
    """Whether there is something to sweep: buckets that ended before that time, or triggers that are no more."""
    return bool(
        await db.fetchval(
            """
            SELECT EXISTS (SELECT FROM automation_bucket WHERE shard = $1 AND window_end <= $2)
                OR EXISTS (SELECT FROM automation_forgotten_trigger WHERE shard = $1)
            """,
            shard,
            before,
        )
    )


async def sweep(tx: Executor, shard: int, before: datetime, limit: int) -> None:
    """Delete buckets that ended before that time, but for those a proactive trigger has still to look at."""
    await tx.execute(
        """
        DELETE FROM automation_bucket WHERE (trigger_id, key_hash) IN (
            SELECT b.trigger_id, b.key_hash FROM automation_bucket b
            WHERE b.shard = $1 AND b.window_end <= $2
                AND NOT (b.proactive AND EXISTS (SELECT FROM automation_watch w WHERE w.trigger_id = b.trigger_id))
            ORDER BY b.window_end LIMIT $3
        )
        """,
        shard,
        before,
        limit,
    )


async def sweep_forgotten(tx: Executor, shard: int, limit: int) -> None:
    """Delete what one trigger that is no more has counted, a part at a time."""
    trigger_id = await tx.fetchval(
        "SELECT trigger_id FROM automation_forgotten_trigger WHERE shard = $1 ORDER BY trigger_id LIMIT 1", shard
    )
    if trigger_id is None:
        return
    status = await tx.execute(
        """
        DELETE FROM automation_bucket WHERE (trigger_id, key_hash) IN (
            SELECT trigger_id, key_hash FROM automation_bucket WHERE trigger_id = $1 LIMIT $2
        )
        """,
        trigger_id,
        limit,
    )
    if int(status.rpartition(" ")[2]) < limit:
        await tx.execute("DELETE FROM automation_child_firing WHERE parent_trigger_id = $1", trigger_id)
        await tx.execute("DELETE FROM automation_metric_slot WHERE trigger_id = $1", trigger_id)
        await tx.execute("DELETE FROM automation_watch WHERE trigger_id = $1", trigger_id)
        await tx.execute("DELETE FROM automation_forgotten_trigger WHERE trigger_id = $1", trigger_id)


async def forget(tx: Executor, automation_id: UUID, trigger_ids: Sequence[UUID]) -> None:
    """Have whatever these triggers have counted deleted, by whoever works their shard."""
    await tx.execute(
        """
        INSERT INTO automation_forgotten_trigger (trigger_id, shard)
        SELECT unnest($1::uuid[]), $2 ON CONFLICT DO NOTHING
        """,
        sorted(trigger_ids),
        shard_of(automation_id),
    )
