"""Fixtures of these tests: one world for all tests of a module, in one event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.integration.api.world import Ledger, World, open_world
from tests.support.database import Database
from tests.support.rooms import rooms

__all__ = ["ledger", "rooms", "world"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(database: Database) -> AsyncIterator[World]:
    async with open_world(database) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ledger(world: World) -> Ledger:
    opened = Ledger(world.rooms)
    await opened.open()
    return opened
