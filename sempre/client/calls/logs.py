"""Log lines of runs."""

from __future__ import annotations

from collections.abc import Iterable

from sempre.client import models
from sempre.client.bodies import Given, body_of, filters, plain
from sempre.client.calls.base import Calls

__all__ = ["LogCalls"]


class LogCalls(Calls):
    async def create_logs(self, logs: Iterable[Given]) -> None:
        """Store lines now. Runs' own lines go by `sempre.client.shipping`, which outlasts an outage."""
        await self._created("/logs/", [plain(each) for each in logs])

    async def read_logs(
        self,
        log_filter: Given | None = None,
        limit: int | None = None,
        offset: int = 0,
        sort: str = "TIMESTAMP_ASC",
    ) -> list[models.Log]:
        """The lines that match. Without a limit as many as the server gives at once."""
        body = body_of(filters(logs=log_filter), limit=limit, offset=offset, sort=sort)
        return await self._many(models.Log, "POST", "/logs/filter", body)
