"""A read replica for lists, used only while it is as good as the primary.

The rule: **a list shows everything that was committed before it was asked for**, whoever committed it and through
whichever server. So nobody has to remember who wrote what. For that the position of the primary's log is read, once for
all lists that are waiting at that moment, and the list is given to the replica as soon as it has replayed so far. A
replica that is not there after ``max_lag`` seconds, or does not answer, is left alone, and the primary is asked; a look
every half a second finds out when it can be used again.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import asyncpg

from sempre.db.errors import DatabaseUnavailable
from sempre.db.waiting import wait_at_most

if TYPE_CHECKING:
    from sempre.db.pool import Database

__all__ = ["Replica"]

log = logging.getLogger("sempre.db")

_LOOK_SECONDS = 0.5
_FIRST_PAUSE_SECONDS = 0.001
_LONGEST_PAUSE_SECONDS = 0.02

# Where the log stands, and its timeline. A commit that was acknowledged is flushed, or, where the operator has given
# that up, at least inserted. On a server in recovery this fails: it is no primary.
_POSITION = """
SELECT position, ('x' || left(pg_walfile_name(position), 8))::bit(32)::int FROM (
    SELECT CASE current_setting('synchronous_commit') WHEN 'off' THEN pg_current_wal_insert_lsn()
        ELSE pg_current_wal_flush_lsn() END
) AS log (position)
"""
# A standby that follows nobody, or another timeline (which only privileged accounts are shown), may never have heard of
# the primary's last commits whatever its own position is.
_REPLAYED = """
SELECT pg_is_in_recovery()
    AND coalesce(pg_last_wal_replay_lsn() >= $1, false)
    AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE coalesce(received_tli, $2) = $2)
"""


class Replica:
    """``reader`` is a pool on the replica, ``max_lag`` seconds. Opened and closed by the primary's pool."""

    def __init__(self, reader: "Database", *, max_lag: float) -> None:
        self._reader = reader
        self._max_lag = max_lag
        self._primary: Database | None = None
        self._usable = False
        self._asked: list[asyncio.Future[bool]] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.used = 0  # lists answered

    @property
    def usable(self) -> bool:
        """Whether the next list is offered to it."""
        return self._usable

    async def open(self, primary: "Database") -> None:
        self._primary = primary
        await self._reader.open()
        self._task = asyncio.create_task(self._run(), name="replica")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._usable = False
        self._answer(self._asked, False)
        await self._reader.close(timeout=1.0)

    async def fetch(self, sql: str, args: Sequence[Any]) -> list[asyncpg.Record] | None:
        """Rows as recent as the primary's, or None: ask the primary."""
        if not self._usable:
            return None
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.append(turn)
        self._news.set()
        if not await turn:
            return None
        try:
            rows = await self._reader.fetch_planned(sql, *args)
        except DatabaseUnavailable as error:
            # Away, or a query that was in the way of what is replayed: the next look tells which.
            self._set(False, error)
            return None
        self.used += 1
        return rows

    async def _run(self) -> None:
        while True:
            await wait_at_most(_LOOK_SECONDS, self._news)
            self._news.clear()
            asked, self._asked = self._asked, []
            try:
                caught_up, problem = await self._catch_up(), None
            except Exception as error:
                caught_up, problem = False, error
            self._set(caught_up, problem)
            self._answer(asked, caught_up)
            if not caught_up:  # who asked meanwhile need not wait for the same, nor the next look come at once
                self._answer(self._asked, False)
                self._asked = []
                await asyncio.sleep(_LOOK_SECONDS)

    async def _catch_up(self) -> bool:
        """Whether, within the bound, the replica has replayed what the primary had written when this was called."""
        assert self._primary is not None
        pause = _FIRST_PAUSE_SECONDS
        until = time.monotonic() + self._max_lag
        try:
            async with asyncio.timeout(self._max_lag):
                row = await self._primary.fetchrow(_POSITION)
                assert row is not None
                while not await self._reader.fetchval(_REPLAYED, *row):
                    if time.monotonic() + pause > until:
                        return False
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        except TimeoutError:
            return False
        return True

    def _set(self, usable: bool, problem: Exception | None) -> None:
        if usable != self._usable:
            reason = "" if usable else f": {problem!r}" if problem else f": more than {self._max_lag:g} s behind"
            log.warning("the read replica is %s%s", "used" if usable else "not used", reason)
        self._usable = usable

    @staticmethod
    def _answer(asked: list[asyncio.Future[bool]], answer: bool) -> None:
        for turn in asked:
            if not turn.done():
                turn.set_result(answer)
