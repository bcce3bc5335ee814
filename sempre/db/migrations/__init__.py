"""Alembic environment: one linear history of revisions, expand/contract so that version N-1 runs on schema N."""

from typing import cast

from alembic import op
from sqlalchemy.engine.interfaces import DBAPIConnection

__all__ = ["run_script"]


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
