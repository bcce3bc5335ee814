"""Alembic environment: one linear history of revisions, expand/contract so that version N-1 runs on schema N."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import asyncpg
from alembic import op
from sqlalchemy import text
from sqlalchemy.engine.interfaces import DBAPIConnection

from sempre.db.migrations.locks import patiently

__all__ = ["in_steps", "on_driver", "run_script", "tell"]

_TELL_SECONDS = 5.0


def on_driver(work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
    """Work on the driver's own connection: SQLAlchemy prepares everything that it sends, which a script and what runs
    in no transaction do not bear."""
    adapted = cast(DBAPIConnection, op.get_bind().connection.dbapi_connection)
    return adapted.run_async(work)


def run_script(sql: str) -> None:
    """Execute several statements in the migration's transaction, or outside of one in a transaction of their own.

    Locks on tables are waited for briefly and asked for again, see :mod:`sempre.db.migrations.locks`.
    """
    if op.get_context().as_sql:
        op.get_context().impl.static_output(sql)
        return
    # SQLAlchemy begins its transaction with the first statement that goes through it. Without one the script would be
    # committed by itself, before the revision is recorded.
    op.get_bind().execute(text("SELECT 1"))
    on_driver(lambda connection: patiently(connection, sql, tell))


def in_steps(what: str, sql: str, *, after: Any, table: str, rows: int) -> None:
    """Change many rows with short transactions, each of which says where the next one starts.

    ``sql`` begins behind ``:after``, looks at ``rows`` rows of ``table`` and returns where it ended, or nothing at the
    end. It must bear to be begun anew: an upgrade that was cut off does that. The caller's transaction is committed
    before.
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
        # An estimate, as counting takes long; kept by whatever analyzes the table.
        estimate = text("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(:table)")
        total = op.get_bind().execute(estimate, {"table": table}).scalar()
        tell(f"{what}, {rows} rows of {table} at a time.")
        told, done = time.monotonic(), 0
        while after is not None:
            after = op.get_bind().execute(text(sql), {"after": after}).scalar()
            done += rows
            if time.monotonic() - told >= _TELL_SECONDS:
                tell(f"{what}: {done:,} of about {max(total or 0, done):,} rows of {table}.")
                told = time.monotonic()


def tell(sentence: str) -> None:
    """Say what is going on to whoever waits for the upgrade."""
    config = op.get_context().config
    if config and (told := config.attributes.get("tell")):
        told(sentence)
