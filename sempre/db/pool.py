"""One pool of Postgres connections per process, and the only way statements reach the database.

``Database`` and an open ``Transaction`` share the same four methods, so that a query function takes either.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeAlias
from uuid import UUID

import asyncpg
import orjson

from sempre.db.connections import Connections
from sempre.db.errors import DatabaseUnavailable, is_transient, partition_moved
from sempre.db.sharing import SharedAnswers

__all__ = ["Database", "Executor", "Record"]

Record: TypeAlias = asyncpg.Record


class Executor(Protocol):
    """Whatever runs a statement: the pool (one statement, one commit) or a transaction."""

    async def fetch(self, sql: str, *args: Any) -> list[Record]: ...

    async def fetchrow(self, sql: str, *args: Any) -> Record | None: ...

    async def fetchval(self, sql: str, *args: Any) -> Any: ...

    async def execute(self, sql: str, *args: Any) -> str: ...


# From this on nobody misses one or two in a count.
_LARGE_FIGURE = 20_000


def _are_large(rows: list[Record]) -> bool:
    return sum(value for row in rows for value in row.values() if isinstance(value, int)) >= _LARGE_FIGURE


class Database:
    """A lazily connected pool. Every failure that may pass with time is raised as ``DatabaseUnavailable``.

    ``dsn`` is anything asyncpg accepts, several hosts and ``target_session_attrs`` included.
    ``statement_cache_size=0`` is for transaction-mode poolers.
    """

    def __init__(
        self,
        dsn: str,
        *,
        size: int = 10,
        statement_timeout: float = 10.0,
        connect_timeout: float = 5.0,
        acquire_timeout: float = 10.0,
        statement_cache_size: int | None = None,
        server_settings: dict[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.dsn = dsn
        self._size = size
        self._connections = Connections(self._connect, size=size, timeout=acquire_timeout)
        self._answers = SharedAnswers(_are_large)
        self._open = False
        self._options: dict[str, Any] = {
            "command_timeout": statement_timeout,
            "timeout": connect_timeout,
            "server_settings": server_settings or {"application_name": "sempre"},
        }
        if tls is not None:
            self._options["ssl"] = tls
        if statement_cache_size is not None:
            self._options["statement_cache_size"] = statement_cache_size

    async def open(self) -> None:
        """Allow statements. Connects to nothing: a database that is away now may be there at the first statement."""
        self._open = True

    async def close(self, timeout: float = 5.0) -> None:
        """Let running statements end, at most ``timeout`` seconds, then cut what is left."""
        self._open = False
        await self._connections.close(timeout)

    async def connect(self) -> asyncpg.Connection:
        """A connection outside the pool, for listening. The caller closes it."""
        try:
            return await asyncpg.connect(self.dsn, **{**self._options, "statement_cache_size": 0})
        except Exception as error:
            raise _translated(error) from error

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
        return await self._run(_plan_and_fetch, sql, args)  # type: ignore[no-any-return]

    async def fetch_figures(self, sql: str, *args: Any) -> list[Record]:
        """``fetch_planned`` for counts and sums, which may be some seconds old if they are large and expensive.

        Who asks the same meanwhile gets the same rows (:mod:`sempre.db.sharing`).
        """
        question = sql, orjson.dumps(args, default=str)
        return await self._answers.get(question, lambda: self.fetch_planned(sql, *args))  # type: ignore[no-any-return]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Executor]:
        """A transaction that commits at the end of the block and rolls back on any exception."""
        try:
            async with self._acquired() as connection, connection.transaction():
                try:
                    yield connection
                except TimeoutError:
                    connection.terminate()  # nobody answers: asking for a rollback would wait as long again
                    raise
        except DatabaseUnavailable:
            raise
        except Exception as error:
            if is_transient(error):
                raise _translated(error) from error
            raise

    async def _run(self, method: Callable[..., Awaitable[Any]], sql: str, args: Sequence[Any]) -> Any:
        # After a restart of Postgres every pooled connection may be dead; at most so many are met before a fresh one.
        for dead in range(self._size + 1):
            try:
                connection = await self._checkout()
                timed_out = False
                try:
                    return await method(connection, sql, *args)
                except TimeoutError:
                    timed_out = True
                    raise
                finally:
                    self._connections.give_back(connection, usable=not timed_out)
            except Exception as error:
                if dead < self._size and _may_repeat(error, sql):
                    continue
                if is_transient(error):
                    raise _translated(error) from error
                raise
        raise AssertionError  # the last turn of the loop returns or raises

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await self._checkout()
        try:
            yield connection
        finally:
            self._connections.give_back(connection)

    async def _checkout(self) -> asyncpg.Connection:
        if not self._open:
            raise DatabaseUnavailable("the connection pool is closed")
        return await self._connections.take()

    async def _connect(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(self.dsn, **self._options)
        await _prepare_codecs(connection)
        return connection


async def _plan_and_fetch(connection: asyncpg.Connection, sql: str, *args: Any) -> list[Record]:
    statement = await connection.prepare(sql, name="")  # the unnamed one, which the next replaces
    rows: list[Record] = await statement.fetch(*args)
    return rows


def _may_repeat(error: Exception, sql: str) -> bool:
    """Whether the statement was not sent, was undone, or changes nothing.

    A write that was sent over a connection now lost could have been committed.
    """
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return True
    if partition_moved(error):
        return True
    lost = isinstance(error, asyncpg.PostgresConnectionError | ConnectionError)
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
