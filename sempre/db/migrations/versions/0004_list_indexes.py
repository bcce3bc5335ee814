"""Indexes that answer lists and counts without visiting the runs they pass over.

Most take the place of a narrower one: the leading column is the same, and a write still makes one entry. New are those
by queue, by name and of what waits. Behind the sort come the id, so that it is the order of the list, and the columns
that filters, counts and histories look at.
"""

from sempre.db.migrations.indexes import Index, build, drop

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_STARTED = "coalesce(start_time, expected_start_time)"
_OF_A_FLOW_RUN = "workspace_id, state_type, state_name, flow_id, deployment_id, work_queue_id, start_time"
_STATE_AND_TIMES = "workspace_id, state_type, state_name, start_time, expected_start_time"

_NEW = (
    Index(
        "flow_run_by_expected",
        "flow_run",
        f"(expected_start_time, id) INCLUDE ({_OF_A_FLOW_RUN}, state_timestamp, total_run_time)",
    ),
    # Postgres finds the expression in the index only if it finds its columns there too.
    Index("flow_run_by_start", "flow_run", f"(({_STARTED}), id) INCLUDE ({_OF_A_FLOW_RUN}, expected_start_time, name)"),
    Index("flow_run_by_flow", "flow_run", f"(flow_id, ({_STARTED}), id) INCLUDE ({_STATE_AND_TIMES})"),
    Index(
        "flow_run_by_deployment",
        "flow_run",
        f"(deployment_id, ({_STARTED}), id) INCLUDE ({_STATE_AND_TIMES}) WHERE deployment_id IS NOT NULL",
    ),
    Index(
        "flow_run_by_queue",
        "flow_run",
        f"(work_queue_id, ({_STARTED}), id) INCLUDE ({_STATE_AND_TIMES}) WHERE work_queue_id IS NOT NULL",
    ),
    # What is still to come is asked for from its beginning, behind all that has been.
    Index(
        "flow_run_waiting",
        "flow_run",
        "(expected_start_time, id) INCLUDE (workspace_id, state_type, state_name, flow_id, deployment_id, "
        "work_queue_id) WHERE state_type = 'SCHEDULED' OR state_name IN "
        "('Scheduled', 'Late', 'AwaitingRetry', 'AwaitingConcurrencySlot', 'Resuming')",
    ),
    Index(
        "flow_run_upcoming_by_flow",
        "flow_run",
        "(flow_id, next_scheduled_start_time, id) INCLUDE (workspace_id) WHERE state_type = 'SCHEDULED'",
    ),
    Index("flow_run_by_name", "flow_run", "(name, id) INCLUDE (workspace_id)"),
    Index("flow_run_by_end", "flow_run", "(end_time, id) INCLUDE (workspace_id, state_type)"),
    Index(
        "flow_run_by_parent",
        "flow_run",
        "(parent_task_run_id) INCLUDE (workspace_id) WHERE parent_task_run_id IS NOT NULL",
    ),
    Index("task_run_by_start", "task_run", "(start_time, id) INCLUDE (workspace_id, state_type, flow_run_id)"),
    Index("task_run_by_name", "task_run", "(name, id) INCLUDE (workspace_id)"),
    Index("task_run_by_end", "task_run", "(end_time, id) INCLUDE (workspace_id)"),
)
_OLD = (
    Index("flow_run_expected", "flow_run", "(expected_start_time, workspace_id)"),
    Index("flow_run_started", "flow_run", f"(({_STARTED}), workspace_id)"),
    Index("flow_run_flow", "flow_run", "(flow_id, id)"),
    Index("flow_run_deployment", "flow_run", "(deployment_id, id) WHERE deployment_id IS NOT NULL"),
    Index("flow_run_parent", "flow_run", "(parent_task_run_id) WHERE parent_task_run_id IS NOT NULL"),
    Index("task_run_started", "task_run", "(start_time, workspace_id)"),
    Index("flow_run_ended", "flow_run", "(end_time, workspace_id)"),
    Index("task_run_ended", "task_run", "(end_time, workspace_id)"),
)


def upgrade() -> None:
    build(*_NEW)
    drop(*(index.name for index in _OLD))


def downgrade() -> None:
    build(*_OLD)
    drop(*(index.name for index in _NEW))
