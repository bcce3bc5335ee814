"""Runs revisions on a connection of :mod:`sempre.db.migrate`, which holds the migration lock meanwhile."""

from typing import Any

from alembic import context
from sqlalchemy.engine import Connection


def run(connection: Connection, applied: Any) -> None:
    """``applied`` is told of every revision that was run."""
    context.configure(connection=connection, transaction_per_migration=True, on_version_apply=applied)
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"], context.config.attributes["applied"])
