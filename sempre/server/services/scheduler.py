"""The scheduler: keeps runs planned ahead for every active schedule.

``run`` looks through all deployments for schedules that have too few runs left. ``run_recent`` looks, much more often,
at what has just been changed, whose planned runs the change has removed.

Correct with any number of replicas at once; see :mod:`sempre.server.deployments.scheduling`.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from sempre.db.pool import Record
from sempre.server.deployments.scheduling import Bounds, changed_lately, needing_runs, schedule_runs
from sempre.server.scope import Scope
from sempre.server.settings.services import SchedulerSettings

__all__ = ["bounds_of", "run", "run_recent"]

_FIRST = UUID(int=0)


def bounds_of(settings: SchedulerSettings) -> Bounds:
    return Bounds(
        min_runs=settings.min_runs,
        max_runs=settings.max_runs,
        min_time=timedelta(seconds=settings.min_scheduled_time_seconds),
        max_time=timedelta(seconds=settings.max_scheduled_time_seconds),
    )


async def run(scope: Scope) -> None:
    """``scheduler``: one pass over all deployments."""
    settings = scope.settings.services.scheduler
    bounds = bounds_of(settings)

    async def page(after: UUID) -> list[Record]:
        return await needing_runs(scope.db, after, settings.deployment_batch_size, bounds)

    await _sweep(scope, page)


async def run_recent(scope: Scope) -> None:
    """``recent_deployments_scheduler``: one pass over what changed since the last one."""
    settings = scope.settings.services.scheduler

    async def page(after: UUID) -> list[Record]:
        return await changed_lately(scope.db, after, settings.deployment_batch_size, _window(settings))

    await _sweep(scope, page)


async def _sweep(scope: Scope, page: Callable[[UUID], Awaitable[list[Record]]]) -> None:
    settings = scope.settings.services.scheduler
    after = _FIRST
    while True:
        schedules = await page(after)
        await schedule_runs(scope, schedules, bounds_of(settings), since_change=_window(settings))
        if len({row["deployment_id"] for row in schedules}) < settings.deployment_batch_size:
            return
        after = schedules[-1]["deployment_id"]


def _window(settings: SchedulerSettings) -> timedelta:
    # A second more than the interval, so that no change falls between two rounds.
    return timedelta(seconds=settings.recent_deployments_loop_seconds + 1)
