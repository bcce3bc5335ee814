"""Runs revisions on a connection of :mod:`sempre.db.migrate`, which holds the migration lock meanwhile."""

from alembic import context


def run() -> None:
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", transaction_per_migration=True)
    else:
        attributes = context.config.attributes
        context.configure(
            connection=attributes["connection"],
            transaction_per_migration=True,
            on_version_apply=attributes["applied"],
        )
    with context.begin_transaction():
        context.run_migrations()


run()
