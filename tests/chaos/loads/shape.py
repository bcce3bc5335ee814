"""How much of what, and the settings of servers under this load."""

from __future__ import annotations

from dataclasses import dataclass

ENVIRONMENT = {
    # Plans run out within minutes, so that the scheduler is at work all the time; no outage lasts as long as they do.
    "SEMPRE_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
    "SEMPRE_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
    "SEMPRE_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME_SECONDS": "150",
    "SEMPRE_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "2",
    "SEMPRE_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "5",
    "SEMPRE_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "2",
    "SEMPRE_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "5",
    "SEMPRE_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "2",
    "SEMPRE_SERVER_SERVICES_CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS": "15",
    # A simulated run beats every 3 s and is given up after 15 s; a stock one beats every 30 s: after 36 s at first.
    "SEMPRE_SERVER_SERVICES_HEARTBEATS_LOOP_SECONDS": "2",
    "SEMPRE_SERVER_SERVICES_HEARTBEATS_MISSED_HEARTBEATS": "3",
    "SEMPRE_SERVER_SERVICES_HEARTBEATS_ASSUMED_INTERVAL_SECONDS": "12",
    "SEMPRE_SERVER_SERVICES_HEARTBEATS_SHORTEST_INTERVAL_SECONDS": "5",
    "SEMPRE_SERVER_SERVICES_ABANDONED_RUNS_LOOP_SECONDS": "2",
    "SEMPRE_SERVER_SERVICES_ABANDONED_RUNS_LONGEST_CLAIM_SECONDS": "40",
    "SEMPRE_SERVER_SERVICES_ABANDONED_RUNS_AD_HOC_PENDING_SECONDS": "60",
    "SEMPRE_SERVER_SERVICES_ABANDONED_RUNS_CANCELLING_SECONDS": "15",
    "SEMPRE_SERVER_SERVICES_ABANDONED_RUNS_INFRASTRUCTURE_PATIENCE_SECONDS": "30",
    "SEMPRE_SERVER_SERVICES_ABANDONED_RUNS_RUNNER_SILENCE_SECONDS": "30",
    "SEMPRE_SERVER_SERVICES_ABANDONED_RUNS_LEFTOVER_SECONDS": "10",
    "SEMPRE_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
    "SEMPRE_SERVER_EVENTS_PROACTIVE_GRANULARITY_SECONDS": "1",
    # The oracle forgets nothing: while its sender waits out faults, a count may take longer than the usual minute.
    "SEMPRE_SERVER_EVENTS_EXPIRED_BUCKET_BUFFER_SECONDS": "900",
}

SILENCE_SECONDS = 15.0  # what ENVIRONMENT makes of a simulated run's heartbeats
BEAT_SECONDS = 3.0
WORKER_BEAT_SECONDS = 5.0
DEAD_WORKER_SECONDS = 15.0  # without its heartbeats; claims of the living last CLAIM_SECONDS
CLAIM_SECONDS = 40.0
LEASE_SECONDS = 60  # the shortest the protocol allows


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Counts of clients and things, rates per second. Zero leaves a part out."""

    minutely: int = 24  # deployments with a cron schedule for every minute
    frequent: int = 8  # deployments with an interval of 5, 7 or 11 seconds
    queued: int = 2  # deployments with an interval and a limit that makes runs wait
    choosy: int = 2  # deployments with an interval and a limit that cancels runs
    workers: int = 6  # simulated
    room: int = 8  # runs at once of one of them
    requests: float = 0.5  # runs asked for, some of them with retries, some cancelled at random
    scripts: int = 2  # runs that are started by scripts, without deployment or worker
    mishaps: float = 1.0  # multiplies how often a simulated worker or run dies or comes back late
    stream: float = 10.0  # events in order that automations count
    emitters: int = 2  # of events over websockets
    subscribers: int = 2
    delayed: float = 1.0  # background tasks
    task_workers: int = 2
    takers: int = 6  # of leases on a limit of `TAKEN`
    logs: float = 2.0  # posts of five lines
    lost: float = 0.01  # the share of answers that never arrive
    stock_every: int = 0  # seconds from run to run of each of two deployments for stock workers

    def scaled(self, factor: float) -> Shape:
        """The same at another rate of requests; schedules and clients stay."""
        return Shape(**{
            **self.__dict__,
            **{name: getattr(self, name) * factor for name in ("requests", "stream", "delayed", "logs")},
        })  # fmt: skip


TAKEN = 4
"""Slots of the limit that `takers` compete for."""
