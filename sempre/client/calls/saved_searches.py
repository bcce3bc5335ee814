"""Saved searches of the UI."""

from __future__ import annotations

from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, path_part, plain
from sempre.client.calls.base import Calls

__all__ = ["SavedSearchCalls"]


class SavedSearchCalls(Calls):
    async def create_saved_search(self, saved_search: Given) -> models.SavedSearch:
        """Create a saved search from a `SavedSearchCreate`, or replace the one of this name."""
        return await self._one(models.SavedSearch, "PUT", "/saved_searches/", plain(saved_search))

    async def read_saved_searches(self, limit: int | None = None, offset: int = 0) -> list[models.SavedSearch]:
        body = body_of(limit=limit, offset=offset)
        return await self._many(models.SavedSearch, "POST", "/saved_searches/filter", body)

    async def delete_saved_search(self, id: UUID | str) -> None:
        await self._delete(f"/saved_searches/{path_part(id)}")
