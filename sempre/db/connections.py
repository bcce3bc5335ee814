"""A bounded stack of connections, last used first.

The driver's own pool resets and wraps a connection at every checkout, which costs more CPU than a small statement. We
change no session state, so a checkout here is a pop, and a return is a push.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

import asyncpg

from sempre.db.errors import DatabaseUnavailable

__all__ = ["Connections"]

_CANCEL_SECONDS = 5.0  # for the cancellation of a statement to arrive

Connect = Callable[[], Awaitable[asyncpg.Connection]]


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
        self._returned = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    async def take(self) -> asyncpg.Connection:
        """An open connection. Raises DatabaseUnavailable when none came free in time, and what connecting raises."""
        while True:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    self._busy.add(connection)
                    return connection
                self._places += 1
            if self._places > 0:
                return await self._make()
            handed = await self._wait()
            if handed is not None:
                return handed

    def give_back(self, connection: asyncpg.Connection, *, usable: bool = True) -> None:
        """Return a connection. One that is closed or was left inside a transaction is not used again.

        Nor is one whose statement timed out (``usable=False``): it answers nobody until the statement is cancelled,
        which may be never. It is closed behind the callers' backs.
        """
        self._busy.discard(connection)
        self._returned.set()
        if not usable and not connection.is_closed():
            closing = asyncio.create_task(_close(connection, _CANCEL_SECONDS))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._places += 1
            self._hand_over(None)
        elif connection.is_closed() or connection.is_in_transaction():
            connection.terminate()
            self._places += 1
            self._hand_over(None)
        elif not self._hand_over(connection):
            self._idle.append(connection)

    async def close(self, timeout: float) -> None:
        """Close what is idle, wait for what is busy at most ``timeout`` seconds, then cut it."""
        idle, self._idle = self._idle, []
        for connection in idle:
            self._places += 1
            await _close(connection)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._busy:
                    self._returned.clear()
                    await self._returned.wait()
                await asyncio.gather(*self._closing)
        for connection in (*self._busy, *self._idle):
            connection.terminate()
        self._busy.clear()
        self._idle.clear()
        self._places = self._size

    async def _make(self) -> asyncpg.Connection:
        self._places -= 1
        try:
            connection = await self._connect()
        except OSError as error:  # timeouts among them
            self._places += 1
            self._refuse_all(error)
            raise
        except BaseException:
            self._places += 1
            self._hand_over(None)
            raise
        self._busy.add(connection)
        return connection

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

    def _refuse_all(self, error: OSError) -> None:
        """Nobody can be reached: who waits in line would only find that out one after the other."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(DatabaseUnavailable(f"no connection to the database: {error!r}"))

    def _hand_over(self, connection: asyncpg.Connection | None) -> bool:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                if connection is not None:
                    self._busy.add(connection)
                turn.set_result(connection)
                return True
        return False


async def _close(connection: asyncpg.Connection, timeout: float = 1.0) -> None:
    try:
        await connection.close(timeout=timeout)
    except Exception:
        connection.terminate()
    except asyncio.CancelledError:
        connection.terminate()
        raise
