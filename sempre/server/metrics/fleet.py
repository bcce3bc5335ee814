"""What is true of all processes together, asked of the database at most every few seconds.

Every process tells the same; a dashboard takes the greatest. Cost follows the work in flight: only partial indexes and
small tables are read.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Executor, Record
from sempre.server.services.behind import OVERDUE_SECONDS

__all__ = ["Fleet"]

_FRESH_SECONDS = 10.0
_PATIENCE_SECONDS = 5.0  # a page without these figures is better than none


@dataclass(frozen=True, slots=True)
class _Question:
    """One gauge: ``sql`` gives its labels' values and, last, its ``value``."""

    name: str
    help: str
    labels: Sequence[str]
    sql: str


_QUESTIONS = (
    _Question(
        "sempre_flow_runs", "Flow runs that are not over, by state; Scheduled ones only if they are late.",
        ("state",),
        """
        SELECT state_name AS state, count(*)::float8 AS value FROM flow_run
        WHERE state_type IN ('PENDING', 'RUNNING', 'CANCELLING') GROUP BY 1
        UNION ALL
        SELECT state_name, count(*) FROM flow_run WHERE state_type = 'PAUSED' GROUP BY 1
        UNION ALL
        SELECT 'Late', count(*) FROM flow_run WHERE state_type = 'SCHEDULED' AND state_name = 'Late'
            AND next_scheduled_start_time <= clock_timestamp()
        """,
    ),
    _Question(
        "sempre_service_overdue_seconds", "For how long a periodic service has been due without anybody running it.",
        ("service",),
        f"""
        SELECT name AS service, {OVERDUE_SECONDS} AS value
        FROM service WHERE next_run > '-infinity'
        """,
    ),
    _Question(
        "sempre_service_last_completed_seconds", "Since a periodic service last completed a round anywhere.",
        ("service",),
        """
        SELECT name AS service, extract(epoch FROM clock_timestamp() - completed)::float8 AS value
        FROM service WHERE completed IS NOT NULL
        """,
    ),
    _Question(
        "sempre_log_consumer_lag_events", "Numbers of the event log that a consumer has yet to look at.",
        ("consumer", "shard"),
        """
        SELECT name AS consumer, shard::text, greatest(0, last.seq - position)::float8 AS value
        FROM event_consumer, (SELECT coalesce(max(seq), 0) AS seq FROM event) last
        """,
    ),
    _Question(
        "sempre_log_consumer_lag_seconds", "Age of the oldest event that a consumer has yet to look at.",
        ("consumer", "shard"),
        """
        SELECT name AS consumer, shard::text, coalesce((
            SELECT extract(epoch FROM clock_timestamp() - e.received) FROM event e
            WHERE e.seq > position ORDER BY e.seq LIMIT 1
        ), 0)::float8 AS value FROM event_consumer
        """,
    ),
    _Question(
        "sempre_actions_owed", "Actions of automations that are not done yet.", ("outside",),
        """
        SELECT outside::text, count(*)::float8 AS value FROM automation_action
        WHERE status IN ('ready', 'running') GROUP BY 1
        """,
    ),
    _Question(
        "sempre_actions_overdue_seconds", "For how long the oldest action that may begin has been waiting.", (),
        """
        SELECT coalesce(greatest(0, extract(epoch FROM clock_timestamp() - min(due))), 0)::float8 AS value
        FROM automation_action WHERE status IN ('ready', 'running')
        """,
    ),
    _Question(
        "sempre_dead_letters", "Events that a consumer could not use after all its attempts.", ("consumer",),
        "SELECT consumer, count(*)::float8 AS value FROM event_dead_letter GROUP BY 1",
    ),
    _Question(
        "sempre_concurrency_slots", "Slots of concurrency limits that are taken; `expired` ones are free to be taken.",
        ("expired",),
        """
        SELECT (expires_at IS NOT NULL AND expires_at <= clock_timestamp())::text AS expired, count(*)::float8 AS value
        FROM concurrency_slot GROUP BY 1
        """,
    ),
    _Question(
        "sempre_workers", "Workers that have reported themselves, by status.", ("status",),
        "SELECT status, count(*)::float8 AS value FROM worker GROUP BY 1",
    ),
)  # fmt: skip


class Fleet:
    """The figures of the last look. ``refresh`` looks again if they are old; whoever asks meanwhile waits for it."""

    def __init__(self, db: Executor, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._clock = clock
        self._metrics: list[Metric] = []
        self._until = 0.0
        self._looking = asyncio.Lock()
        self.reachable = False

    async def refresh(self) -> None:
        """Never fails: without a database there are no figures, and ``reachable`` says so."""
        async with self._looking:
            if self._clock() < self._until:
                return
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    self._metrics = [_gauge(each, await self._db.fetch(each.sql)) for each in _QUESTIONS]
                self.reachable = True
                self._until = self._clock() + _FRESH_SECONDS
            except (DatabaseUnavailable, TimeoutError):
                self._metrics = []
                self.reachable = False

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "sempre_database_reachable", "1 while Postgres answers this process.", value=float(self.reachable)
        )
        yield from self._metrics


def _gauge(question: _Question, rows: Sequence[Record]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(question.name, question.help, labels=question.labels)
    for row in rows:
        *labels, value = row.values()
        gauge.add_metric([str(label) for label in labels], value)
    return gauge
