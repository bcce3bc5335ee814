"""Turns of services carry a lease, so that whoever dies in a round is replaced at once; and processes that run services
tell that they are there.

The previous version of Sempre takes turns by ``next_run`` alone, which goes on to hold.
"""

from sempre.db.migrations import run_script

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(
        """
        ALTER TABLE service ADD COLUMN IF NOT EXISTS lease_until timestamptz;
        ALTER TABLE service ADD COLUMN IF NOT EXISTS fence bigint NOT NULL DEFAULT 0;

        -- Processes that run services. ``ages`` has the seconds since each of them last completed a round, when seen.
        CREATE TABLE IF NOT EXISTS replica (
            id uuid PRIMARY KEY,
            host text NOT NULL,
            pid integer NOT NULL,
            started timestamptz NOT NULL DEFAULT now(),
            seen timestamptz NOT NULL DEFAULT now(),
            ages jsonb NOT NULL DEFAULT '{}'
        );
        """
    )


def downgrade() -> None:
    run_script(
        """
        DROP TABLE replica;
        ALTER TABLE service DROP COLUMN fence;
        ALTER TABLE service DROP COLUMN lease_until;
        """
    )
