"""Rows of pools, queues and workers on their way to the wire."""

from datetime import datetime, timedelta
from typing import Any

from sempre.db.pool import Record
from sempre.server.scope import Client

__all__ = ["pool_to_wire", "queue_to_wire", "run_summary", "worker_to_wire"]

_POOL = (
    "id", "created", "updated", "name", "description", "type", "base_job_template", "is_paused", "concurrency_limit",
    "status", "default_queue_id",
)  # fmt: skip
_QUEUE = (
    "id", "created", "updated", "name", "description", "is_paused", "concurrency_limit", "priority", "work_pool_id",
    "filter", "last_polled", "work_pool_name", "status",
)  # fmt: skip
_WORKER = ("id", "created", "updated", "name", "work_pool_id", "last_heartbeat_time", "heartbeat_interval_seconds")
_SUMMARY = ("id", "name", "state_type", "state_name", "start_time", "state_timestamp")

_STORAGE = ("bundle_upload_step", "bundle_execution_step", "default_result_storage_block_id")
# Clients up to this version refuse keys of the storage configuration that they do not know.
_KNOWS_TWO_STORAGE_KEYS = (3, 3, 7)

_SILENT_HEARTBEATS = 3
_HEARTBEAT_SECONDS = 30.0  # of a worker that does not tell its own


def pool_to_wire(row: Record, client: Client) -> dict[str, Any]:
    """The protocol's work pool; ``active_slots`` is known only where a limit is set."""
    old = client.version is not None and client.version <= _KNOWS_TWO_STORAGE_KEYS
    stored = row["storage_configuration"]
    return {
        **{name: row[name] for name in _POOL},
        "storage_configuration": {name: stored.get(name) for name in (_STORAGE[:2] if old else _STORAGE)},
        "active_slots": row["active_slots"],
    }


def queue_to_wire(row: Record) -> dict[str, Any]:
    return {**{name: row[name] for name in _QUEUE}, "active_slots": row["active_slots"]}


def worker_to_wire(row: Record) -> dict[str, Any]:
    """The protocol's worker; its status is what its last heartbeat says at ``row["now"]``, not what is stored."""
    interval: float = row["heartbeat_interval_seconds"] or _HEARTBEAT_SECONDS
    heard: datetime = row["last_heartbeat_time"]
    online = row["now"] - heard < timedelta(seconds=_SILENT_HEARTBEATS * interval)
    worker = {name: row[name] for name in _WORKER}
    if worker["heartbeat_interval_seconds"] is not None:
        worker["heartbeat_interval_seconds"] = int(worker["heartbeat_interval_seconds"])
    return {**worker, "status": "ONLINE" if online else "OFFLINE"}


def run_summary(row: Record) -> dict[str, Any]:
    """A run that holds a slot; ``time_in_current_state`` is seconds at ``row["now"]``."""
    since: datetime | None = row["state_timestamp"]
    seconds = None if since is None else (row["now"] - since).total_seconds()
    return {**{name: row[name] for name in _SUMMARY}, "time_in_current_state": seconds}
