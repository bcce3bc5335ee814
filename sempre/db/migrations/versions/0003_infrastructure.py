"""Find flow runs by the block that names their infrastructure: they go with it."""

from sempre.db.migrations import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(
        """
        CREATE INDEX flow_run_infrastructure ON flow_run (infrastructure_document_id)
            WHERE infrastructure_document_id IS NOT NULL
        """
    )


def downgrade() -> None:
    run_script("DROP INDEX flow_run_infrastructure")
