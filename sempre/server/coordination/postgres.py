"""Turns as rows of ``service``: ``next_run`` says when a turn is due, ``lease_until`` that somebody is at it, ``fence``
which turn it is. All times are the database's.

Replicas of the previous release know ``next_run`` only, so that is kept ahead while a round goes on.
"""

from collections.abc import Sequence

from sempre.db.pool import Executor
from sempre.server.coordination.turns import LEASE_SECONDS, LONGEST_PATIENCE, Answer, Turn, Wanted

__all__ = ["PostgresTurns"]

# Whoever else is at a row right now decides about it, so it is passed over. A next run further away than anybody writes
# with this interval is left from a longer one: settings changed. Turns that begin together stay together, as all of
# them start at the one time of the statement.
_TAKE = """
WITH wanted AS (
    SELECT * FROM unnest($1::text[], $2::float8[], $3::float8[]) AS w(name, interval, grace)
), free AS MATERIALIZED (
    SELECT s.name, w.interval FROM service s JOIN wanted w USING (name)
    WHERE coalesce(s.lease_until <= now(), s.next_run + make_interval(secs => w.grace) <= now()
        OR s.next_run > now() + make_interval(secs => w.interval + $5::float8))
    FOR NO KEY UPDATE OF s SKIP LOCKED
), taken AS (
    UPDATE service s SET
        next_run = now() + make_interval(secs => greatest(free.interval, 0)), owner = $4, started = now(),
        lease_until = now() + make_interval(secs => $6::float8), fence = s.fence + 1
    FROM free WHERE s.name = free.name
    RETURNING s.name, s.fence
)
SELECT s.name, taken.fence,
       extract(epoch FROM greatest(coalesce(s.lease_until, s.next_run), now() - interval '1 h') - now())::float8 AS wait
FROM wanted w JOIN service s USING (name) LEFT JOIN taken USING (name)
"""

# Not of a round that ended a moment ago: its service would be nobody's until the lease ran out.
_RENEW = """
UPDATE service s SET
    lease_until = now() + make_interval(secs => $4::float8),
    next_run = greatest(s.next_run, now() + make_interval(secs => $4::float8))
FROM unnest($1::text[], $2::bigint[]) AS mine(name, fence)
WHERE s.name = mine.name AND s.fence = mine.fence AND s.owner = $3 AND s.lease_until IS NOT NULL
"""

_FINISH = """
UPDATE service SET
    next_run = greatest(now(), started + make_interval(secs => $4::float8)) + make_interval(secs => $5::float8),
    lease_until = NULL, seconds = $6, error = $7,
    completed = CASE WHEN $7::text IS NULL THEN now() ELSE completed END
WHERE name = $1 AND fence = $2 AND owner = $3
RETURNING true
"""

_RELEASE = """
UPDATE service s SET next_run = now(), lease_until = NULL
FROM unnest($1::text[], $2::bigint[]) AS mine(name, fence)
WHERE s.name = mine.name AND s.fence = mine.fence AND s.owner = $3 AND s.lease_until IS NOT NULL
"""

_EXIST = "INSERT INTO service (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING"


class PostgresTurns:
    """``owner`` names this process, differently from every other one."""

    def __init__(self, db: Executor, owner: str) -> None:
        self._db = db
        self._owner = owner

    async def take(self, wanted: Sequence[Wanted]) -> Answer:
        names = [each.service for each in wanted]
        intervals, graces = [each.interval for each in wanted], [each.grace for each in wanted]
        rows = await self._db.fetch(_TAKE, names, intervals, graces, self._owner, LONGEST_PATIENCE, LEASE_SECONDS)
        taken = [Turn(row["name"], row["fence"]) for row in rows if row["fence"] is not None]
        waits: dict[str, float] = {row["name"]: row["wait"] for row in rows if row["fence"] is None}
        if unknown := sorted({*names} - {row["name"] for row in rows}):
            await self._db.execute(_EXIST, unknown)
            waits.update(dict.fromkeys(unknown, 0.0))
        return Answer(taken, waits)

    async def renew(self, turns: Sequence[Turn]) -> None:
        names, fences = [turn.service for turn in turns], [turn.fence for turn in turns]
        await self._db.execute(_RENEW, names, fences, self._owner, LEASE_SECONDS)

    async def finish(self, turn: Turn, *, interval: float, patience: float, seconds: float, error: str | None) -> bool:
        ended = await self._db.fetchval(
            _FINISH, turn.service, turn.fence, self._owner, interval, patience, seconds, error
        )
        return ended is True

    async def release(self, turns: Sequence[Turn]) -> None:
        names, fences = [turn.service for turn in turns], [turn.fence for turn in turns]
        await self._db.execute(_RELEASE, names, fences, self._owner)
