"""Find flow runs by the block that names their infrastructure: they go with it."""

from sempre.db.migrations.indexes import Index, build, drop

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INDEX = Index(
    "flow_run_infrastructure",
    "flow_run",
    "(infrastructure_document_id) WHERE infrastructure_document_id IS NOT NULL",
)


def upgrade() -> None:
    build(_INDEX)


def downgrade() -> None:
    drop(_INDEX.name)
