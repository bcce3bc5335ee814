"""Task runs know their flow, so that what a flow's page asks for is read from one index.

Through the flow runs, a count would look up each of them. The column is the database's to fill: whoever writes a task
run, the previous version of Sempre included, need not know it. A flow run never changes its flow.
"""

from uuid import UUID

from sempre.db.migrations import in_steps, run_script
from sempre.db.migrations.indexes import Index, build, drop

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COLUMN = """
ALTER TABLE task_run ADD COLUMN IF NOT EXISTS flow_id uuid;

CREATE OR REPLACE FUNCTION task_run_flow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.flow_id := (SELECT flow_id FROM flow_run WHERE id = NEW.flow_run_id AND workspace_id = NEW.workspace_id);
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER task_run_flow_at_first BEFORE INSERT ON task_run
    FOR EACH ROW WHEN (NEW.flow_id IS NULL AND NEW.flow_run_id IS NOT NULL) EXECUTE FUNCTION task_run_flow();
CREATE OR REPLACE TRIGGER task_run_flow_later BEFORE UPDATE ON task_run
    FOR EACH ROW WHEN (
        NEW.flow_run_id IS DISTINCT FROM OLD.flow_run_id OR (NEW.flow_id IS NULL AND NEW.flow_run_id IS NOT NULL)
    ) EXECUTE FUNCTION task_run_flow();
"""
# What is new is soon known to be visible to all, so that indexes answer without a look at the rows.
_TABLES = ("flow_run", "task_run", "event_default", "log_default")
_VACUUM = "autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.05"
_DEFAULT_VACUUM = "autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_scale_factor"
# Rows that are locked fill themselves: whoever holds one is about to write it, and there is the trigger.
_STEP = """
WITH step AS MATERIALIZED (
    SELECT id, flow_id FROM flow_run WHERE id > :after ORDER BY id LIMIT 2000
),
found AS MATERIALIZED (
    SELECT t.workspace_id, t.id, step.flow_id FROM step JOIN task_run t ON t.flow_run_id = step.id
    WHERE t.flow_id IS NULL FOR NO KEY UPDATE OF t SKIP LOCKED
),
filled AS (
    UPDATE task_run t SET flow_id = found.flow_id
    FROM found WHERE t.id = found.id AND t.workspace_id = found.workspace_id
)
SELECT id FROM step ORDER BY id DESC LIMIT 1
"""
_NEW = (
    Index(
        "task_run_by_flow",
        "task_run",
        "(flow_id, start_time, id) INCLUDE (workspace_id, state_type, state_name, flow_run_id, expected_start_time, "
        "state_timestamp, total_run_time) WHERE flow_id IS NOT NULL",
    ),
    # In the place of a narrower one, with all that a history looks at.
    Index(
        "task_run_by_expected",
        "task_run",
        "(expected_start_time, id) INCLUDE (workspace_id, state_type, state_name, flow_run_id, start_time, flow_id, "
        "state_timestamp, total_run_time)",
    ),
)
_OLD = Index("task_run_expected", "task_run", "(expected_start_time, workspace_id)")


def upgrade() -> None:
    run_script(_COLUMN + "".join(f"ALTER TABLE {table} SET ({_VACUUM});" for table in _TABLES))
    in_steps("Telling task runs their flow", _STEP, after=UUID(int=0), table="flow_run", rows=2000)
    build(*_NEW)
    drop(_OLD.name)


def downgrade() -> None:
    build(_OLD)
    drop(*(index.name for index in _NEW))
    run_script(
        """
        DROP TRIGGER task_run_flow_at_first ON task_run;
        DROP TRIGGER task_run_flow_later ON task_run;
        DROP FUNCTION task_run_flow;
        ALTER TABLE task_run DROP COLUMN flow_id;
        """
        + "".join(f"ALTER TABLE {table} RESET ({_DEFAULT_VACUUM});" for table in _TABLES)
    )
