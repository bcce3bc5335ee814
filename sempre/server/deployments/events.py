"""The events of deployments."""

from collections.abc import Mapping
from typing import Any

from sempre.server.events.emit import ServerEvent, named, resource

__all__ = ["changes_between", "deployment_event"]

# What an update event reports: its name there, and the column.
_TRACKED = {
    "description": "description",
    "tags": "tags",
    "parameters": "parameters",
    "parameter_openapi_schema": "parameter_openapi_schema",
    "enforce_parameter_schema": "enforce_parameter_schema",
    "entrypoint": "entrypoint",
    "path": "path",
    "pull_steps": "pull_steps",
    "work_queue_id": "work_queue_id",
    "infra_overrides": "job_variables",
    "paused": "paused",
    "labels": "labels",
    "version": "version",
    "concurrency_limit_id": "concurrency_limit_id",
    "concurrency_options": "concurrency_options",
}


def deployment_event(change: str, row: Mapping[str, Any], payload: dict[str, Any] | None = None) -> ServerEvent:
    """``prefect.deployment.<change>`` for a row of ``rows.SELECT``."""
    return ServerEvent(
        event=f"prefect.deployment.{change}",
        resource=resource("deployment", row["id"], row["name"]),
        related=_related(row),
        payload=payload or {},
    )


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any] | None:
    """The payload of an update event; ``None`` if nothing that is tracked has changed."""
    updates = {
        name: {"from": before[column], "to": after[column]}
        for name, column in _TRACKED.items()
        if before[column] != after[column]
    }
    return {"updated_fields": list(updates), "updates": updates} if updates else None


def _related(row: Mapping[str, Any]) -> list[dict[str, str]]:
    related = [named("flow", "flow", row["flow_id"], row["flow_name"])]
    if row["queue_name"] is not None:
        related.append(named("work-queue", "work-queue", row["work_queue_id"], row["queue_name"]))
        pool_type = {"prefect.work-pool.type": row["work_pool_type"]}
        related.append(named("work-pool", "work-pool", row["work_pool_id"], row["work_pool_name"], **pool_type))
    related.extend(
        named(role, "block-document", row[f"{role}_document_id"])
        for role in ("storage", "infrastructure")
        if row[f"{role}_document_id"] is not None
    )
    if row["concurrency_limit_id"] is not None:
        related.append(named("concurrency-limit", "concurrency-limit", row["concurrency_limit_id"], row["limit_name"]))
    return related
