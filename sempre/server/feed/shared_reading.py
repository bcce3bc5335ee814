"""The processes that tail one log share its reading: one of them, by a lease in Redis, tells the others what it reads.

Nothing depends on that: it saves Postgres the same question from everybody. Who is told nothing reads for itself, and a
stretch says what it is a continuation of, so it does no harm to lose some, or to have two that tell for a while.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from sempre.db.errors import DatabaseUnavailable
from sempre.server.feed.stretches import Stretch, from_fields, to_fields
from sempre.server.ids import new_id
from sempre.server.redis.installation import Installation
from sempre.server.redis.link import Link, RedisAway
from sempre.server.redis.stream import Stream

__all__ = ["SharedReading"]

log = logging.getLogger("sempre.feed")

_LEASE_MILLISECONDS = 3000
_ATTEND_SECONDS = 1.0
_STRETCHES_KEPT = 200
_RETRY_SECONDS = 1.0

# Take or renew the lease if nobody else has it, and be counted. Gives whether it is held, and how many attend.
_ATTEND = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZADD', KEYS[2], ms, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ms - ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    holder = ARGV[1]
end
return {holder == ARGV[1] and 1 or 0, redis.call('ZCARD', KEYS[2])}
"""
_LEAVE = """
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""
# Only who holds the lease tells: not one that slept through the end of it.
_TELL = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 3))
return 1
"""


class SharedReading:
    """This process's part in it, for the log ``table``. ``tells``: what it reads is wanted by others."""

    def __init__(self, link: Link, installation: Installation, table: str) -> None:
        self.tells = False
        self._link = link
        self._installation = installation
        self._table = table
        self._stream = Stream(link, installation, f"feed:{table}", _STRETCHES_KEPT)
        self._me = str(new_id()).encode()
        self._leads = False
        self._to_follow = asyncio.Event()  # set unless this process is the one that reads
        self._to_follow.set()
        self._told: deque[Stretch] = deque(maxlen=_STRETCHES_KEPT)
        self._heard: deque[Stretch] = deque(maxlen=_STRETCHES_KEPT)
        self._to_tell = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, news: asyncio.Event) -> None:
        """``news`` is set when there is something to ``take``."""
        self._heard.clear()
        self._stream.forget()
        self._tasks = [
            asyncio.create_task(self._keep(self._attend)),
            asyncio.create_task(self._keep(self._tell)),
            asyncio.create_task(self._keep(lambda: self._hear(news))),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hold(False, 0)
        try:
            lease, attending, _ = await self._keys()
            await self._link.run_script(_LEAVE, [lease, attending], [self._me])
        except (RedisAway, DatabaseUnavailable):
            return  # the lease ends by itself

    def take(self) -> list[Stretch]:
        """What others have told since the last time, in order."""
        heard = list(self._heard)
        self._heard.clear()
        return heard

    def offer(self, stretches: Iterable[Stretch]) -> None:
        """Tell the others, soon and perhaps. Never waits."""
        self._told.extend(stretches)
        self._to_tell.set()

    def _hold(self, leads: bool, attending: int) -> None:
        self._leads = leads
        self.tells = leads and attending > 1
        if leads:
            self._to_follow.clear()
        else:
            self._to_follow.set()

    async def _keys(self) -> tuple[str, str, str]:
        names = (f"feed:{self._table}:lease", f"feed:{self._table}:attending")
        lease, attending = [await self._installation.key(name) for name in names]
        return lease, attending, await self._stream.key()

    async def _attend(self) -> None:
        while True:
            lease, attending, _ = await self._keys()
            leads, count = await self._link.run_script(_ATTEND, [lease, attending], [self._me, _LEASE_MILLISECONDS])
            self._hold(bool(leads), count)
            await asyncio.sleep(_ATTEND_SECONDS)

    async def _tell(self) -> None:
        while True:
            await self._to_tell.wait()
            self._to_tell.clear()
            lease, _, stream = await self._keys()
            while self._told:
                fields = {b"by": self._me, **to_fields(self._told.popleft())}
                given = [self._me, _STRETCHES_KEPT, *(part for pair in fields.items() for part in pair)]
                told = await self._link.run_script(_TELL, [lease, stream], given)
                if not told:
                    self._hold(False, 0)
                    self._told.clear()

    async def _hear(self, news: asyncio.Event) -> None:
        while True:
            await self._to_follow.wait()
            heard = [fields for fields in await self._stream.read() if fields.get(b"by") != self._me]
            for fields in heard:
                self._heard.append(from_fields(fields))
            if heard:
                news.set()

    async def _keep(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Run a part of it whenever Redis is there."""
        while True:
            await self._link.wait_up()
            try:
                await loop()
            except RedisAway:
                self._hold(False, 0)
                self._told.clear()
            except DatabaseUnavailable:
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:
                log.exception("sharing the reading of %s broke and is started again", self._table)
                await asyncio.sleep(_RETRY_SECONDS)
