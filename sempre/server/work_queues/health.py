"""Whether a queue is looked after."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sempre.db.pool import Record
from sempre.schemas.work_pools import WorkQueueHealthPolicy
from sempre.server.scope import Scope
from sempre.server.work_queues import queries

__all__ = ["status_of"]

_POLICY = WorkQueueHealthPolicy()


async def status_of(scope: Scope, queue: Record) -> dict[str, Any]:
    """Healthy: polled lately, and nothing in it is late."""
    late = await queries.late_runs(scope.db, queue["id"])
    polled = queue["last_polled"]
    longest = timedelta(seconds=_POLICY.maximum_seconds_since_last_polled or 0)
    return {
        "healthy": late == 0 and polled is not None and datetime.now(UTC) - polled <= longest,
        "late_runs_count": late,
        "last_polled": polled,
        "health_check_policy": _POLICY,
    }
