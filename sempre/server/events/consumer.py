"""Reading the event log by cursor, each event exactly once per consumer.

One read is one statement: the cursor's row, the next events and the bounds of the snapshot. The handler turns events
into work; the work and the new cursor commit together, guarded by the fence that was read, so that of any number of
processes that read the same events one commits and the others find nothing done. The lease only keeps the others from
trying.

A batch the database or the handler refuses is halved until the one event at fault stands alone; after a few attempts
that one goes to ``event_dead_letter`` and the rest goes on.

Events of which nothing came need no commit: the consumer goes on from where it is and writes that down now and then.
Whoever takes over reads them again, and nothing comes of them again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import UUID

from sempre.core.log_cursor import Cursor, advance, from_json, to_json
from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Database, Executor, Record
from sempre.db.waiting import wait_at_most
from sempre.server.feed.doorbell import Doorbell
from sempre.server.feed.reading import UNBOUNDED_HOLE, rows_after
from sempre.server.ids import PROCESS

__all__ = ["Consumer", "Handler", "Rejected", "Work", "pass_over", "take_share"]

log = logging.getLogger("sempre.events")

LEASE_SECONDS = 3.0
_ATTEMPTS = 3
_RETRY_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event (by its number in the log) that can never be used, and why."""

    seq: int
    error: str


@dataclass(slots=True)
class Work:
    """What a handler made of events. ``write`` runs in the transaction that moves the cursor and must be short;
    ``topics`` are rung once that is committed. ``state`` is what the consumer is to remember (None: as it was)."""

    write: Callable[[Executor], Awaitable[None]] | None = None
    rejected: Sequence[Rejected] = ()
    topics: Sequence[str] = ()
    state: Any = None

    @property
    def is_nothing(self) -> bool:
        return self.write is None and not self.rejected


# Rows of `event`, in order of seq. A handler may read from the database; it must not write outside of its Work.
Handler = Callable[[Sequence[Record]], Awaitable[Work]]

_GATHER_SECONDS = 0.03
# For how long a position may be known here alone while nothing comes of the events.
_UNWRITTEN_SECONDS = 1.0


@cache
def _read_statement(columns: str) -> str:
    rows = rows_after("event", columns, position="c.position", holes="c.holes", limit="$3")
    return f"""
    SELECT c.position, c.holes, c.fence, c.state, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin,
           CASE WHEN {UNBOUNDED_HOLE.format(holes="c.holes")}
               THEN pg_current_xact_id()::text::bigint ELSE 0 END AS xmax,
           e.*
    FROM (
        SELECT coalesce($4::bigint, position) AS position, coalesce($5::jsonb, holes) AS holes, fence, state
        FROM event_consumer WHERE name = $1 AND shard = $2
    ) c LEFT JOIN LATERAL ({rows}) e ON true
    """


_CREATE = """
INSERT INTO event_consumer (name, shard, position)
SELECT $1, $2, CASE WHEN $3 THEN coalesce((SELECT max(seq) FROM event), 0) ELSE 0 END
ON CONFLICT DO NOTHING
"""

_TAKE_LEASE = """
UPDATE event_consumer SET
    fence = fence + CASE WHEN owner IS NOT DISTINCT FROM $3 THEN 0 ELSE 1 END,
    owner = $3, lease_until = clock_timestamp() + make_interval(secs => $4)
WHERE name = $1 AND shard = $2
    AND (owner IS NULL OR owner = $3 OR lease_until IS NULL OR lease_until < clock_timestamp())
RETURNING fence
"""

_GIVE_UP_LEASE = "UPDATE event_consumer SET lease_until = NULL WHERE name = $1 AND shard = $2 AND owner = $3"

_MOVE = """
UPDATE event_consumer SET
    position = $3, holes = $4, state = coalesce($6::jsonb, state), fence = fence + 1, updated = clock_timestamp()
WHERE name = $1 AND shard = $2 AND fence = $5
RETURNING fence
"""

# From the process that holds most shards of a consumer, if it holds at least two more than this one.
_TAKE_SHARE = """
WITH held AS (
    SELECT owner, count(*) AS shards, min(shard) AS shard FROM event_consumer
    WHERE name = $1 AND lease_until > clock_timestamp() GROUP BY owner
), victim AS MATERIALIZED (
    SELECT owner, shard FROM held
    WHERE owner <> $2 AND shards >= 2 + coalesce((SELECT shards FROM held WHERE owner = $2), 0)
    ORDER BY shards DESC, owner LIMIT 1
)
UPDATE event_consumer c SET
    fence = fence + 1, owner = $2, lease_until = clock_timestamp() + make_interval(secs => $3)
FROM victim WHERE c.name = $1 AND c.shard = victim.shard AND c.owner = victim.owner
RETURNING c.shard
"""

