"""Deployments in the database."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from sempre.db import tables
from sempre.db.pool import Executor, Record
from sempre.schemas.lists import ListCall
from sempre.schemas.sorting import DeploymentSort
from sempre.server import lists
from sempre.server.deployments.rows import SELECT
from sempre.server.filters.relations import DEPLOYMENTS, matching
from sempre.server.flow_runs.statements import SURROUNDING_JOINS, SURROUNDINGS
from sempre.server.ids import new_id
from sempre.server.lists import Part

__all__ = [
    "delete",
    "find",
    "find_by_names",
    "find_in_flow",
    "find_many",
    "insert",
    "legacy_queues",
    "lock",
    "page",
    "record_version",
    "scheduled_runs",
    "set_paused",
    "update",
]

# `updated` doubles as the version that writers compare, so two writes never share one.
_TOUCHED = "updated = greatest(clock_timestamp(), d.updated + interval '1 microsecond')"


async def find(db: Executor, workspace_id: UUID, id: UUID) -> Record | None:
    return await db.fetchrow(f"{SELECT} WHERE d.id = $1 AND d.workspace_id = $2", id, workspace_id)


async def find_many(db: Executor, workspace_id: UUID, ids: list[UUID]) -> list[Record]:
    """Those of the deployments that exist, in the order of ``ids``."""
    return await db.fetch(
        f"{SELECT} WHERE d.id = ANY($1) AND d.workspace_id = $2 ORDER BY array_position($1, d.id)", ids, workspace_id
    )


async def find_by_names(db: Executor, workspace_id: UUID, flow_name: str, name: str) -> Record | None:
    return await db.fetchrow(
        f"{SELECT} WHERE d.workspace_id = $1 AND f.workspace_id = $1 AND f.name = $2 AND d.name = $3",
        workspace_id,
        flow_name,
        name,
    )


async def find_in_flow(db: Executor, workspace_id: UUID, flow_id: UUID, name: str) -> Record | None:
    return await db.fetchrow(
        f"{SELECT} WHERE d.workspace_id = $1 AND d.flow_id = $2 AND d.name = $3", workspace_id, flow_id, name
    )


async def page(db: Executor, workspace_id: UUID, asked: ListCall, sort: DeploymentSort, part: Part) -> list[Record]:
    c = tables.deployment.c
    query = select(c.id).where(matching(DEPLOYMENTS, asked, workspace_id)).order_by(*lists.order(sort, c))
    ids = [row["id"] for row in await lists.fetch(db, part.of(query))]
    return await find_many(db, workspace_id, ids) if ids else []


async def insert(db: Executor, workspace_id: UUID, columns: dict[str, Any]) -> UUID | None:
    """Insert a deployment; ``None`` if its flow has one of that name. ``columns`` maps column names to values."""
    names = list(columns)
    id: UUID | None = await db.fetchval(
        f"""
        INSERT INTO deployment (id, workspace_id, created, updated, {", ".join(names)})
        VALUES ($1, $2, clock_timestamp(), clock_timestamp(), {", ".join(f"${n}" for n in range(3, len(names) + 3))})
        ON CONFLICT (workspace_id, flow_id, name) DO NOTHING RETURNING id
        """,
        new_id(),
        workspace_id,
        *columns.values(),
    )
    return id


async def update(db: Executor, workspace_id: UUID, id: UUID, seen: datetime, columns: dict[str, Any]) -> bool:
    """Write some columns of the deployment; ``False`` if it has been written since its ``updated`` was ``seen``."""
    assignments = "".join(f"{name} = ${number}, " for number, name in enumerate(columns, start=4))
    status = await db.execute(
        f"""
        UPDATE deployment d SET {assignments}{_TOUCHED}
        WHERE d.id = $1 AND d.workspace_id = $2 AND d.updated = $3
        """,
        id,
        workspace_id,
        seen,
        *columns.values(),
    )
    return status != "UPDATE 0"


async def set_paused(db: Executor, workspace_id: UUID, id: UUID, paused: bool) -> bool | None:
    """Pause or resume; returns whether it was paused before, ``None`` if there is no such deployment."""
    was: bool | None = await db.fetchval(
        f"""
        WITH before AS MATERIALIZED (
            SELECT id, paused FROM deployment WHERE id = $1 AND workspace_id = $2 FOR NO KEY UPDATE
        )
        UPDATE deployment d SET paused = $3, {_TOUCHED} FROM before WHERE d.id = before.id RETURNING before.paused
        """,
        id,
        workspace_id,
        paused,
    )
    return was


async def lock(transaction: Executor, workspace_id: UUID, id: UUID) -> bool:
    """Keep other writers of the deployment, its schedules and planned runs away; ``False`` if there is none."""
    found = await transaction.fetchval(
        "SELECT id FROM deployment WHERE id = $1 AND workspace_id = $2 FOR NO KEY UPDATE", id, workspace_id
    )
    return found is not None


async def delete(db: Executor, workspace_id: UUID, ids: list[UUID]) -> list[UUID]:
    """Delete deployments with their schedules; returns the ids that existed, in the order of ``ids``."""
    rows = await db.fetch(
        """
        WITH doomed AS MATERIALIZED (
            SELECT id FROM deployment WHERE workspace_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE
        )
        DELETE FROM deployment d USING doomed WHERE d.id = doomed.id RETURNING d.id
        """,
        workspace_id,
        ids,
    )
    gone = {row["id"] for row in rows}
    return [id for id in ids if id in gone]


async def record_version(db: Executor, deployment: Record, version_info: dict[str, Any]) -> None:
    """Keep what the deployment is now as a version of it, unless the latest one says the same."""
    definition = {name: deployment[name] for name in _DEFINITION}
    await db.execute(
        """
        INSERT INTO deployment_version (id, workspace_id, deployment_id, created, version_info, definition)
        SELECT $1, $2, $3, clock_timestamp(), $4::jsonb, $5::jsonb
        WHERE NOT EXISTS (
            SELECT FROM (
                SELECT version_info, definition FROM deployment_version
                WHERE deployment_id = $3 ORDER BY created DESC LIMIT 1
            ) latest
            WHERE latest.version_info = $4::jsonb AND latest.definition = $5::jsonb
        )
        """,
        new_id(),
        deployment["workspace_id"],
        deployment["id"],
        version_info,
        definition,
    )


_DEFINITION = (
    "version", "description", "tags", "labels", "parameters", "parameter_openapi_schema", "enforce_parameter_schema",
    "entrypoint", "path", "pull_steps", "job_variables", "work_pool_name", "work_queue_name", "storage_document_id",
    "infrastructure_document_id", "concurrency_options",
)  # fmt: skip


async def scheduled_runs(
    db: Executor, workspace_id: UUID, ids: list[UUID], *, before: datetime | None, limit: int
) -> list[Record]:
    """Scheduled runs of the deployments that are due ``before`` then, the earliest first, for ``rows.to_wire``."""
    return await db.fetch(
        f"""
        SELECT r.*, clock_timestamp() AS now, {SURROUNDINGS}
        FROM (
            SELECT * FROM flow_run
            WHERE workspace_id = $1 AND deployment_id = ANY($2) AND state_type = 'SCHEDULED'
                AND ($3::timestamptz IS NULL OR next_scheduled_start_time <= $3)
            ORDER BY next_scheduled_start_time, id LIMIT $4
        ) r {SURROUNDING_JOINS}
        ORDER BY r.next_scheduled_start_time, r.id
        """,
        workspace_id,
        ids,
        before,
        limit,
    )


async def legacy_queues(db: Executor, workspace_id: UUID, id: UUID) -> list[Record] | None:
    """Queues that choose deployments by tags and would choose this one; ``None`` if there is no such deployment."""
    rows = await db.fetch(
        """
        SELECT q.id, q.created, q.updated, q.name, q.description, q.is_paused, q.concurrency_limit, q.priority,
            q.work_pool_id, q.filter, q.last_polled
        FROM deployment d
            LEFT JOIN work_queue q ON q.workspace_id = d.workspace_id AND jsonb_typeof(q.filter) = 'object'
                AND to_jsonb(d.tags) @> CASE jsonb_typeof(q.filter->'tags') WHEN 'array' THEN q.filter->'tags'
                    ELSE '[]' END
                AND CASE WHEN jsonb_typeof(q.filter->'deployment_ids') = 'array' AND q.filter->'deployment_ids' <> '[]'
                    THEN q.filter->'deployment_ids' ? d.id::text ELSE true END
        WHERE d.id = $1 AND d.workspace_id = $2
        ORDER BY q.name, q.id
        """,
        id,
        workspace_id,
    )
    return [row for row in rows if row["id"] is not None] if rows else None
