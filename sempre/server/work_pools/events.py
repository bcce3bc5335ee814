"""The events of work pools and queues, built from their rows."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sempre.server.events.emit import ServerEvent, named, resource
from sempre.server.ids import new_id

__all__ = [
    "AGENT_TYPE",
    "changed_fields",
    "follows",
    "pool_changed",
    "pool_status",
    "queue_changed",
    "queue_status",
]

AGENT_TYPE = "prefect-agent"  # pools of this type have no status

# A status event names its predecessor only while that is recent.
_CHAIN = timedelta(minutes=10)

Row = Mapping[str, Any]


def _pool_labels(pool: Row) -> dict[str, str]:
    return resource("work-pool", pool["id"], pool["name"], **{"prefect.work-pool.type": pool["type"]})


def pool_changed(change: str, pool: Row, *, payload: dict[str, Any] | None = None) -> ServerEvent:
    """``created``, ``updated`` or ``deleted``; ``pool`` is a row of the table, before it went if it went."""
    related = []
    if pool["default_queue_id"] is not None:
        related.append(named("default-queue", "work-queue", pool["default_queue_id"]))
    storage = (pool["storage_configuration"] or {}).get("default_result_storage_block_id")
    if storage is not None:
        related.append(named("result-storage", "block-document", storage))
    return ServerEvent(
        event=f"prefect.work-pool.{change}",
        resource={**_pool_labels(pool), "prefect.resource.role": "work-pool"},
        related=related,
        payload=payload or {},
    )


def pool_status(pool: Row, *, id: UUID | None = None, follows: UUID | None = None) -> ServerEvent:
    """The event of the status that ``pool`` has now; ``id`` where it is kept as the pool's last status event."""
    return ServerEvent(
        event=f"prefect.work-pool.{_spoken(pool['status'])}",
        resource=_pool_labels(pool),
        id=id or new_id(),
        follows=follows,
    )


def follows(last_event: UUID | None, last_change: datetime | None, now: datetime) -> UUID | None:
    """The event that a status event at ``now`` follows, if the change before it is recent."""
    recent = last_change is not None and now - last_change < _CHAIN
    return last_event if recent else None


def queue_changed(change: str, queue: Row, pool: Row, *, payload: dict[str, Any] | None = None) -> ServerEvent:
    """``created``, ``updated`` or ``deleted``; ``pool`` has at least ``id``, ``name`` and ``type``."""
    return _queue_event(change, queue, pool, payload or {})


def queue_status(queue: Row, pool: Row) -> ServerEvent:
    """The event of the status that ``queue`` has now."""
    return _queue_event(_spoken(queue["status"]), queue, pool, {})


def _queue_event(name: str, queue: Row, pool: Row, payload: dict[str, Any]) -> ServerEvent:
    type_label = {"prefect.work-pool.type": pool["type"]}
    return ServerEvent(
        event=f"prefect.work-queue.{name}",
        resource=resource("work-queue", queue["id"], queue["name"], **{"prefect.resource.role": "work-queue"}),
        related=[named("work-pool", "work-pool", pool["id"], pool["name"], **type_label)],
        payload=payload,
    )


def _spoken(status: Any) -> str:
    return str(status).lower().replace("_", "-")


def changed_fields(before: Row, after: Row, fields: Iterable[str]) -> dict[str, Any] | None:
    """The payload of an ``updated`` event, or ``None`` if none of ``fields`` differs."""
    updates = {name: {"from": before[name], "to": after[name]} for name in fields if before[name] != after[name]}
    return {"updated_fields": list(updates), "updates": updates} if updates else None
