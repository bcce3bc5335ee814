"""The doorbell: "something new is there", rung after commit and heard by every process.

It carries no data and promises nothing: who waits also looks by itself after a while. Rings are coalesced and sent off
the write path.

With Redis they go over a stream there, within milliseconds, and over Postgres as well a while later, for processes that
cannot hear Redis now (those that can take no notice). Without it they go over Postgres, at most every ten milliseconds
per process, because a commit that notifies takes a lock on the whole database. Everybody listens to both, always.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator

import asyncpg

from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Database
from sempre.server.ids import new_id
from sempre.server.redis.clients import BLOCK_SECONDS
from sempre.server.redis.link import RedisAway
from sempre.server.redis.stream import Stream

__all__ = ["RINGS_KEPT", "Doorbell"]

RINGS_KEPT = 1000

_CHANNEL = "sempre_doorbell"
_COALESCE_SECONDS = 0.01
_COALESCE_IN_REDIS_SECONDS = 0.002
# How much later what went over Redis is told over Postgres too.
_SECOND_SECONDS = 0.25
# The first of the topics of such a ring.
_ALSO_IN_REDIS = "~"
_RECONNECT_SECONDS = 1.0
_HEARTBEAT_SECONDS = 5.0
_MAX_PAYLOAD = 7900
# A Redis that answered so recently brings its rings.
_HEARING_SECONDS = BLOCK_SECONDS + 0.3

log = logging.getLogger("sempre.feed")


class Doorbell:
    """``ring("events")`` wakes whoever is in ``wait("events", ...)``, in this process at once and in others soon.

    Topics are short words: ``events``, ``logs``, ``work:<pool id>``, ``background_tasks``, ``work_pool:<id>``, ...
    ``rings`` is the stream in Redis, where there is one.
    """

    def __init__(self, db: Database, rings: Stream | None = None) -> None:
        self._db = db
        self._rings = rings
        self._me = str(new_id()).encode()
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._rung: set[str] = set()
        self._to_send = asyncio.Event()
        self._told_redis: set[str] = set()
        self._to_tell_again = asyncio.Event()
        self._heard_redis = float("-inf")  # the loop's time of its last answer
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loops: list[Callable[[], Awaitable[None]]] = [self._send, self._listen]
        if self._rings is not None:
            loops += [self._tell_again, self._hear]
        self._tasks = [asyncio.create_task(_keep(loop)) for loop in loops]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def ring(self, *topics: str) -> None:
        """Say that there is news. Call it after the commit. Never fails, never waits."""
        self._wake(topics)
        self._rung.update(topics)
        self._to_send.set()

    @contextlib.contextmanager
    def listening(self, *topics: str) -> Iterator[asyncio.Event]:
        """An event that is set by every ring of ``topics`` while the block runs. Clear it before looking."""
        event = asyncio.Event()
        for topic in topics:
            self._waiting.setdefault(topic, set()).add(event)
        try:
            yield event
        finally:
            for topic in topics:
                waiting = self._waiting.get(topic)
                if waiting is not None:
                    waiting.discard(event)
                    if not waiting:
                        del self._waiting[topic]

    def _wake(self, topics: Iterable[str]) -> None:
        for topic in topics:
            for event in self._waiting.get(topic, ()):
                event.set()

    def _wake_all(self) -> None:
        self._wake(list(self._waiting))

    async def _send(self) -> None:
        while True:
            await self._to_send.wait()
            await asyncio.sleep(_COALESCE_IN_REDIS_SECONDS if self._redis_is_up() else _COALESCE_SECONDS)
            self._to_send.clear()
            topics, self._rung = self._rung, set()
            if await self._sent_to_redis(topics):
                self._told_redis |= topics
                self._to_tell_again.set()
            else:
                await self._notify(sorted(topics))

    def _redis_is_up(self) -> bool:
        return self._rings is not None and self._rings.link.up

    async def _sent_to_redis(self, topics: Iterable[str]) -> bool:
        if self._rings is None or not self._rings.link.up:
            return False
        try:
            await self._rings.add({b"by": self._me, b"topics": ",".join(topics).encode()})
        except (RedisAway, DatabaseUnavailable, asyncpg.PostgresError):
            return False
        return True

    async def _tell_again(self) -> None:
        """For those who cannot hear Redis: because it is away for them alone, or not in their settings."""
        while True:
            await self._to_tell_again.wait()
            await asyncio.sleep(_SECOND_SECONDS)
            self._to_tell_again.clear()
            topics, self._told_redis = self._told_redis, set()
            await self._notify(sorted(topics), _ALSO_IN_REDIS)

    async def _notify(self, topics: list[str], *first: str) -> None:
        with contextlib.suppress(DatabaseUnavailable):
            for payload in _payloads(topics):
                await self._db.execute("SELECT pg_notify($1, $2)", _CHANNEL, ",".join((*first, payload)))

    async def _hear(self) -> None:
        """Listen to Redis for ever, and wake everybody when it went away or came back: what was rung is unknown."""
        assert self._rings is not None
        loop = asyncio.get_running_loop()
        while True:
            await self._rings.link.wait_up()
            try:
                while True:
                    heard = await self._rings.read()
                    if self._heard_redis == float("-inf"):
                        self._wake_all()
                    self._heard_redis = loop.time()
                    for ring in heard:
                        if ring.get(b"by") != self._me:
                            self._wake(ring.get(b"topics", b"").decode().split(","))
            except RedisAway:
                self._heard_redis = float("-inf")
                self._wake_all()
            except DatabaseUnavailable:
                await asyncio.sleep(_RECONNECT_SECONDS)

    def _heard_from_postgres(self, payload: str) -> None:
        topics = payload.split(",")
        hears_redis = asyncio.get_running_loop().time() - self._heard_redis < _HEARING_SECONDS
        if topics[0] != _ALSO_IN_REDIS or not hears_redis:
            self._wake(topics)

    async def _listen(self) -> None:
        while True:
            connection: asyncpg.Connection | None = None
            try:
                connection = await self._db.connect()
                await connection.add_listener(_CHANNEL, lambda *heard: self._heard_from_postgres(heard[3]))
                # What was rung while nobody listened is unknown: everybody looks once.
                self._wake_all()
                while not connection.is_closed():
                    await asyncio.sleep(_HEARTBEAT_SECONDS)
                    await connection.execute("SELECT 1")
            except (DatabaseUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                log.debug("the doorbell's connection was lost: %s", error)
            finally:
                if connection is not None:
                    with contextlib.suppress(Exception):
                        await connection.close(timeout=1)
            await asyncio.sleep(_RECONNECT_SECONDS)


async def _keep(loop: Callable[[], Awaitable[None]]) -> None:
    """A bell that fell silent for ever would be the worst of its failures."""
    while True:
        try:
            await loop()
        except Exception:
            log.exception("a part of the doorbell broke and is started again")
        await asyncio.sleep(_RECONNECT_SECONDS)


def _payloads(topics: list[str]) -> list[str]:
    payloads: list[str] = []
    current = ""
    for topic in topics:
        if current and len(current) + 1 + len(topic) > _MAX_PAYLOAD:
            payloads.append(current)
            current = ""
        current = f"{current},{topic}" if current else topic
    return [*payloads, current] if current else payloads
