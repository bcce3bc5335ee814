"""Makes the day partitions of the coming days and drops those past retention."""

from datetime import UTC, datetime, timedelta

from sempre.db import partitions
from sempre.server.scope import Scope

__all__ = ["run"]


async def run(scope: Scope) -> None:
    """One round. Days are those of the database's clock."""
    settings = scope.settings
    now: datetime = (await scope.db.fetchval("SELECT now()")).astimezone(UTC)
    first, last = (
        now.date() - timedelta(days=1),
        now.date() + timedelta(days=settings.services.partition_keeper.days_ahead),
    )
    for table in (partitions.EVENTS, partitions.LOGS):
        await partitions.create_days(scope.db, table, first, last)
    await partitions.drop_before(scope.db, partitions.LOGS, now - timedelta(seconds=settings.logs.retention_seconds))
    if "events" in settings.services.db_vacuum.enabled:
        cutoff = now - timedelta(seconds=settings.events.retention_seconds)
        await partitions.drop_before(scope.db, partitions.EVENTS, cutoff)
