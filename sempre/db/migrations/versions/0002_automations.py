"""Triggers and actions of automations (0002_automations.sql, beside this file)."""

from pathlib import Path

from sempre.db.migrations import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    run_script(Path(__file__).with_name("0002_automations_down.sql").read_text())
