"""Scopes of two replicas on one database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sempre.server.scope import Scope
from tests.support.database import Database
from tests.support.scopes import open_scope


@pytest.fixture
async def scope(database: Database) -> AsyncIterator[Scope]:
    async with open_scope(database) as opened:
        yield opened


@pytest.fixture
async def replica(database: Database) -> AsyncIterator[Scope]:
    """Another replica's."""
    async with open_scope(database) as opened:
        yield opened
