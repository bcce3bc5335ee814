"""Alembic environment: one linear history of revisions, expand/contract so that version N-1 runs on schema N."""

from typing import Any, cast

from alembic import op
from sqlalchemy import text
from sqlalchemy.engine.interfaces import DBAPIConnection

__all__ = ["in_steps", "run_script", "tell"]


def run_script(sql: str) -> None:
    """Execute several statements in the migration's transaction.

    SQLAlchemy prepares everything it sends to asyncpg, and a prepared statement is a single one; the driver's own
    simple protocol takes a whole script.
    """
    if op.get_context().as_sql:
        op.get_context().impl.static_output(sql)
        return
    adapted = cast(DBAPIConnection, op.get_bind().connection.dbapi_connection)
    adapted.run_async(lambda connection: connection.execute(sql))


def in_steps(what: str, sql: str, *, after: Any) -> None:
    """Change many rows with short transactions, each of which says where the next one starts.

    ``sql`` begins behind ``:after`` and returns where it ended, or nothing at the end. It must bear to be begun anew:
    an upgrade that was cut off does that. The caller's transaction is committed before.
    """
    if op.get_context().as_sql:
        op.execute(
            f"""
            DO $$ DECLARE place uuid := '{after}'; BEGIN
                LOOP
                    EXECUTE $step${sql.replace(":after", "$1")}$step$ INTO place USING place;
                    EXIT WHEN place IS NULL;
                END LOOP;
            END $$
            """
        )
        return
    with op.get_context().autocommit_block():
        tell(f"{what}.")
        while after is not None:
            after = op.get_bind().execute(text(sql), {"after": after}).scalar()


def tell(sentence: str) -> None:
    """Say what is going on to whoever waits for the upgrade."""
    config = op.get_context().config
    if config and (told := config.attributes.get("tell")):
        told(sentence)
