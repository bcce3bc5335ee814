"""Fixtures for tests of the event log and its consumers, which are global to a database: one of each test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sempre.server.scope import Scope
from tests.conftest import _migrated
from tests.support.database import Database, Postgres
from tests.support.scopes import open_scope

__all__ = ["database", "scope"]


@pytest.fixture
def database(postgres: Postgres, workdir: Path) -> Iterator[Database]:
    fresh = _migrated(postgres, workdir / "migration-home")
    yield fresh
    postgres.drop(fresh)


@pytest.fixture
async def scope(database: Database) -> AsyncIterator[Scope]:
    async with open_scope(database) as opened:
        yield opened
