"""The schedules of deployments in the database.

A schedule's ``updated`` is the version that the scheduler compares, so every change of a schedule moves it.
"""

from collections.abc import Sequence
from uuid import UUID

from sempre.db.pool import Executor, Record
from sempre.server.deployments.schedule_plan import NewSchedule, SchedulePatch, SchedulePlan
from sempre.server.ids import new_id

__all__ = ["apply_plan", "delete", "delete_late_runs", "insert", "list_of", "patch", "touch"]

_TOUCHED = "updated = greatest(clock_timestamp(), s.updated + interval '1 microsecond')"


async def list_of(db: Executor, workspace_id: UUID, deployment_id: UUID) -> list[Record] | None:
    """The deployment's schedules, the last changed first; ``None`` if there is no such deployment."""
    rows = await db.fetch(
        """
        SELECT s.* FROM deployment d LEFT JOIN deployment_schedule s ON s.deployment_id = d.id
        WHERE d.id = $1 AND d.workspace_id = $2 ORDER BY s.updated DESC, s.id DESC
        """,
        deployment_id,
        workspace_id,
    )
    return [row for row in rows if row["id"] is not None] if rows else None


async def insert(
    db: Executor, workspace_id: UUID, deployment_id: UUID, schedules: Sequence[NewSchedule]
) -> list[Record]:
    """The new rows in the order given. A slug that is taken is a unique violation."""
    return await db.fetch(
        """
        WITH made AS (
            INSERT INTO deployment_schedule (
                id, workspace_id, deployment_id, created, updated, schedule, active, max_scheduled_runs, parameters,
                slug
            )
            SELECT n.id, $1, $2, clock_timestamp(), clock_timestamp(), n.schedule, n.active, n.max_scheduled_runs,
                n.parameters, n.slug
            FROM unnest($3::uuid[], $4::jsonb[], $5::bool[], $6::int[], $7::jsonb[], $8::text[])
                AS n(id, schedule, active, max_scheduled_runs, parameters, slug)
            ORDER BY n.id
            RETURNING *
        )
        SELECT * FROM made ORDER BY array_position($3, id)
        """,
        workspace_id,
        deployment_id,
        [new_id() for _ in schedules],
        [s.schedule for s in schedules],
        [s.active for s in schedules],
        [s.max_scheduled_runs for s in schedules],
        [s.parameters for s in schedules],
        [s.slug for s in schedules],
    )


async def patch(transaction: Executor, deployment_id: UUID, patches: Sequence[SchedulePatch]) -> int:
    """Write changes of several schedules; returns how many there were. Slugs may change places."""
    ids = [p.id for p in patches]
    slugs = [p.slug for p in patches]
    # Uniqueness is checked row by row, so names that move are given up before they are taken.
    await transaction.execute(
        """
        UPDATE deployment_schedule s SET slug = NULL
        FROM unnest($2::uuid[], $3::text[]) AS n(id, slug)
        WHERE s.deployment_id = $1 AND s.id = n.id AND s.slug <> n.slug
        """,
        deployment_id,
        ids,
        slugs,
    )
    status = await transaction.execute(
        f"""
        UPDATE deployment_schedule s SET
            schedule = coalesce(n.schedule, s.schedule), active = coalesce(n.active, s.active),
            max_scheduled_runs = coalesce(n.max_scheduled_runs, s.max_scheduled_runs),
            parameters = coalesce(n.parameters, s.parameters), slug = coalesce(n.slug, s.slug),
            {_TOUCHED}
        FROM unnest($2::uuid[], $3::text[], $4::jsonb[], $5::bool[], $6::int[], $7::jsonb[])
            AS n(id, slug, schedule, active, max_scheduled_runs, parameters)
        WHERE s.deployment_id = $1 AND s.id = n.id
        """,
        deployment_id,
        ids,
        slugs,
        [p.schedule for p in patches],
        [p.active for p in patches],
        [p.max_scheduled_runs for p in patches],
        [p.parameters for p in patches],
    )
    return int(status.rpartition(" ")[2])


async def delete(transaction: Executor, workspace_id: UUID, deployment_id: UUID, id: UUID) -> bool:
    status = await transaction.execute(
        "DELETE FROM deployment_schedule WHERE id = $1 AND deployment_id = $2 AND workspace_id = $3",
        id,
        deployment_id,
        workspace_id,
    )
    return status != "DELETE 0"


async def apply_plan(transaction: Executor, workspace_id: UUID, deployment_id: UUID, plan: SchedulePlan) -> bool:
    """Carry out a plan; ``False`` if a schedule it was made for is gone."""
    if plan.replace_all:
        await transaction.execute("DELETE FROM deployment_schedule WHERE deployment_id = $1", deployment_id)
    if plan.patch and await patch(transaction, deployment_id, plan.patch) != len(plan.patch):
        return False
    if plan.create:
        await insert(transaction, workspace_id, deployment_id, plan.create)
    return True


async def delete_late_runs(transaction: Executor, workspace_id: UUID, deployment_id: UUID, schedule_id: UUID) -> None:
    """Delete the runs of one schedule that never started, those whose time has passed included."""
    await transaction.execute(
        """
        WITH gone AS (
            DELETE FROM flow_run
            WHERE workspace_id = $1 AND deployment_id = $2 AND state_type = 'SCHEDULED' AND auto_scheduled
                AND state_name <> 'AwaitingConcurrencySlot' AND run_count = 0 AND created_by->>'id' = $3::uuid::text
            RETURNING id
        )
        DELETE FROM flow_run_state s USING gone WHERE s.flow_run_id = gone.id
        """,
        workspace_id,
        deployment_id,
        schedule_id,
    )


async def touch(transaction: Executor, deployment_id: UUID) -> None:
    """Have the scheduler look at the deployment's schedules, whose planned runs are gone."""
    await transaction.execute(f"UPDATE deployment_schedule s SET {_TOUCHED} WHERE s.deployment_id = $1", deployment_id)
