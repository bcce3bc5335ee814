"""Whether anybody was there to hear a heartbeat.

Every API process says every few seconds that it takes events in, into one row. When nobody has said so for a while, the
presence begins anew: silence from before says nothing about those who were silent.
"""

import asyncio
import logging
from datetime import datetime
from typing import NamedTuple

from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Executor
from sempre.server.events.writer import EventWriter
from sempre.server.scope import Scope

__all__ = ["Presence", "Present", "present"]

log = logging.getLogger("sempre.events")

_EVERY_SECONDS = 5.0
_ABSENT_SECONDS = 15.0

_SAY = """
INSERT INTO presence AS p (kind, since, seen) VALUES ('events', clock_timestamp(), clock_timestamp())
ON CONFLICT (kind) DO UPDATE SET
    since = CASE WHEN p.seen < clock_timestamp() - make_interval(secs => $1) THEN clock_timestamp() ELSE p.since END,
    seen = greatest(p.seen, clock_timestamp())
"""

_LOOK = "SELECT since, seen FROM presence WHERE kind = 'events'"


class Presence:
    """This process's part, as long as it keeps events."""

    def __init__(self, scope: Scope, writer: EventWriter) -> None:
        self._scope = scope
        self._writer = writer
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._scope.settings.services.event_persister.enabled:
            self._task = asyncio.create_task(self._run(), name="presence")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def say(self) -> None:
        """Once everything that came in before is in the log: until then heartbeats may be waiting here."""
        await self._writer.barrier()
        await self._scope.db.execute(_SAY, _ABSENT_SECONDS)

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
    """Somebody took events in without a break from ``since`` to ``until``, by the database's clock."""

    since: datetime
    until: datetime


async def present(db: Executor) -> Present | None:
    """When somebody last took events in, and for how long. What came in until then is in the log. ``None``: never."""
    row = await db.fetchrow(_LOOK)
    return None if row is None else Present(row["since"], row["seen"])
