"""Locks that keep everybody from a table: asked for briefly, and again later.

Whoever waits for an exclusive lock makes all who come after wait too, readers included. So a revision waits for half a
second, gives up, lets through what queued behind it, and tries again: for as long as some long transaction needs, an
upgrade takes longer and nobody else notices.
"""

import asyncio
import random
from collections.abc import Callable

import asyncpg

__all__ = ["patiently"]

_LOCK_MILLISECONDS = 500
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 5.0

# Transactions that hold locks on tables of ours. The process that migrates holds an advisory lock in another one.
_IN_THE_WAY = """
SELECT a.pid, a.application_name, a.state, extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND EXISTS (
    SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE l.pid = a.pid AND l.granted AND n.nspname = current_schema()
)
ORDER BY a.xact_start LIMIT 1
"""


async def patiently(connection: asyncpg.Connection, sql: str, tell: Callable[[str], None]) -> None:
    """Execute a script of statements that need short locks, again until it gets them.

    In a transaction it becomes a part of it, all or nothing; locks that the transaction held before are kept while it
    waits, so it should be the first thing there. Outside of one it is a transaction of its own.
    """
    if connection.is_in_transaction():
        begin, end, undo = (f"{word} SAVEPOINT sempre_locks" for word in ("", "RELEASE", "ROLLBACK TO"))
    else:
        begin, end, undo = "BEGIN", "COMMIT", "ROLLBACK"
    pause = _FIRST_PAUSE_SECONDS
    while True:
        await connection.execute(begin)
        try:
            await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}; {sql}")
            await connection.execute(end)
            return
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            await connection.execute(undo)
        tell(f"A table is in use: {await _who(connection)}. Trying again; nobody waits for us meanwhile.")
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


async def _who(connection: asyncpg.Connection) -> str:
    row = await connection.fetchrow(_IN_THE_WAY)
    if row is None:
        return "a transaction that has ended by now"
    name = f" of {row['application_name']}" if row["application_name"] else ""
    return f"a transaction{name} (pid {row['pid']}, {row['state']}) has been going on for {row['seconds']:.0f} s"
