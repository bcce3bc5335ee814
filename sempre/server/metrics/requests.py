"""Requests by route and answer: how many, and how long they took."""

from bisect import bisect_left
from collections.abc import Iterator
from time import perf_counter
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["MetricsMiddleware", "Requests"]

# Upper bounds in seconds. An answer that needs the database takes a few milliseconds, a stuck one up to its deadline.
_BOUNDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ELSEWHERE = "other"  # paths that no route has: not each one that somebody tries


class Requests:
    """Plain dictionaries, because every request pays for them; a page makes metrics of them when it is asked for."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._answers: dict[tuple[str, str, int], int] = {}
        self._took: dict[tuple[str, str], list[int]] = {}
        self._seconds: dict[tuple[str, str], float] = {}

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        answer = method, route, status
        self._answers[answer] = self._answers.get(answer, 0) + 1
        key = method, route
        took = self._took.get(key)
        if took is None:
            took = self._took[key] = [0] * (len(_BOUNDS) + 1)
            self._seconds[key] = 0.0
        took[bisect_left(_BOUNDS, seconds)] += 1
        self._seconds[key] += seconds

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("sempre_http_requests_in_flight", "Requests being answered.", value=self.in_flight)
        answers = CounterMetricFamily(
            "sempre_http_requests", "Answers by method, route and status.", labels=["method", "route", "status"]
        )
        for (method, route, status), count in self._answers.items():
            answers.add_metric([method, route, str(status)], count)
        yield answers
        took = HistogramMetricFamily(
            "sempre_http_request_seconds", "From a request's first byte to its answer's last.",
            labels=["method", "route"],
        )  # fmt: skip
        for (method, route), counts in self._took.items():
            took.add_metric([method, route], _cumulative(counts), self._seconds[method, route])
        yield took


def _cumulative(counts: list[int]) -> list[tuple[str, float]]:
    buckets, so_far = [], 0
    for bound, count in zip((*map(str, _BOUNDS), "+Inf"), counts, strict=True):
        so_far += count
        buckets.append((bound, float(so_far)))
    return buckets


class MetricsMiddleware:
    """Outside of what may refuse a request, so that refusals are counted too; inside of the wait for a schema."""

    def __init__(self, app: ASGIApp, *, requests: Requests) -> None:
        self.app = app
        self.requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500  # what a client sees of a connection that ends without an answer is no better

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = perf_counter()
        self.requests.in_flight += 1
        try:
            await self.app(scope, receive, noting)
        finally:
            self.requests.in_flight -= 1
            self.requests.note(scope["method"], _route(scope), status, perf_counter() - began)


def _route(scope: Scope) -> str:
    route: Any = scope.get("route")
    return getattr(route, "path", None) or _ELSEWHERE
