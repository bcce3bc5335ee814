"""What can go wrong between us and Postgres, reduced to what callers do about it."""

import asyncpg

__all__ = ["DatabaseUnavailable", "is_transient", "partition_moved"]


class DatabaseUnavailable(Exception):
    """Postgres could not do it now: unreachable, restarting, overloaded, or the wait was bounded. Try again."""


# SQLSTATE classes and codes after which the same request may well succeed.
_TRANSIENT_CLASSES = ("08", "53", "57", "58")
_TRANSIENT_CODES = frozenset(
    {
        "25006",  # read-only transaction: we are still connected to the old primary
        "40001",
        "40P01",
        "55P03",
        "42P01",  # undefined table: the schema is not there yet (a migration is about to run)
        "3F000",
        "3D000",
        "0A000",  # cached plan must not change result type: the schema was migrated under us
    }
)


def is_transient(error: BaseException) -> bool:
    """Whether ``error`` means "not now" rather than "not this"."""
    if isinstance(error, asyncpg.PostgresError):
        if partition_moved(error):
            return True
        code = error.sqlstate or ""
        return code[:2] in _TRANSIENT_CLASSES or code in _TRANSIENT_CODES
    if isinstance(error, asyncpg.exceptions.DataError | ValueError):
        return False
    return isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError | OSError | TimeoutError)


def partition_moved(error: BaseException) -> bool:
    """Whether a row was on its way into a default partition when its own partition appeared. The same again works."""
    return isinstance(error, asyncpg.CheckViolationError) and "partition constraint" in str(error)
