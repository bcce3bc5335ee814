"""Whether Postgres answers, in bounded time, however busy this server or hung the database is."""

import asyncio
import contextlib
from weakref import WeakKeyDictionary

from sempre.db.errors import DatabaseUnavailable, is_transient
from sempre.db.pool import Database

__all__ = ["is_reachable"]

_POOL_SECONDS = 0.8
_DIRECT_SECONDS = 0.8

_asking: WeakKeyDictionary[Database, asyncio.Task[bool]] = WeakKeyDictionary()


async def is_reachable(db: Database) -> bool:
    """Ask the database; whoever asks meanwhile gets the same answer. Takes two seconds at most."""
    asking = _asking.get(db)
    if asking is None or asking.done():
        asking = _asking[db] = asyncio.create_task(_ask(db))
    return await asyncio.shield(asking)


async def _ask(db: Database) -> bool:
    with contextlib.suppress(DatabaseUnavailable, TimeoutError):
        async with asyncio.timeout(_POOL_SECONDS):
            await db.fetchval("SELECT 1")
            return True
    # Perhaps it is only that every connection is in use: a busy server is no reason to send its clients to the others.
    try:
        async with asyncio.timeout(_DIRECT_SECONDS):
            connection = await db.connect()
            try:
                await connection.fetchval("SELECT 1")
                return True
            finally:
                connection.terminate()
    except Exception as error:  # the driver's own errors: a pooler takes connections though nobody is behind it
        if not isinstance(error, DatabaseUnavailable) and not is_transient(error):
            raise
        return False
