"""The initial data model (0001_initial.sql, beside this file)."""

from pathlib import Path

from sempre.db.migrations import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    # Nothing is older than this revision: going below it empties the schema, Alembic's own table excepted.
    run_script(
        """
        DO $$
        DECLARE name text;
        BEGIN
            FOR name IN
                SELECT tablename FROM pg_tables
                WHERE schemaname = current_schema() AND tablename <> 'alembic_version'
            LOOP
                EXECUTE format('DROP TABLE IF EXISTS %I CASCADE', name);
            END LOOP;
            DROP FUNCTION IF EXISTS sempre_require(boolean, text);
            DROP FUNCTION IF EXISTS sempre_highest_slot(uuid, bigint);
        END $$
        """
    )
