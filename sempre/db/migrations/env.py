"""Runs revisions on the connection that :mod:`sempre.db.migrate` holds the migration lock with."""

from alembic import context
from sqlalchemy.engine import Connection


def run(connection: Connection) -> None:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
