"""A server with the log room."""

from tests.integration.events.conftest import database, live, scope

__all__ = ["database", "live", "scope"]
