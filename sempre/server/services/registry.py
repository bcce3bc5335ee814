"""Every background service, under the name operators know it by."""

from typing import Any

from sempre.db.pool import Executor
from sempre.server.services import (
    actions,
    cancellation_cleanup,
    cleanup_reconciler,
    db_vacuum,
    foreman,
    heartbeats,
    late_runs,
    partition_keeper,
    pause_expirations,
    presets,
    repossessor,
    scheduler,
    task_run_recorder,
    triggers,
)
from sempre.server.services.service import Service
from sempre.server.settings import Settings

__all__ = ["SERVICES", "enabled_services", "list_services"]

_HOURS = 6 * 3600.0
_LAST_RUN = ("owner", "started", "completed", "seconds", "error")

SERVICES: tuple[Service, ...] = (
    Service(
        name="scheduler",
        description="Plans runs ahead for every active schedule.",
        section="scheduler",
        enabled=lambda settings: settings.services.scheduler.enabled,
        interval=lambda settings: settings.services.scheduler.loop_seconds,
        run=scheduler.run,
    ),
    Service(
        name="recent_deployments_scheduler",
        description="Plans runs for deployments that changed lately, within seconds.",
        section="scheduler",
        enabled=lambda settings: settings.services.scheduler.enabled,
        interval=lambda settings: settings.services.scheduler.recent_deployments_loop_seconds,
        run=scheduler.run_recent,
    ),
    Service(
        name="late_runs",
        description="Marks runs Late that nobody picked up in time.",
        section="late_runs",
        enabled=lambda settings: settings.services.late_runs.enabled,
        interval=lambda settings: settings.services.late_runs.loop_seconds,
        run=late_runs.run,
    ),
    Service(
        name="pause_expirations",
        description="Fails paused runs whose time to resume has passed.",
        section="pause_expirations",
        enabled=lambda settings: settings.services.pause_expirations.enabled,
        interval=lambda settings: settings.services.pause_expirations.loop_seconds,
        run=pause_expirations.run,
    ),
    Service(
        name="cancellation_cleanup",
        description="Ends what belongs to cancelled runs, and cancellations that nobody carries out.",
        section="cancellation_cleanup",
        enabled=lambda settings: settings.services.cancellation_cleanup.enabled,
        interval=lambda settings: settings.services.cancellation_cleanup.loop_seconds,
        run=cancellation_cleanup.run,
    ),
    Service(
        name="foreman",
        description="Watches workers, work pools, queues and deployments go online and offline.",
        section="foreman",
        enabled=lambda settings: settings.services.foreman.enabled,
        interval=lambda settings: settings.services.foreman.loop_seconds,
        run=foreman.run,
    ),
    Service(
        name="repossessor",
        description="Frees concurrency slots whose lease ran out.",
        section="repossessor",
        enabled=lambda settings: settings.services.repossessor.enabled,
        interval=lambda settings: settings.services.repossessor.loop_seconds,
        run=repossessor.run,
    ),
    Service(
        name="cleanup_reconciler",
        description="Delivers clean-up work again that a worker took and did not finish.",
        section="cleanup_reconciler",
        enabled=lambda settings: settings.services.cleanup_reconciler.enabled,
        interval=lambda settings: settings.services.cleanup_reconciler.loop_seconds,
        run=cleanup_reconciler.run,
    ),
    Service(
        name="task_run_recorder",
        description="Writes task runs from the events that clients send.",
        section="task_run_recorder",
        enabled=lambda settings: settings.services.task_run_recorder.enabled,
        interval=lambda settings: settings.services.task_run_recorder.loop_seconds,
        run=task_run_recorder.run,
        continuous=True,
    ),
    Service(
        name="triggers",
        description="Evaluates the triggers of automations.",
        section="triggers",
        enabled=lambda settings: settings.services.triggers.enabled,
        interval=lambda settings: settings.services.triggers.loop_seconds,
        run=triggers.run,
        continuous=True,
    ),
    Service(
        name="actions",
        description="Carries out what automations are to do.",
        section="triggers",
        enabled=lambda settings: settings.services.triggers.enabled,
        interval=lambda settings: settings.services.triggers.loop_seconds,
        run=actions.run,
        stop=actions.stop,
        continuous=True,
    ),
    Service(
        name="heartbeats",
        description="Listens to the heartbeats of flow runs, and marks runs Crashed whose heartbeats stopped.",
        section="heartbeats",
        enabled=lambda settings: settings.services.heartbeats.enabled,
        interval=lambda settings: settings.services.heartbeats.loop_seconds,
        run=heartbeats.run,
        continuous=True,
    ),
    Service(
        name="presets",
        description="Makes the automations that come with the server, once there is somebody to notify.",
        section="presets",
        enabled=lambda settings: settings.services.presets.enabled,
        interval=lambda settings: settings.services.presets.loop_seconds,
        run=presets.run,
    ),
    Service(
        name="partition_keeper",
        description="Makes the day partitions of the coming days and drops those past retention.",
        section="partition_keeper",
        enabled=lambda settings: settings.services.partition_keeper.enabled,
        interval=lambda settings: settings.services.partition_keeper.loop_seconds,
        run=partition_keeper.run,
    ),
    Service(
        name="db_vacuum",
        description="Removes events, logs and finished runs that are older than their retention.",
        section="db_vacuum",
        enabled=lambda settings: bool({"events", "flow_runs"} & set(settings.services.db_vacuum.enabled)),
        interval=lambda settings: settings.services.db_vacuum.loop_seconds,
        run=db_vacuum.run,
        longest_round=_HOURS,
    ),
    Service(
        name="db_vacuum_orphans",
        description="Removes logs and artifacts whose run is gone.",
        section="db_vacuum",
        enabled=lambda settings: "orphans" in settings.services.db_vacuum.enabled,
        interval=lambda settings: settings.services.db_vacuum.orphan_cleanup_loop_seconds,
        run=db_vacuum.run_orphans,
        longest_round=_HOURS,
    ),
)


def enabled_services(settings: Settings) -> list[Service]:
    return [service for service in SERVICES if service.enabled(settings)]


async def list_services(settings: Settings, db: Executor | None = None) -> list[dict[str, Any]]:
    """Every service: ``name``, ``enabled``, ``environment_variable``, ``description``, ``interval`` (seconds; None for
    one that runs all the time) and, with a database, its ``last_run``: ``owner``, ``started``, ``completed`` (times),
    ``seconds``, ``error``; None if it never ran.
    """
    last_runs = {} if db is None else await _last_runs(db)
    return [
        {
            "name": service.name,
            "enabled": service.enabled(settings),
            "environment_variable": service.environment_variable,
            "description": service.description,
            "interval": None if service.continuous else service.interval(settings),
            "last_run": last_runs.get(service.name),
        }
        for service in SERVICES
    ]


async def _last_runs(db: Executor) -> dict[str, dict[str, Any]]:
    rows = await db.fetch(f"SELECT name, {', '.join(_LAST_RUN)} FROM service WHERE started IS NOT NULL")
    return {str(row["name"]): {key: row[key] for key in _LAST_RUN} for row in rows}
