"""One pool of Postgres connections per process, and the only way statements reach the database.

``Database`` and an open ``Transaction`` share the same four methods, so that a query function takes either.
"""

import asyncio
import contextlib
import random
import ssl
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeAlias
from uuid import UUID

import asyncpg
import orjson

from sempre.db.connections import ConnectionCounts, Connections
from sempre.db.errors import DatabaseUnavailable, ends_the_connection, is_transient, is_undone, refuses_writes
from sempre.db.hosts import Hosts
from sempre.db.replica import Replica
from sempre.db.sharing import SharedAnswers, Store

__all__ = ["Database", "Executor", "Record"]

Record: TypeAlias = asyncpg.Record


class Executor(Protocol):
    """Whatever runs a statement: the pool (one statement, one commit) or a transaction."""

    async def fetch(self, sql: str, *args: Any) -> list[Record]: ...

    async def fetchrow(self, sql: str, *args: Any) -> Record | None: ...

    async def fetchval(self, sql: str, *args: Any) -> Any: ...

    async def execute(self, sql: str, *args: Any) -> str: ...


# A deadlock or a lost race of snapshots is met again at once by few; a host that takes no writes is left at once.
_TRIES_OF_WHAT_WAS_UNDONE = 4

# From this on nobody misses one or two in a count.
_LARGE_FIGURE = 20_000


def _are_large(rows: list[Record]) -> bool:
    return sum(value for row in rows for value in row.values() if isinstance(value, int)) >= _LARGE_FIGURE


