"""What can go wrong between us and Postgres, reduced to what callers do about it."""

import asyncpg

__all__ = [
    "DatabaseUnavailable",
    "ends_the_connection",
    "is_transient",
    "is_undone",
    "partition_moved",
    "refuses_writes",
]


class DatabaseUnavailable(Exception):
    """Postgres could not do it now: unreachable, restarting, overloaded, or the wait was bounded. Try again."""


# SQLSTATE classes and codes after which the same request may well succeed: connections (08), resources such as
# connections, memory and disk space (53), an operator's intervention (57), the system below (58).
_TRANSIENT_CLASSES = ("08", "53", "57", "58")
_TRANSIENT_CODES = frozenset(
    {
        "25006",  # read-only transaction: we are still connected to the old primary
        "25P02",  # in failed transaction: what failed it was met before
        "25P03",  # idle in transaction for too long,
        "25P04",  # or in a transaction at all, by the operator's limits
        "26000",  # prepared statement does not exist: a pooler gave us another server's session
        "40001",
        "40003",
        "40P01",
        "42P01",  # undefined table: the schema is not there yet (a migration is about to run)
        "42P05",  # prepared statement exists already: a pooler again
        "3F000",
        "3D000",
        "0A000",  # cached plan must not change result type: the schema was migrated under us
        "55006",  # object in use
        "55P03",
    }
)
# A single statement that ended so has changed nothing, and the same one may well pass.
_UNDONE_CODES = frozenset({"25006", "26000", "40001", "40P01", "42P05"})


def _code(error: BaseException) -> str:
    return (error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else ""


def is_transient(error: BaseException) -> bool:
    """Whether ``error`` means "not now" rather than "not this"."""
    if isinstance(error, asyncpg.PostgresError):
        code = _code(error)
        return code[:2] in _TRANSIENT_CLASSES or code in _TRANSIENT_CODES or partition_moved(error)
    if isinstance(error, asyncpg.exceptions.DataError | ValueError):
        return False
    return isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError | OSError | TimeoutError)


def is_undone(error: BaseException) -> bool:
    """Whether a statement of its own failed with it whole, and for a reason that passes."""
    return _code(error) in _UNDONE_CODES or partition_moved(error)


def refuses_writes(error: BaseException) -> bool:
    """Whether we talk to a standby, or to a primary that no longer is one."""
    return _code(error) == "25006"


def ends_the_connection(error: BaseException) -> bool:
    """Whether the connection it came over is of no further use: closed, about to be, or waiting for an answer."""
    if isinstance(error, asyncpg.PostgresError):
        code = _code(error)
        return code[:2] == "08" or code in {"25006", "25P03", "25P04", "26000", "57P01", "57P02", "57P03", "57P05"}
    return isinstance(error, OSError | asyncpg.InternalClientError)


def partition_moved(error: BaseException) -> bool:
    """Whether a row was on its way into a default partition when its own partition appeared. The same again works."""
    return isinstance(error, asyncpg.CheckViolationError) and "partition constraint" in str(error)
