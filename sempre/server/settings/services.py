"""One section per background service, named as operators know them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sempre.server.settings.parse import parse_vacuum
from sempre.settings.fields import setting
from sempre.settings.parse import parse_duration_map, parse_list

_ON = "Run this service."
_LOOP = "Seconds from the start of one round to the start of the next."


def _names(service: str) -> tuple[str, ...]:
    return (f"PREFECT_SERVER_SERVICES_{service}_", f"PREFECT_API_SERVICES_{service}_")


@dataclass(frozen=True, kw_only=True)
class SchedulerSettings:
    """Turns schedules into runs."""

    prefix: ClassVar[str] = "SERVER_SERVICES_SCHEDULER_"
    compatible: ClassVar[tuple[str, ...]] = _names("SCHEDULER")

    enabled: bool = setting(True, _ON)
    loop_seconds: float = setting(60.0, _LOOP, minimum=0.05)
    recent_deployments_loop_seconds: float = setting(5.0, "The same for deployments that changed lately.", minimum=0.05)
    deployment_batch_size: int = setting(100, "Deployments looked at in one statement.", minimum=1)
    max_runs: int = setting(100, "Most runs kept scheduled ahead per schedule.", minimum=1)
    min_runs: int = setting(3, "Fewest runs kept scheduled ahead per schedule.", minimum=1)
    max_scheduled_time_seconds: float = setting(
        8640000.0, "Furthest ahead a run is scheduled (100 days).", suffixes=("MAX_SCHEDULED_TIME",), minimum=1
    )
    min_scheduled_time_seconds: float = setting(
        3600.0, "Runs are scheduled at least this far ahead.", suffixes=("MIN_SCHEDULED_TIME",), minimum=0
    )
    insert_batch_size: int = setting(500, "Runs inserted in one statement.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class LateRunsSettings:
    """Marks runs Late that nobody picked up in time."""

    prefix: ClassVar[str] = "SERVER_SERVICES_LATE_RUNS_"
    compatible: ClassVar[tuple[str, ...]] = _names("LATE_RUNS")

    enabled: bool = setting(True, _ON)
    loop_seconds: float = setting(5.0, _LOOP, minimum=0.05)
    after_seconds: float = setting(15.0, "A run is late this long after its scheduled time.", minimum=0)


@dataclass(frozen=True, kw_only=True)
class PauseExpirationsSettings:
    """Fails paused runs whose time to resume has passed."""

    prefix: ClassVar[str] = "SERVER_SERVICES_PAUSE_EXPIRATIONS_"
    compatible: ClassVar[tuple[str, ...]] = _names("PAUSE_EXPIRATIONS")

    enabled: bool = setting(True, _ON)
    loop_seconds: float = setting(5.0, _LOOP, minimum=0.05)


@dataclass(frozen=True, kw_only=True)
class CancellationCleanupSettings:
    """Ends what belongs to cancelled runs, and cancellations that nobody carries out."""

    prefix: ClassVar[str] = "SERVER_SERVICES_CANCELLATION_CLEANUP_"
    compatible: ClassVar[tuple[str, ...]] = _names("CANCELLATION_CLEANUP")

    enabled: bool = setting(True, _ON)
    loop_seconds: float = setting(20.0, _LOOP, minimum=0.05)
    cancelling_timeout_seconds: float = setting(
        300.0, "A run that is Cancelling for longer is marked Cancelled.", minimum=0
    )


@dataclass(frozen=True, kw_only=True)
class ForemanSettings:
    """Watches workers, work pools, queues and deployments go online and offline."""

    prefix: ClassVar[str] = "SERVER_SERVICES_FOREMAN_"
    compatible: ClassVar[tuple[str, ...]] = _names("FOREMAN")

    enabled: bool = setting(True, _ON)
    loop_seconds: float = setting(15.0, _LOOP, minimum=0.05)
    inactivity_heartbeat_multiple: int = setting(3, "A worker is offline after this many missed heartbeats.", minimum=1)
    fallback_heartbeat_interval_seconds: float = setting(
        30.0, "Heartbeat interval of a worker that does not tell its own.", minimum=0.05
    )
    deployment_last_polled_timeout_seconds: float = setting(
        60.0, "A deployment not polled for this long is not ready.", minimum=0.05
    )
    work_queue_last_polled_timeout_seconds: float = setting(
        60.0, "A work queue not polled for this long is not ready.", minimum=0.05
    )


@dataclass(frozen=True, kw_only=True)
class RepossessorSettings:
    """Frees concurrency slots whose lease ran out."""

    prefix: ClassVar[str] = "SERVER_SERVICES_REPOSSESSOR_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_SERVICES_REPOSSESSOR_",)

    enabled: bool = setting(True, _ON)
    loop_seconds: float = setting(15.0, _LOOP, minimum=0.05)


@dataclass(frozen=True, kw_only=True)
class CleanupReconcilerSettings:
    """Delivers clean-up work to the worker that owns it."""

    prefix: ClassVar[str] = "SERVER_SERVICES_CLEANUP_RECONCILER_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_SERVICES_CLEANUP_RECONCILER_",)

    enabled: bool = setting(True, _ON)
    loop_seconds: float = setting(5.0, _LOOP, minimum=0.05)
    batch_size: int = setting(100, "Items handled in one round.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class EventPersisterSettings:
    """Appends events of clients to the log, in groups."""

    prefix: ClassVar[str] = "SERVER_SERVICES_EVENT_PERSISTER_"
    compatible: ClassVar[tuple[str, ...]] = _names("EVENT_PERSISTER")

    enabled: bool = setting(True, "Keep events. Off: events reach the live feed and triggers, and nothing is kept.")
    batch_size: int = setting(500, "Most events appended in one statement.", minimum=1)
    flush_interval_seconds: float = setting(0.005, "Longest an event waits for companions.", minimum=0)
    queue_max_size: int = setting(50000, "Events held in one process before clients are told to wait.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class TaskRunRecorderSettings:
    """Writes task runs from the events that clients send."""

    prefix: ClassVar[str] = "SERVER_SERVICES_TASK_RUN_RECORDER_"
    compatible: ClassVar[tuple[str, ...]] = _names("TASK_RUN_RECORDER")

    enabled: bool = setting(True, _ON)
    loop_seconds: float = setting(
        1.0, "Longest sleep between two looks at the log when no doorbell rings.", minimum=0.01
    )
    read_batch_size: int = setting(500, "Events taken in one transaction.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class TriggersSettings:
    """Evaluates automations, reactive and proactive, and carries out their actions."""

    prefix: ClassVar[str] = "SERVER_SERVICES_TRIGGERS_"
    compatible: ClassVar[tuple[str, ...]] = _names("TRIGGERS")

    enabled: bool = setting(True, _ON)
    loop_seconds: float = setting(
        1.0, "Longest sleep between two looks at the log when no doorbell rings.", minimum=0.01
    )
    read_batch_size: int = setting(500, "Events taken in one transaction.", minimum=1)
    allow_private_urls: bool = setting(
        True, "Let notifications and webhooks reach private networks, where their blocks allow it, too."
    )


@dataclass(frozen=True, kw_only=True)
class EventLoggerSettings:
    """Prints every event. For debugging."""

    prefix: ClassVar[str] = "SERVER_SERVICES_EVENT_LOGGER_"
    compatible: ClassVar[tuple[str, ...]] = _names("EVENT_LOGGER")

    enabled: bool = setting(False, _ON)


@dataclass(frozen=True, kw_only=True)
class DbVacuumSettings:
    """Removes what is older than its retention."""

    prefix: ClassVar[str] = "SERVER_SERVICES_DB_VACUUM_"
    compatible: ClassVar[tuple[str, ...]] = ("PREFECT_SERVER_SERVICES_DB_VACUUM_",)

    enabled: tuple[str, ...] = setting(
        ("events",),
        "What is removed: a comma list of events, flow_runs, orphans. true: all three. false: events only.",
        parse=parse_vacuum,
    )
    loop_seconds: float = setting(3600.0, _LOOP, minimum=0.05)
    orphan_cleanup_loop_seconds: float = setting(
        86400.0, "The same for logs and artifacts without a run.", minimum=0.05
    )
    retention_seconds: float = setting(
        7776000.0,
        "Age at which finished runs are removed (90 days). More than one hour.",
        suffixes=("RETENTION_PERIOD",),
        minimum=3600.001,
    )
    batch_size: int = setting(200, "Runs removed in one statement.", minimum=1)
    event_retention_overrides: dict[str, float] = setting(
        factory=lambda: {"prefect.flow-run.heartbeat": 604800.0},
        doc="JSON from event name to retention, never longer than the retention of all events.",
        parse=parse_duration_map,
    )


@dataclass(frozen=True, kw_only=True)
class PartitionKeeperSettings:
    """Creates the day partitions of tomorrow and drops those past retention."""

    prefix: ClassVar[str] = "SERVER_SERVICES_PARTITION_KEEPER_"
    compatible: ClassVar[tuple[str, ...]] = ()

    enabled: bool = setting(True, _ON)
    loop_seconds: float = setting(600.0, _LOOP, minimum=0.05)
    days_ahead: int = setting(7, "Days for which partitions exist in advance.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class HeartbeatsSettings:
    """Listens to the heartbeats of flow runs, and marks runs Crashed whose heartbeats stopped."""

    prefix: ClassVar[str] = "SERVER_SERVICES_HEARTBEATS_"
    compatible: ClassVar[tuple[str, ...]] = ()

    enabled: bool = setting(True, _ON)
    loop_seconds: float = setting(15.0, _LOOP, minimum=0.05)
    missed_heartbeats: int = setting(3, "A run is crashed after this many missed heartbeats.", minimum=2)
    assumed_interval_seconds: float = setting(
        180.0, "From one heartbeat to the next, as long as only one is known of a run.", minimum=1
    )
    shortest_interval_seconds: float = setting(
        30.0, "A run that sends heartbeats more often is judged as if it sent one in this time.", minimum=1
    )
    retry_crashed: bool = setting(
        True,
        "A run of a deployment that fell silent is run again, as often as its retries allow. Off: it stays Crashed.",
    )


@dataclass(frozen=True, kw_only=True)
class AbandonedRunsSettings:
    """Takes runs back from workers and runners that died, and ends what dead runs left behind."""

    prefix: ClassVar[str] = "SERVER_SERVICES_ABANDONED_RUNS_"
    compatible: ClassVar[tuple[str, ...]] = ()

    enabled: bool = setting(True, _ON)
    loop_seconds: float = setting(5.0, _LOOP, minimum=0.05)
    infrastructure_patience_seconds: float = setting(
        900.0, "A dead worker's run whose infrastructure may outlive the worker has so long to start.", minimum=0
    )
    runner_silence_seconds: float = setting(
        180.0,
        "Who polls for a deployment's runs without being a worker is dead after not polling for so long.",
        minimum=1,
    )
    longest_claim_seconds: float = setting(
        3600.0, "A run that a living worker claimed, and started nothing for, is taken back after this.", minimum=1
    )
    ad_hoc_pending_seconds: float = setting(
        3600.0,
        "A run without a deployment that is Pending for so long, and part of no live run, is Crashed.",
        minimum=1,
    )
    leftover_seconds: float = setting(
        60.0, "Task runs, subflows and leases end so long after the run that left them behind.", minimum=0
    )
    cancelling_seconds: float = setting(
        60.0, "A run that is Cancelling for so long is Cancelled if its worker is dead.", minimum=0
    )


@dataclass(frozen=True, kw_only=True)
class PresetsSettings:
    """Makes the automations that come with the server, once there is somebody to notify."""

    prefix: ClassVar[str] = "SERVER_SERVICES_PRESETS_"
    compatible: ClassVar[tuple[str, ...]] = ()

    enabled: bool = setting(True, _ON)
    loop_seconds: float = setting(30.0, _LOOP, minimum=0.05)
    notify: str | None = setting(
        None, "The notification or webhook block that is told, as type-slug/name. Unset: there are no presets."
    )
    automations: tuple[str, ...] = setting(
        ("crashed-runs", "stuck-runs"), "A comma list of the presets that are switched on.", parse=parse_list
    )
    stuck_after_seconds: float = setting(300.0, "A run that is Pending or Late for this long is stuck.", minimum=10)


@dataclass(frozen=True, kw_only=True)
class ServicesSettings:
    """The background services of a process that runs them."""

    prefix: ClassVar[str] = "SERVER_SERVICES_"
    compatible: ClassVar[tuple[str, ...]] = ()

    health_host: str = setting("127.0.0.1", "Address of the services' own health listener.")
    health_port: int = setting(
        0, "Port of the services' own health listener (GET /health). 0: none.", minimum=0, maximum=65535
    )
    drain_seconds: float = setting(20.0, "Longest a stop waits for rounds in flight.", minimum=0)
    coordination_enabled: bool = setting(
        True, "Replicas take turns. Off: every replica runs every round, which is as correct and costs more."
    )

    scheduler: SchedulerSettings = field(default_factory=SchedulerSettings)
    late_runs: LateRunsSettings = field(default_factory=LateRunsSettings)
    pause_expirations: PauseExpirationsSettings = field(default_factory=PauseExpirationsSettings)
    cancellation_cleanup: CancellationCleanupSettings = field(default_factory=CancellationCleanupSettings)
    foreman: ForemanSettings = field(default_factory=ForemanSettings)
    repossessor: RepossessorSettings = field(default_factory=RepossessorSettings)
    cleanup_reconciler: CleanupReconcilerSettings = field(default_factory=CleanupReconcilerSettings)
    event_persister: EventPersisterSettings = field(default_factory=EventPersisterSettings)
    task_run_recorder: TaskRunRecorderSettings = field(default_factory=TaskRunRecorderSettings)
    triggers: TriggersSettings = field(default_factory=TriggersSettings)
    event_logger: EventLoggerSettings = field(default_factory=EventLoggerSettings)
    db_vacuum: DbVacuumSettings = field(default_factory=DbVacuumSettings)
    partition_keeper: PartitionKeeperSettings = field(default_factory=PartitionKeeperSettings)
    heartbeats: HeartbeatsSettings = field(default_factory=HeartbeatsSettings)
    abandoned_runs: AbandonedRunsSettings = field(default_factory=AbandonedRunsSettings)
    presets: PresetsSettings = field(default_factory=PresetsSettings)
