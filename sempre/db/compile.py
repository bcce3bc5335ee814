"""From SQLAlchemy Core expressions to what asyncpg takes: text with ``$n`` and a list of arguments."""

from typing import Any

from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql import ClauseElement

__all__ = ["compiled"]

_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]


def compiled(statement: ClauseElement) -> tuple[str, list[Any]]:
    """``(sql, arguments)`` of a composed statement. ``IN`` lists must be arrays (``= ANY``), not expanding binds:
    one text per query shape, whatever the number of ids, is what keeps the statement cache useful."""
    result = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    values = result.params
    names: list[str] = result.positiontup or []  # type: ignore[attr-defined]
    return str(result), [values[name] for name in names]
