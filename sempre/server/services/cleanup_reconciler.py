"""Delivers clean-up work again that a worker took and did not finish, gives up on what fails, forgets what is done."""

from sempre.server.scope import Scope
from sempre.server.worker_channel import cleanup

__all__ = ["run"]

_MOST_BATCHES = 100
_REMEMBERED_SECONDS = 7 * 86400.0  # finished messages, unless a setting says otherwise


async def run(scope: Scope) -> None:
    settings = scope.settings.worker_channel
    batch = scope.settings.services.cleanup_reconciler.batch_size
    for _ in range(_MOST_BATCHES):
        expired = await cleanup.requeue_expired(scope.db, attempts=settings.cleanup_max_delivery_attempts, limit=batch)
        scope.doorbell.ring(*{cleanup.topic(row["work_pool_id"]) for row in expired if row["status"] == "ready"})
        if len(expired) < batch:
            break
    kept = settings.cleanup_completed_idempotency_retention_seconds
    await cleanup.forget_finished(scope.db, age=_REMEMBERED_SECONDS if kept is None else kept, limit=10 * batch)