# What nobody cares for is passed over: up to where the log ended when that was still to be found out.
_ENDS = """
SELECT shard, fence, (SELECT coalesce(max(seq), 0) FROM event) AS number FROM event_consumer
WHERE name = $1
"""
_PASSED_OVER = """
UPDATE event_consumer c SET position = p.number, holes = '[]', fence = c.fence + 1, updated = clock_timestamp()
FROM unnest($2::int[], $3::bigint[], $4::bigint[]) AS p(shard, fence, number)
WHERE c.name = $1 AND c.shard = p.shard AND c.fence = p.fence AND c.position < p.number
"""

_STAND = "SELECT fence, state FROM event_consumer WHERE name = $1 AND shard = $2"

_STAY = """
UPDATE event_consumer SET state = coalesce($4::jsonb, state), fence = fence + 1, updated = clock_timestamp()
WHERE name = $1 AND shard = $2 AND fence = $3
RETURNING fence
"""

_BURY = """
INSERT INTO event_dead_letter (consumer, workspace_id, event_id, event, error)
SELECT $1, e.workspace_id, e.id, to_jsonb(e), dead.error
FROM unnest($2::bigint[], $3::text[]) AS dead(seq, error) JOIN event e USING (seq)
ON CONFLICT DO NOTHING
"""