class Database:
    """A lazily connected pool. Every failure that may pass with time is raised as ``DatabaseUnavailable``.

    ``dsn`` is anything asyncpg accepts, several hosts and ``target_session_attrs`` included.
    ``statement_cache_size=0`` is for transaction-mode poolers. A connection is
    replaced when it is ``lifetime`` seconds old (0: never). ``replica`` answers ``fetch_planned`` while it is as
    recent as this database; it is opened and closed with it.
    """

    def __init__(
        self,
        dsn: str,
        *,
        size: int = 10,
        statement_timeout: float = 10.0,
        connect_timeout: float = 5.0,
        acquire_timeout: float = 10.0,
        lifetime: float = 0.0,
        statement_cache_size: int | None = None,
        server_settings: dict[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        replica: Replica | None = None,
    ) -> None:
        self.dsn = dsn
        self.replica = replica
        self._size = size
        self._connections = Connections(self._connect, size=size, timeout=acquire_timeout)
        self._lifetime = lifetime
        self._answers = SharedAnswers(_are_large)
        self._open = False
        self._failing_since: float | None = None  # since when every statement has ended with its connection
        self._options: dict[str, Any] = {
            "command_timeout": statement_timeout,
            "timeout": connect_timeout,
            "server_settings": server_settings or {"application_name": "sempre"},
        }
        if tls is not None:
            self._options["ssl"] = tls
        if statement_cache_size is not None:
            self._options["statement_cache_size"] = statement_cache_size
        self._hosts = Hosts(dsn, self._options)

    async def open(self) -> None:
        """Allow statements. Connects to nothing: a database that is away now may be there at the first statement."""
        self._open = True
        if self.replica is not None:
            await self.replica.open(self)

    async def close(self, timeout: float = 5.0) -> None:
        """Let running statements end, at most ``timeout`` seconds, then cut what is left."""
        if self.replica is not None:
            await self.replica.close()
        self._open = False
        await self._connections.close(timeout)

    async def connect(self) -> asyncpg.Connection:
        """A connection outside the pool, for listening. The caller closes it."""
        try:
            return await self._hosts.connect(statement_cache_size=0)
        except Exception as error:
            raise _translated(error) from error

    @property
    def away_seconds(self) -> float | None:
        """For how long nobody has been able to connect; ``None``: somebody is."""
        return self._connections.away_seconds

    @property
    def failing_seconds(self) -> float | None:
        """For how long nothing has been answered; ``None``: the latest statement was.

        A pooler lets everybody connect, also while there is no database behind it.
        """
        if (away := self.away_seconds) is not None:
            return away
        return None if self._failing_since is None else time.monotonic() - self._failing_since

    def connection_counts(self) -> ConnectionCounts:
        return self._connections.counts()

    async def fetch(self, sql: str, *args: Any) -> list[Record]:
        return await self._run(asyncpg.Connection.fetch, sql, args)  # type: ignore[no-any-return]

    async def fetchrow(self, sql: str, *args: Any) -> Record | None:
        return await self._run(asyncpg.Connection.fetchrow, sql, args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        return await self._run(asyncpg.Connection.fetchval, sql, args)

    async def execute(self, sql: str, *args: Any) -> str:
        return await self._run(asyncpg.Connection.execute, sql, args)  # type: ignore[no-any-return]

    async def fetch_planned(self, sql: str, *args: Any) -> list[Record]:
        """``fetch`` with a plan made for these arguments, each time.

        For statements whose best plan depends on them: a window of time, the size of a page, a rare state. Prepared
        once, Postgres would soon settle for one plan that suits the average.
        """
        if self.replica is not None:
            rows = await self.replica.fetch(sql, args)
            if rows is not None:
                return rows
        return await self._run(_plan_and_fetch, sql, args)  # type: ignore[no-any-return]

    def share_figures(self, store: Store) -> None:
        """Let other processes know what ``fetch_figures`` found, and learn from them."""
        self._answers.store = store

    async def fetch_figures(self, sql: str, *args: Any) -> list[Record]:
        """``fetch_planned`` for counts and sums, which may be some seconds old if they are large and expensive.

        Who asks the same meanwhile gets the same rows (:mod:`sempre.db.sharing`).
        """
        question = orjson.dumps((sql, args), default=str)
        return await self._answers.get(question, lambda: self.fetch_planned(sql, *args))  # type: ignore[no-any-return]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Executor]:
        """A transaction that commits at the end of the block and rolls back on any exception.

        Whoever is cancelled in the block waits for nothing more: the connection is closed behind his back.
        """
        connection = await self._begun()
        usable = silent = False
        try:
            yield connection
            if await connection.execute("COMMIT") != "COMMIT":  # the block hid an error, and all was undone
                raise asyncpg.InFailedSQLTransactionError("the transaction had failed before its end")
            usable = True
        except Exception as error:
            silent = isinstance(error, TimeoutError)
            usable = not silent and await _rolled_back(connection)
            if refuses_writes(error):
                self._connections.renew()
            if is_transient(error):
                raise _translated(error) from error
            raise
        finally:
            self._connections.give_back(connection, usable=usable, silent=silent)

    async def _begun(self) -> asyncpg.Connection:
        for dead in range(self._size + 1):
            connection = await self._checkout()
            try:
                await connection.execute("BEGIN")
            except BaseException as error:
                self._connections.give_back(connection, usable=False, silent=isinstance(error, TimeoutError))
                if dead < self._size and _may_repeat(error, "SELECT"):
                    continue
                if is_transient(error):
                    self._failed(error)
                    raise _translated(error) from error
                raise
            self._failing_since = None
            return connection
        raise AssertionError  # the last turn of the loop returns or raises

    async def _run(self, method: Callable[..., Awaitable[Any]], sql: str, args: Sequence[Any]) -> Any:
        # After a restart of Postgres every pooled connection may be dead; at most so many are met before a fresh one.
        for failed in range(self._size + 1):
            connection = await self._checkout()
            usable = silent = False
            try:
                answer = await method(connection, sql, *args)
                usable = True
                self._failing_since = None
                return answer
            except Exception as error:
                silent = isinstance(error, TimeoutError)
                usable = not ends_the_connection(error)
                if refuses_writes(error):
                    self._connections.renew()
                undone = is_undone(error)
                if failed < self._size and (
                    failed + 1 < _TRIES_OF_WHAT_WAS_UNDONE if undone else _may_repeat(error, sql)
                ):
                    pause = random.random() * 0.02 * failed if undone else 0.0  # noqa: S311 (those who met part)
                elif is_transient(error):
                    self._failed(error)
                    raise _translated(error) from error
                else:
                    raise
            finally:  # also when cancelled: then the statement may still run, and the connection is closed
                self._connections.give_back(connection, usable=usable, silent=silent)
            await asyncio.sleep(pause)
        raise AssertionError  # the last turn of the loop returns or raises

    def _failed(self, error: BaseException) -> None:
        # One that takes too long says nothing of the others; whether anybody is answered is asked elsewhere then.
        if self._failing_since is None and ends_the_connection(error) and not isinstance(error, TimeoutError):
            self._failing_since = time.monotonic()

    async def _checkout(self) -> asyncpg.Connection:
        if not self._open:
            raise DatabaseUnavailable("the connection pool is closed")
        return await self._connections.take()

    async def _connect(self) -> asyncpg.Connection:
        connection = await self._hosts.connect()
        try:
            await _prepare_codecs(connection)
        except BaseException:
            connection.terminate()
            raise
        if self._lifetime:
            expire, known = self._connections.expire, weakref.ref(connection)
            asyncio.get_running_loop().call_later(self._lifetime, expire, known)
        return connection


async def _plan_and_fetch(connection: asyncpg.Connection, sql: str, *args: Any) -> list[Record]:
    statement = await connection.prepare(sql, name="")  # the unnamed one, which the next replaces
    rows: list[Record] = await statement.fetch(*args)
    return rows


async def _rolled_back(connection: asyncpg.Connection) -> bool:
    """End the transaction, if it has not ended itself. False: the connection is of no further use."""
    if connection.is_closed():
        return False
    if connection.is_in_transaction():
        with contextlib.suppress(Exception):
            await connection.execute("ROLLBACK")
    return not connection.is_closed() and not connection.is_in_transaction()


def _may_repeat(error: BaseException, sql: str) -> bool:
    """Whether the statement was not sent, or changes nothing.

    A write that was sent over a connection now lost could have been committed.
    """
    if isinstance(error, ValueError):  # an argument that the driver cannot encode
        return False
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return True
    lost = ends_the_connection(error) and not isinstance(error, TimeoutError)
    return lost and sql.lstrip()[:6].upper() == "SELECT"


def _translated(error: BaseException) -> Exception:
    if isinstance(error, DatabaseUnavailable):
        return error
    return DatabaseUnavailable(f"{type(error).__name__}: {error}") if is_transient(error) else error  # type: ignore[return-value]


def _encode_json(value: Any) -> bytes:
    return b"\x01" + orjson.dumps(value, default=_plain)


def _decode_json(value: bytes) -> Any:
    return orjson.loads(memoryview(value)[1:])


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):  # asyncpg's own subclass, which orjson does not know
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


async def _prepare_codecs(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_json, decoder=_decode_json, format="binary"
    )
