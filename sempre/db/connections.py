"""A bounded stack of connections, last used first, that knows when there is nobody to connect to.

The driver's own pool resets and wraps a connection at every checkout, which costs more CPU than a small statement. We
change no session state, so a checkout here is a pop, and a return is a push.

What it knows of the database comes from those who use it. Once nobody can connect, everybody is refused at once, and
one task alone goes on trying (:mod:`sempre.db.outage`). A statement that gets no answer casts doubt on every idle
connection: those that do not answer within a second are closed, and if none does, connecting decides.
"""

import asyncio
import contextlib
import logging
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import asyncpg

from sempre.db.errors import DatabaseUnavailable
from sempre.db.outage import Search

__all__ = ["ConnectionCounts", "Connections"]

log = logging.getLogger("sempre.db")

_CANCEL_SECONDS = 5.0  # for the cancellation of a statement to arrive
_ANSWER_SECONDS = 1.0  # for `SELECT 1`
_CROWDED_SECONDS = 0.5  # between attempts to connect to a server that has no room for more

Connect = Callable[[], Awaitable[asyncpg.Connection]]


class ConnectionCounts(NamedTuple):
    """Connections in use and at rest, and callers that wait for one."""

    busy: int
    idle: int
    waiting: int


class Connections:
    """At most ``size`` connections, made when needed; ``take`` waits at most ``timeout`` seconds for one."""

    def __init__(self, connect: Connect, *, size: int, timeout: float) -> None:
        self._connect = connect
        self._timeout = timeout
        self._places = size  # connections that may still be made
        self._size = size
        self._idle: list[asyncpg.Connection] = []
        self._waiting: deque[asyncio.Future[asyncpg.Connection | None]] = deque()
        self._busy: set[asyncpg.Connection] = set()
        self._condemned: set[asyncpg.Connection] = set()  # busy ones that are not to be used again
        self._returned = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._doubt: asyncio.Task[None] | None = None
        self._search: Search | None = None  # while nobody can connect
        self._crowded = False

    async def take(self) -> asyncpg.Connection:
        """An open connection. Raises DatabaseUnavailable when none came free in time, and when none can be made."""
        while True:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    self._busy.add(connection)
                    return connection
                self._places += 1
            if self._search is not None:
                raise DatabaseUnavailable(f"the database is away: {self._search.problem!r}")
            if self._places > 0 and not self._crowded:
                made = await self._make()
                if made is not None:
                    return made
            handed = await self._wait()
            if handed is not None:
                return handed

    def give_back(self, connection: asyncpg.Connection, *, usable: bool = True, silent: bool = False) -> None:
        """Return a connection. One that is closed or was left inside a transaction is not used again.

        Nor is one whose statement was given up (``usable=False``): it answers nobody until the statement is cancelled,
        which may be never. It is closed behind the callers' backs. ``silent``: the statement got no answer in time.
        """
        self._busy.discard(connection)
        self._returned.set()
        if self._condemned and connection in self._condemned:
            self._condemned.discard(connection)
            usable = False
        if not usable or connection.is_closed() or connection.is_in_transaction():
            self._retire(connection)
            if silent:
                self._begin_to_doubt()
        elif not self._hand_over(connection):
            self._idle.append(connection)

    def renew(self) -> None:
        """Use none of the connections there are again: the host behind them has changed its part."""
        idle, self._idle = self._idle, []
        for connection in idle:
            self._retire(connection)
        self._condemned.update(self._busy)

    def expire(self, known: "weakref.ref[asyncpg.Connection]") -> None:
        """Replace a connection that has got old: at once, or when it comes back."""
        connection = known()
        if connection in self._busy:
            self._condemned.add(connection)
        elif connection in self._idle:
            self._idle.remove(connection)
            self._retire(connection)

    def counts(self) -> ConnectionCounts:
        return ConnectionCounts(len(self._busy), len(self._idle), len(self._waiting))

    async def close(self, timeout: float) -> None:
        """Close what is idle, wait for what is busy at most ``timeout`` seconds, then cut it."""
        if self._search is not None:
            self._search.stop()
            self._search = None
        if self._doubt is not None:
            self._doubt.cancel()
            await asyncio.gather(self._doubt, return_exceptions=True)
        idle, self._idle = self._idle, []
        self._places += len(idle)
        await asyncio.gather(*map(_close, idle))  # at once: each may wait a second for a database that hangs
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._busy:
                    self._returned.clear()
                    await self._returned.wait()
                await asyncio.gather(*self._closing)
        for connection in (*self._busy, *self._idle):
            connection.terminate()
        self._busy.clear()
        self._condemned.clear()
        self._idle.clear()
        self._places = self._size

    async def _make(self) -> asyncpg.Connection | None:
        """A new connection; ``None``: the server has no room for one, and some of ours will come back."""
        self._places -= 1
        try:
            connection = await self._connect()
        except Exception as error:
            self._places += 1
            if self._busy and _has_no_room(error):
                self._come_again()
                return None
            self._lose(error)
            raise DatabaseUnavailable(f"no connection to the database: {error!r}") from error
        except BaseException:
            self._places += 1
            self._hand_over(None)
            raise
        self._busy.add(connection)
        return connection

    def _come_again(self) -> None:
        def reopen() -> None:
            self._crowded = False
            self._hand_over(None)

        if not self._crowded:
            self._crowded = True
            asyncio.get_running_loop().call_later(_CROWDED_SECONDS, reopen)

    # -- away and back

    @property
    def away_seconds(self) -> float | None:
        """For how long nobody has been able to connect; ``None``: somebody is, as far as is known."""
        return None if self._search is None else self._search.seconds

    def _lose(self, error: Exception) -> None:
        """Nobody can be reached: who waits in line would only find that out one after the other."""
        if self._search is None:
            log.warning("the database is away: %r", error)
            self._search = Search(self._connect, error, self._found)
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(DatabaseUnavailable(f"no connection to the database: {error!r}"))

    def _found(self, connection: asyncpg.Connection, seconds: float) -> None:
        log.warning("the database is back after %.1f s", seconds)
        self._search = None
        if self._places > 0:
            self._places -= 1
            self.give_back(connection)
        else:
            connection.terminate()

    def _begin_to_doubt(self) -> None:
        if self._doubt is None and self._search is None:
            self._doubt = asyncio.create_task(self._ask_all())
            self._doubt.add_done_callback(self._end_doubt)

    def _end_doubt(self, task: "asyncio.Task[None]") -> None:
        self._doubt = None

    async def _ask_all(self) -> None:
        """Keep the idle connections that answer; without any, see whether somebody lets us connect."""
        idle, self._idle = self._idle, []
        alive = await asyncio.gather(*(_answers(connection) for connection in idle))
        for connection, lives in zip(idle, alive, strict=True):
            if not lives:
                self._retire(connection)
            elif not self._hand_over(connection):
                self._idle.append(connection)
        if not any(alive):
            try:
                connection = await self._connect()
            except Exception as error:
                if not _has_no_room(error):
                    self._lose(error)
                return
            if self._places > 0:
                self._places -= 1
                self.give_back(connection)
            else:
                self._discard(connection)

    def _retire(self, connection: asyncpg.Connection) -> None:
        """Close a connection that has no place any more; the place is free at once."""
        self._discard(connection)
        self._places += 1
        self._hand_over(None)

    def _discard(self, connection: asyncpg.Connection) -> None:
        if connection.is_closed():
            return
        closing = asyncio.create_task(_close(connection, _CANCEL_SECONDS))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    # -- the line

    async def _wait(self) -> asyncpg.Connection | None:
        """A connection somebody returned, or ``None``: look again, a place became free."""
        turn: asyncio.Future[asyncpg.Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._timeout):
                return await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                handed = turn.result()  # it came in the moment we gave up: pass it on
                if handed is None:
                    self._hand_over(None)
                else:
                    self.give_back(handed)
            if isinstance(error, TimeoutError):
                raise DatabaseUnavailable(f"no database connection came free in {self._timeout:g} s") from None
            raise

    def _hand_over(self, connection: asyncpg.Connection | None) -> bool:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                if connection is not None:
                    self._busy.add(connection)
                turn.set_result(connection)
                return True
        return False


def _has_no_room(error: Exception) -> bool:
    """Whether a server that lives declined: too many clients, at Postgres (53300) or at a pooler (08P01)."""
    return isinstance(error, asyncpg.PostgresError) and not isinstance(error, asyncpg.CannotConnectNowError)


async def _answers(connection: asyncpg.Connection) -> bool:
    try:
        await connection.execute("SELECT 1", timeout=_ANSWER_SECONDS)
    except Exception:
        return False
    return True


async def _close(connection: asyncpg.Connection, timeout: float = 1.0) -> None:
    try:
        await connection.close(timeout=timeout)
    except Exception:
        connection.terminate()
    except asyncio.CancelledError:
        connection.terminate()
        raise
