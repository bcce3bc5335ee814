"""Every background service, under the name operators know it by."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sempre.server.heartbeats import recording
from sempre.server.scope import Scope
from sempre.server.services import (
    abandoned_runs,
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
from sempre.server.services.behind import actions_due
from sempre.server.services.service import Service
from sempre.server.settings import Settings
from sempre.server.triggers import definitions

__all__ = ["SERVICES", "enabled_services"]

_HOURS = 6 * 3600.0


def _service(
    name: str,
    run: Callable[[Scope], Awaitable[None]],
    description: str,
    *,
    section: str | None = None,
    interval: str = "loop_seconds",
    parts: Sequence[str] = (),
    **more: Any,
) -> Service:
    """A service whose settings are those of ``section``, by default of its name: the switch ``enabled``, on if it names
    one of the ``parts`` where it is a list, and the setting named ``interval``."""
    room = section or name

    def enabled(settings: Settings) -> bool:
        switch = getattr(settings.services, room).enabled
        return not {*parts}.isdisjoint(switch) if parts else bool(switch)

    def seconds(settings: Settings) -> float:
        return float(getattr(getattr(settings.services, room), interval))

    return Service(name=name, run=run, description=description, section=room, enabled=enabled, interval=seconds, **more)


SERVICES: tuple[Service, ...] = (
    _service("scheduler", scheduler.run, "Plans runs ahead for every active schedule."),
    _service(
        "recent_deployments_scheduler",
        scheduler.run_recent,
        "Plans runs for deployments that changed lately, within seconds.",
        section="scheduler",
        interval="recent_deployments_loop_seconds",
    ),
    _service("late_runs", late_runs.run, "Marks runs Late that nobody picked up in time."),
    _service("pause_expirations", pause_expirations.run, "Fails paused runs whose time to resume has passed."),
    _service(
        "cancellation_cleanup",
        cancellation_cleanup.run,
        "Ends what belongs to cancelled runs, and cancellations that nobody carries out.",
    ),
    _service("foreman", foreman.run, "Watches workers, work pools, queues and deployments go online and offline."),
    _service("repossessor", repossessor.run, "Frees concurrency slots whose lease ran out."),
    _service(
        "cleanup_reconciler",
        cleanup_reconciler.run,
        "Delivers clean-up work again that a worker took and did not finish.",
    ),
    _service(
        "task_run_recorder",
        task_run_recorder.run,
        "Writes task runs from the events that clients send.",
        continuous=True,
        consumer=task_run_recorder.CONSUMER,
    ),
    _service(
        "triggers",
        triggers.run,
        "Evaluates the triggers of automations.",
        continuous=True,
        consumer=definitions.CONSUMER,
    ),
    _service(
        "actions",
        actions.run,
        "Carries out what automations are to do.",
        section="triggers",
        stop=actions.stop,
        continuous=True,
        behind=actions_due,
    ),
    _service(
        "heartbeats",
        heartbeats.run,
        "Listens to the heartbeats of flow runs, and marks runs Crashed whose heartbeats stopped.",
        continuous=True,
        consumer=recording.CONSUMER,
    ),
    _service(
        "abandoned_runs",
        abandoned_runs.run,
        "Takes runs back from workers and runners that died, and ends what dead runs left behind.",
    ),
    _service(
        "presets", presets.run, "Makes the automations that come with the server, once there is somebody to notify."
    ),
    _service(
        "partition_keeper",
        partition_keeper.run,
        "Makes the day partitions of the coming days and drops those past retention.",
    ),
    _service(
        "db_vacuum",
        db_vacuum.run,
        "Removes events, logs and finished runs that are older than their retention.",
        parts=("events", "flow_runs"),
        longest_round=_HOURS,
    ),
    _service(
        "db_vacuum_orphans",
        db_vacuum.run_orphans,
        "Removes logs and artifacts whose run is gone.",
        section="db_vacuum",
        interval="orphan_cleanup_loop_seconds",
        parts=("orphans",),
        longest_round=_HOURS,
    ),
)


def enabled_services(settings: Settings) -> list[Service]:
    return [service for service in SERVICES if service.enabled(settings)]