@dataclass
class Consumer:
    """One consumer (or one shard of it) in this process.

    ``columns`` is what the handler gets of each event, as SQL over the table ``event``, ``seq`` among it.
    ``leased=False`` works without asking whose turn it is; results are the same. ``from_now``: a consumer that starts
    for the first time begins with events yet to come. ``state`` is what was remembered when the events were read that
    the handler is given.
    """

    db: Database
    doorbell: Doorbell
    name: str
    handler: Handler
    columns: str = "*"
    batch_size: int = 500
    shard: int = 0
    leased: bool = True
    from_now: bool = False
    owner: UUID = PROCESS
    state: Any = None
    held: bool = False  # whether it was this process's turn when last asked
    moving_to: Cursor = field(default_factory=Cursor)  # once the events that the handler was given are handled
    _limit: int = 0
    _known: bool = False
    _ahead: "_Ahead | None" = None
    _overtaken: bool = False  # another process has moved the cursor since this one took the lease

    async def run_for(self, seconds: float) -> int:
        """Work for ``seconds``: through what there is, then whenever the doorbell rings. Returns the events handled.

        Call it again and again. Returns without work if another process holds the lease.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        handled = 0
        with self.doorbell.listening("events") as news:
            self.held = await self._hold_lease()
            if not self.held:
                await asyncio.sleep(max(0.0, deadline - loop.time()))
                return 0
            try:
                while (left := deadline - loop.time()) > 0:
                    news.clear()
                    done, idle = await self.step()
                    handled += done
                    if self._overtaken and not await self._hold_lease():
                        self.held = False
                        await asyncio.sleep(left)
                        return handled
                    if idle:
                        looked = loop.time()
                        await wait_at_most(left, news)
                        # Under a steady trickle the bell rings every few milliseconds; a batch a moment later costs
                        # the same and does more. What comes after some rest is looked at at once.
                        await asyncio.sleep(max(0.0, _GATHER_SECONDS - (loop.time() - looked)))
                await self._write_down()
            except asyncio.CancelledError:
                await asyncio.shield(self._give_up_lease())
                raise
        return handled

    async def drain(self) -> int:
        """Handle everything that is there now, whoever holds the lease. Returns the number of events handled."""
        handled = 0
        while True:
            done, idle = await self.step()
            handled += done
            if idle:
                await self._write_down()
                return handled

    async def apart(self, handler: Callable[[], Awaitable[Work]]) -> bool:
        """Commit work that comes of no event, as fenced as any other. ``False``: another process was faster."""
        await self._write_down()
        await self.exist()
        stand = await self.db.fetchrow(_STAND, self.name, self.shard)
        if stand is None:
            return False
        self.state = stand["state"]
        work = await handler()
        if work.is_nothing and work.state is None:
            return True
        async with self.db.transaction() as tx:
            if await tx.fetchval(_STAY, self.name, self.shard, stand["fence"], work.state) is None:
                return False
            if work.write is not None:
                await work.write(tx)
        if work.topics:
            self.doorbell.ring(*work.topics)
        return True

    async def step(self) -> tuple[int, bool]:
        """One batch: ``(events handled, nothing was left to read)``. Raises DatabaseUnavailable."""
        limit = self._limit or self.batch_size
        batch = await self._read(limit)
        self.moving_to = batch.moved
        try:
            work = await self.handler(batch.events) if batch.events else Work()
            moved = await self._commit(batch, work)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            await self._narrow(batch, limit, error)
            return 0, False
        self._limit = 0 if limit * 2 > self.batch_size else limit * 2
        if not moved:
            return 0, False  # somebody else was faster: look at what is left
        return len(batch.events), len(batch.events) < limit

    async def _narrow(self, batch: "_Batch", limit: int, error: Exception) -> None:
        """Try with fewer events; a single one that keeps failing is buried."""
        if len(batch.events) > 1:
            self._limit = max(1, min(limit, len(batch.events)) // 2)
            return
        event = batch.events[0]
        for attempt in range(1, _ATTEMPTS):
            await asyncio.sleep(_RETRY_SECONDS * attempt)
            try:
                await self._commit(batch, await self.handler(batch.events))
                return
            except DatabaseUnavailable:
                raise
            except Exception as again:
                error = again
        log.error("%s: event number %d is set aside: %r", self.name, event["seq"], error)
        await self._commit(batch, Work(rejected=[Rejected(event["seq"], repr(error))]))

    async def _read(self, limit: int) -> "_Batch":
        await self.exist()
        ahead = self._ahead
        at = to_json(ahead.cursor) if ahead else {"position": None, "holes": None}
        rows = await self.db.fetch(
            _read_statement(self.columns), self.name, self.shard, limit, at["position"], at["holes"]
        )
        if not rows:
            self._known = False
            raise DatabaseUnavailable(f"the cursor of {self.name} is gone")
        first = rows[0]
        if ahead is not None and first["fence"] != ahead.fence:
            self._ahead = None  # another process went on from where we last wrote
            self._overtaken = True
            return await self._read(limit)
        self.state = first["state"] if ahead is None or ahead.state is None else ahead.state
        cursor = from_json({"position": first["position"], "holes": first["holes"]})
        events = [row for row in rows if row["seq"] is not None]
        moved = advance(cursor, [row["seq"] for row in events], first["xmin"], first["xmax"])
        return _Batch(cursor, moved, first["fence"], events)

    async def _commit(self, batch: "_Batch", work: Work) -> bool:
        """Cursor and work in one transaction. ``False``: another process had moved the cursor."""
        if batch.cursor == batch.moved:
            return True
        now = asyncio.get_running_loop().time()
        since = self._ahead.since if self._ahead else now
        state = work.state if work.state is not None or self._ahead is None else self._ahead.state
        if work.is_nothing and now - since < _UNWRITTEN_SECONDS:
            self._ahead = _Ahead(batch.moved, batch.fence, state, since)
            return True
        return await self._move(batch.moved, batch.fence, state, work)

    async def _move(self, cursor: Cursor, fence: int, state: Any, work: Work) -> bool:
        at = to_json(cursor)
        async with self.db.transaction() as tx:
            if await tx.fetchval(_MOVE, self.name, self.shard, at["position"], at["holes"], fence, state) is None:
                self._ahead = None
                self._overtaken = True
                return False
            if work.write is not None:
                await work.write(tx)
            if work.rejected:
                await self._bury(tx, work.rejected)
        self._ahead = None
        if work.topics:
            self.doorbell.ring(*work.topics)
        return True

    async def _write_down(self) -> None:
        """Keep the position that is known here alone."""
        if (ahead := self._ahead) is not None:
            await self._move(ahead.cursor, ahead.fence, ahead.state, Work())

    async def exist(self) -> None:
        """Have a place in the log, from which on events are seen."""
        if not self._known:
            await self.db.execute(_CREATE, self.name, self.shard, self.from_now)
            self._known = True

    async def _bury(self, tx: Executor, rejected: Sequence[Rejected]) -> None:
        await tx.execute(_BURY, self.name, [dead.seq for dead in rejected], [dead.error for dead in rejected])

    async def _hold_lease(self) -> bool:
        self._overtaken = False
        if not self.leased:
            return True
        await self.exist()
        return await self.db.fetchval(_TAKE_LEASE, self.name, self.shard, self.owner, LEASE_SECONDS) is not None

    async def _give_up_lease(self) -> None:
        if not self.leased:
            return
        with contextlib.suppress(DatabaseUnavailable):
            await self.db.execute(_GIVE_UP_LEASE, self.name, self.shard, self.owner)


async def take_share(db: Executor, name: str, owner: UUID = PROCESS) -> bool:
    """Take one shard of a consumer over from a process that has far more of them. Whoever had it notices at its next
    commit. Call it now and then: the shards spread evenly, one at a time."""
    return await db.fetchval(_TAKE_SHARE, name, owner, LEASE_SECONDS) is not None


async def pass_over(db: Executor, name: str, idle: Callable[[], Awaitable[Sequence[int]]]) -> Sequence[int]:
    """Have shards that nothing will come of go to the end of the log without reading it. ``idle`` finds out which those
    are, and is asked after the end has been looked up. Returns them."""
    ends = {row["shard"]: row for row in await db.fetch(_ENDS, name)}
    shards = await idle()
    known = [ends[shard] for shard in sorted(shards) if shard in ends]
    if known:
        await db.execute(_PASSED_OVER, name, *([row[part] for row in known] for part in ("shard", "fence", "number")))
    return shards


@dataclass(frozen=True, slots=True)
class _Batch:
    cursor: Cursor
    moved: Cursor
    fence: int
    events: list[Record]


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A position past the one that is written down, for as long as nobody else moves that (``fence``). ``since`` is
    the loop's time at which the two parted."""

    cursor: Cursor
    fence: int
    state: Any
    since: float
