"""Task-run rows on their way to the wire."""

from collections.abc import Mapping
from typing import Any

from sempre.db.pool import Record
from sempre.server import states
from sempre.server.estimates import estimates

__all__ = ["to_summary", "to_wire"]

_COPIED = (
    "id", "created", "updated", "name", "flow_run_id", "task_key", "dynamic_key", "cache_key", "cache_expiration",
    "task_version", "tags", "labels", "state_id", "task_inputs", "state_type", "state_name", "run_count",
    "flow_run_run_count", "expected_start_time", "next_scheduled_start_time", "start_time", "end_time",
    "total_run_time",
)  # fmt: skip

# What pages of task runs leave out.
_NOT_IN_SUMMARY = (
    "dynamic_key", "cache_key", "cache_expiration", "labels", "state_type", "state_name", "run_count",
    "flow_run_run_count", "expected_start_time", "next_scheduled_start_time",
)  # fmt: skip

# Clients that record their own task runs leave out what they do not use.
_EMPTY_POLICY = {
    "max_retries": 0,
    "retry_delay_seconds": 0.0,
    "retries": None,
    "retry_delay": None,
    "retry_jitter_factor": None,
}


def to_wire(row: Record | Mapping[str, Any]) -> dict[str, Any]:
    """The protocol's task run from a row with the database's ``now``."""
    run: dict[str, Any] = {name: row[name] for name in _COPIED}
    run["empirical_policy"] = {**_EMPTY_POLICY, **row["empirical_policy"]}
    run["estimated_run_time"], run["estimated_start_time_delta"] = estimates(row, row["now"])
    run["state"] = states.row_to_wire(row, "state_")
    return run


def to_summary(row: Record) -> dict[str, Any]:
    """The reduced form in which pages show task runs."""
    run = to_wire(row)
    for name in _NOT_IN_SUMMARY:
        del run[name]
    return run
