"""One filled database for all tests of these modules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest_asyncio

from sempre.server.scope import DEFAULT_WORKSPACE
from tests.integration.filters.oracle import Json, World
from tests.integration.filters.questions import Listing
from tests.integration.filters.seed import rows_of, seed
from tests.support.database import Database
from tests.support.rooms import Rooms, open_rooms


@dataclass
class Asking:
    """The API over the seeded rows, and the rows of its workspace."""

    rooms: Rooms
    world: World

    async def ids(self, listing: Listing, body: Json) -> list[str]:
        return [row["id"] for row in await self.rooms.post(f"{listing.path}/filter", body)]

    async def count(self, listing: Listing, body: Json) -> int:
        return int(await self.rooms.post(f"{listing.path}/count", body))

    @contextmanager
    def as_workspace(self, id: UUID) -> Iterator[None]:
        state: Any = self.rooms.app.state
        mine = state.scope
        state.scope = replace(mine, workspace_id=id)
        try:
            yield
        finally:
            state.scope = mine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asking(database: Database) -> AsyncIterator[Asking]:
    async with open_rooms(database) as rooms:
        await seed(rooms.scope)
        yield Asking(rooms, await rows_of(rooms.scope, DEFAULT_WORKSPACE))
