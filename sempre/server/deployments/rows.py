"""Deployment rows as they are read: with their schedules, limit, queue and pool, and on their way to the wire."""

from typing import Any

from sempre.db.pool import Record
from sempre.server.concurrency.statements import slots_in_use

__all__ = ["SELECT", "schedule_to_wire", "to_wire"]

_COPIED = (
    "id", "created", "updated", "name", "version", "description", "flow_id", "paused", "schedules",
    "concurrency_options", "job_variables", "parameters", "tags", "labels", "work_queue_id", "last_polled",
    "parameter_openapi_schema", "path", "pull_steps", "entrypoint", "storage_document_id",
    "infrastructure_document_id", "created_by", "updated_by", "work_pool_name", "status", "enforce_parameter_schema",
)  # fmt: skip

_SCHEDULE = (
    "id", "created", "updated", "deployment_id", "schedule", "active", "max_scheduled_runs", "parameters", "slug",
)  # fmt: skip


def _wire_time(column: str) -> str:
    """A time inside JSON, spelled as responses spell it."""
    return f"""replace(to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z')"""


# Everything a response or an event says about a deployment ``d``. The WHERE clause is the caller's.
SELECT = f"""
SELECT d.*, f.name AS flow_name, q.name AS queue_name, p.id AS work_pool_id, p.name AS work_pool_name,
    p.type AS work_pool_type, l.created AS limit_created, l.updated AS limit_updated, l.active AS limit_active,
    l.name AS limit_name, l.slot_limit, l.slot_decay_per_second,
    CASE WHEN l.slot_decay_per_second > 0
        THEN greatest(0, l.bucket_level - floor(
            l.slot_decay_per_second * extract(epoch FROM clock_timestamp() - l.updated)
        ))::bigint
        ELSE {slots_in_use("l.id")}
    END AS slots_in_use,
    (
        SELECT coalesce(jsonb_agg(
            jsonb_build_object(
                'id', s.id, 'created', {_wire_time("s.created")}, 'updated', {_wire_time("s.updated")},
                'deployment_id', s.deployment_id, 'schedule', s.schedule, 'active', s.active,
                'max_scheduled_runs', s.max_scheduled_runs, 'parameters', s.parameters, 'slug', s.slug
            ) ORDER BY s.updated DESC, s.id DESC
        ), '[]')
        FROM deployment_schedule s WHERE s.deployment_id = d.id
    ) AS schedules
FROM deployment d
    JOIN flow f ON f.id = d.flow_id
    LEFT JOIN work_queue q ON q.id = d.work_queue_id
    LEFT JOIN work_pool p ON p.id = q.work_pool_id
    LEFT JOIN concurrency_limit l ON l.id = d.concurrency_limit_id
"""


def to_wire(row: Record) -> dict[str, Any]:
    """The protocol's deployment from a row of ``SELECT``."""
    deployment: dict[str, Any] = {name: row[name] for name in _COPIED}
    # A queue is known by its present name; what was stored is the answer only where no queue is left.
    deployment["work_queue_name"] = row["queue_name"] or row["work_queue_name"]
    deployment["concurrency_limit"] = None
    deployment["global_concurrency_limit"] = _limit(row)
    return deployment


def _limit(row: Record) -> dict[str, Any] | None:
    if row["concurrency_limit_id"] is None:
        return None
    return {
        "id": row["concurrency_limit_id"],
        "created": row["limit_created"],
        "updated": row["limit_updated"],
        "active": row["limit_active"],
        "name": row["limit_name"],
        "limit": row["slot_limit"],
        "active_slots": row["slots_in_use"],
        "slot_decay_per_second": row["slot_decay_per_second"],
    }


def schedule_to_wire(row: Record) -> dict[str, Any]:
    """The protocol's schedule from a row of its table."""
    return {name: row[name] for name in _SCHEDULE}
