"""One page of metrics of one process: an API process shows it at ``/metrics`` of its API, a process of services at its
probe port."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from sempre import __version__
from sempre.server.metrics.fleet import Fleet
from sempre.server.metrics.requests import Requests
from sempre.server.scope import Scope

__all__ = ["CONTENT_TYPE", "ApiProcess", "Loops", "Page"]

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Loops(Protocol):
    """What is asked of the supervisor."""

    def ages(self) -> dict[str, float]: ...

    def late(self) -> dict[str, float]: ...


class Writer(Protocol):
    """What is asked of the event writer."""

    @property
    def waiting(self) -> int: ...

    quarantined: int


@dataclass(frozen=True, slots=True)
class ApiProcess:
    """What only a process with an API has."""

    requests: Requests
    events: Writer
    sockets: "Sockets"


class Sockets(Protocol):
    """What is asked of the count of websockets."""

    open: int


class Page:
    """``loops``: of the background services, if they run in this process."""

    def __init__(self, scope: Scope, loops: Loops | None, api: ApiProcess | None = None) -> None:
        self._scope = scope
        self._loops = loops
        self._api = api
        self._fleet = Fleet(scope.db)
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(self)
        self._registry.register(self._fleet)

    async def text(self) -> bytes:
        """The page, in the text format of Prometheus. Never fails, whatever is away."""
        await self._fleet.refresh()
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What this process knows of itself; called by the registry."""
        yield InfoMetricFamily("sempre", "What is running.", value={"version": __version__})
        yield from self._of_database()
        yield from self._of_redis()
        if self._loops is not None:
            yield from _of_loops(self._loops)
        if self._api is not None:
            yield from self._api.requests.collect()
            yield from _of_events(self._api.events)
            yield GaugeMetricFamily("sempre_websockets_open", "Open websockets.", value=self._api.sockets.open)

    def _of_database(self) -> Iterator[Metric]:
        counts = self._scope.db.connection_counts()
        connections = GaugeMetricFamily(
            "sempre_database_connections", "Connections of this process to Postgres.", labels=["state"]
        )
        connections.add_metric(["busy"], counts.busy)
        connections.add_metric(["idle"], counts.idle)
        yield connections
        yield GaugeMetricFamily(
            "sempre_database_waiting", "Statements that wait for a connection to come free.", value=counts.waiting
        )

    def _of_redis(self) -> Iterator[Metric]:
        redis = self._scope.redis
        links = {"streams": redis.streams, "work": redis.work, "cache": redis.cache}
        reachable = GaugeMetricFamily(
            "sempre_redis_reachable", "1 while the Redis for a role answers this process.", labels=["role"]
        )
        losses = CounterMetricFamily(
            "sempre_redis_losses", "How often the Redis for a role was lost.", labels=["role"]
        )  # fmt: skip
        for role, link in links.items():
            if link is not None:
                reachable.add_metric([role], float(link.up))
                losses.add_metric([role], link.losses)
        yield reachable
        yield losses


def _of_loops(loops: Loops) -> Iterator[Metric]:
    ages, late = loops.ages(), loops.late()
    age = GaugeMetricFamily(
        "sempre_loop_age_seconds",
        "Since a service last completed a round here, or was found to be another process's.",
        labels=["service"],
    )
    hangs = GaugeMetricFamily("sempre_loop_late", "1 if the loop of a service hangs or is dead.", labels=["service"])
    for service, seconds in ages.items():
        age.add_metric([service], seconds)
        hangs.add_metric([service], float(service in late))
    yield age
    yield hangs


def _of_events(events: Writer) -> Iterator[Metric]:
    yield GaugeMetricFamily("sempre_events_waiting", "Events taken in and not yet written.", value=events.waiting)
    yield CounterMetricFamily(
        "sempre_events_refused", "Events that the database would not take; each is in the log.",
        value=events.quarantined,
    )  # fmt: skip
