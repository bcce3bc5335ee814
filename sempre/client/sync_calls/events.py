# Made from sempre/client/calls/events.py by scripts/sync_client.py: change that file.
"""Events: reading what was, and telling a few. Runs' own events go by `sempre.client.shipping`."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from sempre.client import models
from sempre.client.bodies import Given, body_of, path_part, plain
from sempre.client.sync_calls.base import SyncCalls

__all__ = ["SyncEventCalls"]


class SyncEventCalls(SyncCalls):
    def create_events(self, events: Iterable[Given]) -> None:
        """Store events; one that is stored already changes nothing."""
        self._request("POST", "/events", [plain(each) for each in events])

    def read_events(self, filter: Given | None = None, limit: int = 100) -> models.EventPage:
        """The events that match and how many there are; `next_page` goes to `read_events_page`."""
        return self._one(models.EventPage, "POST", "/events/filter", body_of(filter=filter, limit=limit))

    def read_events_page(self, next_page: str) -> models.EventPage:
        """The page that another one named."""
        token = urlsplit(next_page).query
        return self._one(models.EventPage, "GET", f"/events/filter/next?{token}")

    def count_events(
        self, filter: Given, countable: str = "event", time_unit: str = "day", time_interval: float = 1.0
    ) -> list[models.EventCount]:
        """Counts by `event`, `resource`, `day` or `time`."""
        body = body_of(filter=filter, time_unit=time_unit, time_interval=time_interval)
        return self._many(models.EventCount, "POST", f"/events/count-by/{path_part(countable)}", body)
