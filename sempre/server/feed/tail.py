"""The live end of a log: one reader per process, many subscribers.

The reader keeps its cursor in memory and reads only while somebody listens. What commits after a subscription began is
delivered to it, late-committing rows included; what was there before is the subscriber's own business (its backfill).

Of several processes that read the same log one may do it for all (:mod:`sempre.server.feed.shared_reading`): while
what it tells continues the own cursor, Postgres is not asked. After a gap, or a silence that the doorbell contradicts,
it is.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sempre.core.log_cursor import Cursor, advance, to_json
from sempre.core.log_sharing import follow
from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Database
from sempre.db.waiting import wait_at_most
from sempre.server.feed.doorbell import Doorbell
from sempre.server.feed.reading import UNBOUNDED_HOLE, rows_after
from sempre.server.feed.shared_reading import SharedReading
from sempre.server.feed.stretches import Codec, Row, Stretch

__all__ = ["Subscription", "Tail"]

log = logging.getLogger("sempre.feed")

_POLL_SECONDS = 1.0
# Who was told something so recently leaves the reading to the one who told,
_TOLD_SECONDS = 1.0
# unless the doorbell rings and nothing comes for so long.
_PATIENCE_SECONDS = 0.1
# A ring this short after something came is about that.
_ANSWERED_SECONDS = 0.02
_READ_AT_ONCE = 500
# How far back the first look goes for numbers whose transactions are still running.
_LOOK_BACK = 1000


@dataclass(eq=False)
class Subscription:
    """What one subscriber has yet to read: encoded messages with the key of their row.

    It is ``ended`` when it fell too far behind (or the feed broke); nothing more is delivered then.
    """

    wants: Callable[[Mapping[str, Any]], bool]
    capacity: int
    ended: bool = False
    _waiting: deque[tuple[Any, bytes]] = field(default_factory=deque)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def get(self) -> tuple[Any, bytes] | None:
        """The next ``(row id, message)``; ``None`` once everything before the end was read."""
        while not self._waiting:
            if self.ended:
                return None
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()

    def put(self, key: Any, message: bytes) -> None:
        if self.ended:
            return
        if len(self._waiting) >= self.capacity:
            self.end()
            return
        self._waiting.append((key, message))
        self._news.set()

    def end(self) -> None:
        self.ended = True
        self._news.set()


class Tail:
    """``table`` is read when ``topic`` rings, or every second; ``encode`` makes the message of a row, once for all.

    ``shared``: with whom the reading is shared.
    """

    def __init__(
        self,
        db: Database,
        doorbell: Doorbell,
        *,
        table: str,
        topic: str,
        encode: Callable[[Row], bytes],
        shared: SharedReading | None = None,
    ) -> None:
        self._db = db
        self._doorbell = doorbell
        self._topic = topic
        self._encode = encode
        self._table = table
        self._shared = shared
        self._codec = Codec(table)
        self._cursor = Cursor()
        self._told_to = Cursor()  # where what was told to others last ends, dead numbers since then aside
        self._told_at = float("-inf")
        self.reads = 0  # of the database, for metrics
        rows = rows_after(table, "*", position="c.position", holes="c.holes", limit="$3")
        self._sql = f"""
        SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin,
               CASE WHEN {UNBOUNDED_HOLE.format(holes="c.holes")}
                   THEN pg_current_xact_id()::text::bigint ELSE 0 END AS xmax, e.*
        FROM (SELECT $1::bigint AS position, $2::jsonb AS holes) c LEFT JOIN LATERAL ({rows}) e ON true
        """
        self._subscriptions: set[Subscription] = set()
        self._task: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None

    @asynccontextmanager
    async def subscribed(
        self, wants: Callable[[Mapping[str, Any]], bool], capacity: int
    ) -> AsyncIterator[Subscription]:
        """A subscription to the rows that ``wants`` accepts. Raises DatabaseUnavailable if the log cannot be read."""
        subscription = Subscription(wants, capacity)
        self._subscriptions.add(subscription)
        try:
            if self._started is None:
                self._started = asyncio.get_running_loop().create_future()
                self._task = asyncio.create_task(self._run(self._started), name=f"tail-{self._table}")
            await asyncio.shield(self._started)
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            if not self._subscriptions:
                await self.stop()

    async def stop(self) -> None:
        task, self._task, started, self._started = self._task, None, self._started, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if started is not None and not started.done():
            started.cancel()

    async def _run(self, started: "asyncio.Future[None]") -> None:
        with self._doorbell.listening(self._topic) as news:
            try:
                self._cursor = self._told_to = await self._end()
                started.set_result(None)
            except DatabaseUnavailable as error:
                started.set_exception(error)
                self._started = None
                return
            if self._shared is not None:
                self._shared.start(news)
            try:
                await self._deliver_for_ever(news)
            except Exception:
                log.exception("the live feed of %s broke; its subscribers start anew", self._table)
                self._break_off()
            finally:
                if self._shared is not None:
                    await self._shared.stop()

    async def _deliver_for_ever(self, news: asyncio.Event) -> None:
        now = asyncio.get_running_loop().time
        look_at = 0.0
        while True:
            rung = news.is_set()
            news.clear()
            look_at = self._next_look(look_at, now(), rung)
            if look_at <= now():
                full = False
                try:
                    full = await self._read()
                except DatabaseUnavailable as error:
                    log.warning("the live feed of %s waits for the database: %s", self._table, error)
                look_at = now() + (0 if full else _POLL_SECONDS)
            if look_at > now():
                await wait_at_most(look_at - now(), news)

    def _next_look(self, planned: float, now: float, rung: bool) -> float:
        """Deliver what others have told, and find when to look into the database: at ``planned``, if not sooner."""
        told = self._shared.take() if self._shared is not None else []
        if told:
            if not all(self._follow(stretch) for stretch in told):
                return now
            self._told_at = now
            return now + _POLL_SECONDS
        since = now - self._told_at
        if rung and since > _TOLD_SECONDS:
            return now
        return min(planned, now + _PATIENCE_SECONDS) if rung and since > _ANSWERED_SECONDS else planned

    def _follow(self, stretch: Stretch) -> bool:
        """Deliver what is new of a stretch. ``False``: something before it, or its rows, must be read."""
        if stretch.rows is None:
            return False
        rows = self._codec.rows(stretch.rows)
        followed = follow(self._cursor, stretch.before, stretch.after, [row["seq"] for row in rows])
        if followed is None:
            return False
        self._cursor, new = followed
        self._told_to = self._cursor
        for row in rows:
            if row["seq"] in new:
                self._deliver(row)
        return True

    def _break_off(self) -> None:
        self._started = None
        for subscription in self._subscriptions:
            subscription.end()

    async def _end(self) -> Cursor:
        """The end of the log, with the numbers shortly before it that are not there yet as holes."""
        rows = await self._db.fetch(
            f"""
            SELECT seq FROM {self._table}
            WHERE seq > (SELECT seq FROM {self._table} ORDER BY seq DESC LIMIT 1) - $1 ORDER BY seq
            """,
            _LOOK_BACK,
        )
        seqs = [row["seq"] for row in rows]
        if not seqs:
            return Cursor()
        return advance(Cursor(max(0, min(seqs[0] - 1, seqs[-1] - _LOOK_BACK))), seqs, 0, 0)

    async def _read(self) -> bool:
        """Deliver what is there, and tell it to the others. ``True``: there may be more."""
        self.reads += 1
        before, stored = self._cursor, to_json(self._cursor)
        rows = await self._db.fetch(self._sql, stored["position"], stored["holes"], _READ_AT_ONCE)
        xmin, xmax = rows[0]["xmin"], rows[0]["xmax"]
        new = [row for row in rows if row["seq"] is not None]
        self._cursor = advance(before, [row["seq"] for row in new], xmin, xmax)
        for row in new:
            self._deliver(row)
        tells = self._shared is not None and self._shared.tells
        if self._shared is not None and tells and new:
            self._shared.offer(self._codec.stretches(self._told_to, before, self._cursor, new))
        if new or not tells:
            self._told_to = self._cursor
        return len(new) >= _READ_AT_ONCE

    def _deliver(self, row: Row) -> None:
        message: bytes | None = None
        for subscription in self._subscriptions:
            if subscription.wants(row):
                message = message or self._encode(row)
                subscription.put(row["id"], message)
