"""A database of each test's own, and a server with the event rooms on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.database import Database
from tests.support.events import Live, serving
from tests.support.own_database import database, scope

__all__ = ["database", "live", "scope"]


@pytest.fixture
async def live(database: Database) -> AsyncIterator[Live]:
    async with serving(database) as opened:
        yield opened
