# Made from sempre/client/calls/saved_searches.py by scripts/sync_client.py: change that file.
"""Saved searches of the UI."""

from __future__ import annotations

from uuid import UUID

from sempre.client import models
from sempre.client.bodies import Given, body_of, path_part, plain
from sempre.client.sync_calls.base import SyncCalls

__all__ = ["SyncSavedSearchCalls"]


class SyncSavedSearchCalls(SyncCalls):
    def create_saved_search(self, saved_search: Given) -> models.SavedSearch:
        """Create a saved search from a `SavedSearchCreate`, or replace the one of this name."""
        return self._one(models.SavedSearch, "PUT", "/saved_searches/", plain(saved_search))

    def read_saved_searches(self, limit: int | None = None, offset: int = 0) -> list[models.SavedSearch]:
        body = body_of(limit=limit, offset=offset)
        return self._many(models.SavedSearch, "POST", "/saved_searches/filter", body)

    def delete_saved_search(self, id: UUID | str) -> None:
        self._delete(f"/saved_searches/{path_part(id)}")
