"""Slots of task tags as the older API has them: held by task runs, without end."""

from collections.abc import Sequence
from uuid import UUID

from sempre.db.pool import Executor
from sempre.server.concurrency import changes, queries
from sempre.server.concurrency.leases import release
from sempre.server.concurrency.taking import MOST_SLOTS, Full, LeaseTerms, take
from sempre.server.errors import Locked, Unprocessable
from sempre.server.ids import new_id
from sempre.server.scope import Scope

__all__ = ["delete", "give_back", "reset", "take_for"]

_PREFIX = "tag:"


async def take_for(scope: Scope, tags: Sequence[str], task_run_id: UUID) -> list[dict[str, object]]:
    """One slot of each tag's limit for the task run, all or none; those that it holds already are its.

    Raises Locked, naming the tag that has none.
    """
    terms = LeaseTerms(seconds=None, holder_type="task_run", holder_id=task_run_id, run_id=task_run_id)
    names = [_PREFIX + tag for tag in tags]
    for limit in await _zero_limits(scope.db, scope.workspace_id, names):
        raise Locked(f'The concurrency limit on tag "{limit}" is 0 and will deadlock if the task tries to run again.')
    try:
        _, limits = await take(scope, names, 1, lease=terms)
    except Full as full:
        name = next(
            (
                limit["name"]
                for limit in full.limits
                if limit["active"] and not limit["held"] and limit["active_slots"] >= limit["limit"]
            ),
            full.limits[0]["name"],
        )
        wait = float(scope.settings.tasks.tag_slot_wait_seconds)
        raise Locked(
            f"Concurrency limit for the {name.removeprefix(_PREFIX)} tag has been reached", {"Retry-After": str(wait)}
        ) from None
    return [
        {"id": limit["id"], "name": limit["name"].removeprefix(_PREFIX), "limit": limit["limit"]} for limit in limits
    ]


async def give_back(scope: Scope, tags: Sequence[str], task_run_id: UUID) -> list[dict[str, object]]:
    """End the leases of the task run that hold slots of these tags, whatever else they hold."""
    limits = await scope.db.fetch(
        """
        SELECT id, name, slot_limit AS limit FROM concurrency_limit
        WHERE workspace_id = $1 AND name = ANY($2) ORDER BY name
        """,
        scope.workspace_id,
        [_PREFIX + tag for tag in tags],
    )
    found = await scope.db.fetch(
        """
        SELECT e.id FROM concurrency_lease e
        WHERE e.workspace_id = $1 AND e.holder_id = $2 AND e.holder_type = 'task_run'
            AND EXISTS (SELECT FROM concurrency_slot s WHERE s.lease_id = e.id AND s.limit_id = ANY($3))
        """,
        scope.workspace_id,
        task_run_id,
        [limit["id"] for limit in limits],
    )
    if found:
        await release(scope, [lease["id"] for lease in found])
    return [dict(limit) for limit in limits]


async def reset(scope: Scope, id: UUID, holders: Sequence[UUID]) -> None:
    """End everything that holds slots of the limit; then these task runs hold one each, even beyond the limit."""
    if len(holders) > MOST_SLOTS:
        raise Unprocessable(f"At most {MOST_SLOTS} slots can be taken at once.")
    async with scope.db.transaction() as transaction:
        await _end_all(scope, transaction, id)
        runs = sorted(set(holders))
        await transaction.execute(
            """
            WITH given AS MATERIALIZED (
                SELECT g.lease_id, g.run_id, row_number() OVER (ORDER BY g.run_id) AS place
                FROM unnest($3::uuid[], $4::uuid[]) AS g(lease_id, run_id)
            ), free AS MATERIALIZED (
                SELECT number.slot, row_number() OVER (ORDER BY number.slot) AS place
                FROM generate_series(
                    1, cardinality($3::uuid[]) + (SELECT count(*) FROM concurrency_slot WHERE limit_id = $1)
                ) AS number(slot)
                WHERE NOT EXISTS (SELECT FROM concurrency_slot s WHERE s.limit_id = $1 AND s.slot = number.slot)
            ), taken AS (
                INSERT INTO concurrency_slot (limit_id, slot, workspace_id, lease_id, run_id, acquired_at)
                SELECT $1, free.slot, $2, given.lease_id, given.run_id, clock_timestamp()
                FROM given JOIN free USING (place) ORDER BY free.slot
                ON CONFLICT DO NOTHING RETURNING lease_id, run_id
            )
            INSERT INTO concurrency_lease (id, workspace_id, slots, limit_ids, holder_type, holder_id)
            SELECT lease_id, $2, 1, ARRAY[$1], 'task_run', run_id FROM taken
            """,
            id,
            scope.workspace_id,
            [new_id() for _ in runs],
            runs,
        )


async def delete(scope: Scope, id: UUID) -> bool:
    """Delete the limit, and end the leases that hold slots of it. ``False``: there is none."""
    async with scope.db.transaction() as transaction:
        await _end_all(scope, transaction, id)
        deleted = await changes.delete_limit(scope, id, transaction=transaction)
    scope.doorbell.ring("events")
    return deleted


async def _end_all(scope: Scope, transaction: Executor, id: UUID) -> None:
    held = await transaction.fetch(
        "SELECT DISTINCT lease_id FROM concurrency_slot WHERE limit_id = $1 AND lease_id IS NOT NULL", id
    )
    await release(scope, [row["lease_id"] for row in held], transaction)
    await queries.set_anonymous_slots(transaction, scope.workspace_id, id, target=0, limit=0)


async def _zero_limits(db: Executor, workspace_id: UUID, names: list[str]) -> list[str]:
    rows = await db.fetch(
        """
        SELECT substr(name, 5) AS tag FROM concurrency_limit
        WHERE workspace_id = $1 AND name = ANY($2) AND active AND slot_limit = 0 ORDER BY name
        """,
        workspace_id,
        names,
    )
    return [row["tag"] for row in rows]
