"""Flow-run rows on their way to the wire."""

from typing import Any

from sempre.db.pool import Record
from sempre.server import states
from sempre.server.estimates import estimates

__all__ = ["to_wire"]

_COPIED = (
    "id", "created", "updated", "name", "flow_id", "state_id", "deployment_id", "deployment_version", "work_queue_id",
    "flow_version", "parameters", "idempotency_key", "context", "empirical_policy", "tags", "labels",
    "parent_task_run_id", "state_type", "state_name", "run_count", "expected_start_time", "next_scheduled_start_time",
    "start_time", "end_time", "total_run_time", "auto_scheduled", "infrastructure_document_id", "infrastructure_pid",
    "created_by", "work_pool_id", "work_pool_name", "job_variables",
)  # fmt: skip


def to_wire(row: Record) -> dict[str, Any]:
    """The protocol's flow run from a row with the columns of ``SURROUNDINGS`` and the database's ``now``."""
    run: dict[str, Any] = {name: row[name] for name in _COPIED}
    # A run's queue is known by the queue's present name; what was stored is the answer only where no queue is left.
    run["work_queue_name"] = row["queue_name"] or row["work_queue_name"]
    run["estimated_run_time"], run["estimated_start_time_delta"] = estimates(row, row["now"])
    run["state"] = states.row_to_wire(row, "state_")
    return run
