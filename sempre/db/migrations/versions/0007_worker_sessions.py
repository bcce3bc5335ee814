"""Which process of a worker is alive: a name may come back in another one, which knows nothing of the first's runs."""

from sempre.db.migrations import run_script

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_SESSIONS = """
CREATE TABLE worker_session (
    id uuid PRIMARY KEY, -- given by the process itself
    workspace_id uuid NOT NULL,
    work_pool_id uuid NOT NULL REFERENCES work_pool ON DELETE CASCADE,
    name text NOT NULL,
    last_heartbeat_time timestamptz NOT NULL,
    heartbeat_interval_seconds double precision
);
CREATE INDEX worker_session_name ON worker_session (work_pool_id, name);
"""


def upgrade() -> None:
    run_script(_SESSIONS)


def downgrade() -> None:
    run_script("DROP TABLE worker_session;")
