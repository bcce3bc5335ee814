"""A database of each test's own."""

from tests.support.own_database import database, scope

__all__ = ["database", "scope"]
