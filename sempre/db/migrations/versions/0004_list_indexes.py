"""Indexes that answer lists and counts without visiting the runs they pass over.

Each takes the place of a narrower one: its leading column is the same, and a write still makes one entry. Behind the
sort come the id, so that it is the order of the list, and the columns that filters, counts and histories look at.
"""

from sempre.db.migrations.indexes import Index, build, drop

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_STARTED = "coalesce(start_time, expected_start_time)"
_OF_A_FLOW_RUN = "workspace_id, state_type, state_name, flow_id, deployment_id, work_queue_id, start_time"

_NEW = (
    Index(
        "flow_run_by_expected",
        "flow_run",
        f"(expected_start_time, id) INCLUDE ({_OF_A_FLOW_RUN}, state_timestamp, total_run_time)",
    ),
    # Postgres finds the expression in the index only if it finds its columns there too.
    Index("flow_run_by_start", "flow_run", f"(({_STARTED}), id) INCLUDE ({_OF_A_FLOW_RUN}, expected_start_time, name)"),
    Index(
        "task_run_by_expected",
        "task_run",
        "(expected_start_time, id) INCLUDE (workspace_id, state_type, state_name, flow_run_id)",
    ),
    Index("task_run_by_start", "task_run", "(start_time, id) INCLUDE (workspace_id, state_type, flow_run_id)"),
)
_OLD = (
    Index("flow_run_expected", "flow_run", "(expected_start_time, workspace_id)"),
    Index("flow_run_started", "flow_run", f"(({_STARTED}), workspace_id)"),
    Index("task_run_expected", "task_run", "(expected_start_time, workspace_id)"),
    Index("task_run_started", "task_run", "(start_time, workspace_id)"),
)


def upgrade() -> None:
    build(*_NEW)
    drop(*(index.name for index in _OLD))


def downgrade() -> None:
    build(*_OLD)
    drop(*(index.name for index in _NEW))
