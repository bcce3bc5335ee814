"""Turns as rows: one compare-and-set on ``next_run`` decides which replica runs an interval.

Taking a turn moves the next one ahead, so a replica that dies in the middle costs one interval and blocks nobody. All
times are the database's.
"""

from sempre.db.pool import Executor
from sempre.server.coordination.turns import Turn

__all__ = ["LONGEST_WAIT", "PostgresTurns"]

LONGEST_WAIT = 60.0  # seconds a failing service is kept waiting beyond its interval


class PostgresTurns:
    """``owner`` names this process, differently from every other one."""

    def __init__(self, db: Executor, owner: str) -> None:
        self._db = db
        self._owner = owner

    async def take(self, service: str, interval: float) -> Turn:
        while True:
            row = await _take(self._db, service, self._owner, interval)
            if row is not None:
                return row
            await self._db.execute("INSERT INTO service (name) VALUES ($1) ON CONFLICT DO NOTHING", service)

    async def extend(self, service: str, interval: float) -> None:
        await self._db.execute(
            """
            UPDATE service SET next_run = clock_timestamp() + make_interval(secs => $3::float8)
            WHERE name = $1 AND owner = $2
            """,
            service,
            self._owner,
            interval,
        )

    async def finish(self, service: str, *, seconds: float, next_in: float, error: str | None) -> None:
        await self._db.execute(
            """
            UPDATE service SET
                next_run = clock_timestamp() + make_interval(secs => $3::float8), seconds = $4, error = $5,
                completed = CASE WHEN $5::text IS NULL THEN clock_timestamp() ELSE completed END
            WHERE name = $1 AND owner = $2
            """,
            service,
            self._owner,
            next_in,
            seconds,
            error,
        )

    async def release(self, *services: str) -> None:
        await self._db.execute(
            "UPDATE service SET next_run = clock_timestamp() WHERE name = ANY($1) AND owner = $2",
            list(services),
            self._owner,
        )


async def _take(db: Executor, service: str, owner: str, interval: float) -> Turn | None:
    # A next run further away than anybody writes with this interval is left from a longer one: settings changed.
    row = await db.fetchrow(
        """
        WITH taken AS (
            UPDATE service SET
                next_run = clock_timestamp() + make_interval(secs => $3::float8),
                owner = $2, started = clock_timestamp()
            WHERE name = $1 AND (
                next_run <= clock_timestamp()
                OR next_run > clock_timestamp() + make_interval(secs => $3::float8 + $4::float8)
            )
            RETURNING name
        )
        SELECT EXISTS (SELECT FROM taken) AS taken,
               extract(epoch FROM greatest(next_run, clock_timestamp()) - clock_timestamp())::float8 AS wait
        FROM service WHERE name = $1
        """,
        service,
        owner,
        interval,
        LONGEST_WAIT,
    )
    return None if row is None else Turn(row["taken"], row["wait"])
