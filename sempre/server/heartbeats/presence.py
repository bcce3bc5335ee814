"""Whether anybody was there to hear a heartbeat.

Every API process says every few seconds that it takes events in (or, where none are kept, requests), into one row. When
nobody has said so for a while, the presence begins anew: silence from before says nothing about those who were silent.
"""

import asyncio
import logging
from datetime import datetime
from typing import NamedTuple

from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Executor
from sempre.server.events.writer import EventWriter
from sempre.server.scope import Scope

__all__ = ["Presence", "Present", "listening", "present"]

log = logging.getLogger("sempre.events")

_EVERY_SECONDS = 5.0
_ABSENT_SECONDS = 15.0

_SAY = """
INSERT INTO presence AS p (kind, since, seen) VALUES ($2, clock_timestamp(), clock_timestamp())
ON CONFLICT (kind) DO UPDATE SET
    since = CASE WHEN p.seen < clock_timestamp() - make_interval(secs => $1) THEN clock_timestamp() ELSE p.since END,
    seen = greatest(p.seen, clock_timestamp())
"""

_EVENTS, _REQUESTS = "events", "requests"

_LOOK = "SELECT since, seen FROM presence WHERE kind = ANY($1) ORDER BY seen DESC LIMIT 1"


class Presence:
    """This process's part."""

    def __init__(self, scope: Scope, writer: EventWriter) -> None:
        self._scope = scope
        self._writer = writer
        self._kind = _EVENTS if scope.settings.services.event_persister.enabled else _REQUESTS
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="presence")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def say(self) -> None:
        """Once everything that came in before is in the log: until then heartbeats may be waiting here."""
        if self._kind == _EVENTS:
            await self._writer.barrier()
        await self._scope.db.execute(_SAY, _ABSENT_SECONDS, self._kind)

    async def _run(self) -> None:
        while True:
            try:
                await self.say()
            except DatabaseUnavailable as error:
                log.debug("nobody hears of our presence: %s", error)
            except Exception:
                log.exception("presence could not be noted")
            await asyncio.sleep(_EVERY_SECONDS)


class Present(NamedTuple):
    """Somebody was there without a break from ``since`` to ``until``, by the database's clock."""

    since: datetime
    until: datetime


async def present(db: Executor) -> Present | None:
    """When somebody last took events in, and for how long. What came in until then is in the log. ``None``: never."""
    return await _look(db, _EVENTS)


async def listening(db: Executor) -> Present | None:
    """The same of requests and channels, whether or not events are kept: of polls and the heartbeats of workers."""
    return await _look(db, _EVENTS, _REQUESTS)


async def _look(db: Executor, *kinds: str) -> Present | None:
    row = await db.fetchrow(_LOOK, list(kinds))
    return None if row is None else Present(row["since"], row["seen"])
