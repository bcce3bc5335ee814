"""The page of metrics: what it says, that dashboard and alerts ask for nothing else, and that it always comes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from scripts.dashboard import expressions
from sempre.server.metrics.fleet import Fleet
from sempre.server.metrics.page import ApiProcess, Page
from sempre.server.metrics.requests import MetricsMiddleware, Requests
from sempre.server.scope import Scope
from tests.support.database import Database
from tests.support.net import LOOPBACK, free_port
from tests.support.scopes import open_scope
from tests.support.servers import SempreServer, ServicesProcess
from tests.support.wait import eventually

ALERTS = Path(__file__).parents[3] / "deploy" / "prometheus" / "alerts.yaml"
_NAME = re.compile(r"\b(sempre_[a-z_]+|process_[a-z_]+)\b")

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


def parsed(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


class Loops:
    def ages(self) -> dict[str, float]:
        return {"scheduler": 3.0, "foreman": 900.0}

    def late(self) -> dict[str, float]:
        return {"foreman": 900.0}


class Writer:
    waiting = 7
    quarantined = 2


class Sockets:
    open = 4


@pytest.fixture
async def scope(database: Database) -> AsyncIterator[Scope]:
    async with open_scope(database) as scope:
        yield scope


async def answered(requests: Requests, path: str, status: int | None) -> None:
    """One request through the middleware; ``None``: it ends without an answer."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if status is None:
            raise RuntimeError("broken")
        scope["route"] = type("Route", (), {"path": path})() if path else None
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        assert requests.in_flight == 1

    middleware = MetricsMiddleware(app, requests=requests)
    scope = {"type": "http", "method": "GET", "path": "/api/somewhere"}
    try:
        await middleware(scope, None, send)  # type: ignore[arg-type]
    except RuntimeError:
        assert status is None


async def test_requests_are_counted_by_route_and_answer(scope: Scope) -> None:
    requests = Requests()
    for path, status in (("/api/flows/{id}", 200), ("/api/flows/{id}", 200), ("", 404), ("/api/flows/{id}", None)):
        await answered(requests, path, status)
    page = parsed((await Page(scope, None, ApiProcess(requests, Writer(), Sockets())).text()).decode())
    answers = page["sempre_http_requests_total"]
    assert answers == {
        (("method", "GET"), ("route", "/api/flows/{id}"), ("status", "200")): 2,
        (("method", "GET"), ("route", "other"), ("status", "404")): 1,
        (("method", "GET"), ("route", "other"), ("status", "500")): 1,
    }
    took = page["sempre_http_request_seconds_bucket"]
    assert took[("le", "+Inf"), ("method", "GET"), ("route", "/api/flows/{id}")] == 2
    assert page["sempre_http_request_seconds_count"][("method", "GET"), ("route", "other")] == 2
    assert page["sempre_http_requests_in_flight"][()] == 0
    assert page["sempre_events_waiting"][()] == 7
    assert page["sempre_websockets_open"][()] == 4


async def test_loops_tell_their_age_and_whether_they_hang(scope: Scope) -> None:
    page = parsed((await Page(scope, Loops()).text()).decode())
    assert page["sempre_loop_age_seconds"] == {(("service", "scheduler"),): 3.0, (("service", "foreman"),): 900.0}
    assert page["sempre_loop_late"] == {(("service", "scheduler"),): 0.0, (("service", "foreman"),): 1.0}
    assert "sempre_http_requests_total" not in page


async def test_the_installation_is_asked_of_the_database(scope: Scope) -> None:
    await scope.db.execute(
        "INSERT INTO service (name, next_run, completed) VALUES "
        "('nobodys', now() - interval '90 s', now() - interval '2 min'), ('fine', now() + interval '1 min', now())"
    )
    await scope.db.execute("INSERT INTO event_consumer (name, shard, position) VALUES ('slow', 0, -40)")
    fleet = Fleet(scope.db)
    await fleet.refresh()
    found = {family.name: {tuple(s.labels.values()): s.value for s in family.samples} for family in fleet.collect()}
    assert found["sempre_database_reachable"] == {(): 1.0}
    overdue = found["sempre_service_overdue_seconds"]
    assert 89 < overdue["nobodys",] < 150
    assert overdue["fine",] == 0
    assert found["sempre_service_last_completed_seconds"]["nobodys",] > 119
    assert found["sempre_log_consumer_lag_events"]["slow", "0"] >= 40


async def test_without_a_database_there_is_a_page_all_the_same(scope: Scope) -> None:
    await scope.db.close()
    page = parsed((await Page(scope, Loops()).text()).decode())
    assert page["sempre_database_reachable"][()] == 0
    assert page["sempre_loop_late"]
    assert "sempre_service_overdue_seconds" not in page


def _page(url: str) -> Samples:
    answer = httpx.get(url, timeout=20)
    assert answer.status_code == 200, answer.text
    return parsed(answer.text)


@pytest.fixture
def shown(database: Database, workdir: Path) -> Iterator[tuple[Samples, Samples]]:
    """The pages of an API server and of a process of services."""
    port = free_port()
    server = SempreServer(
        workdir, database=database, services=False, env={"SEMPRE_SERVER_METRICS_ENABLED": "true"}, name="api"
    )
    services = ServicesProcess(workdir, database, "services", {"SEMPRE_SERVER_SERVICES_HEALTH_PORT": str(port)})
    server.start()
    services.start()
    try:
        assert httpx.get(f"{server.api_url}/hello").status_code == 200
        of_services = f"http://{LOOPBACK}:{port}/metrics"

        def complete() -> Samples | None:
            try:
                page = _page(of_services)
            except httpx.HTTPError:
                return None
            return page if page.get("sempre_service_last_completed_seconds") else None

        page = eventually(complete, "a service has completed a round", 60)
        yield _page(f"{server.api_url}/metrics"), page
    finally:
        services.stop()
        server.stop()


def test_the_dashboard_and_the_alerts_ask_for_what_is_there(shown: tuple[Samples, Samples]) -> None:
    of_api, of_services = shown
    hello = ("method", "GET"), ("route", "/api/hello"), ("status", "200")
    assert of_api["sempre_http_requests_total"][hello] == 1
    assert of_services["sempre_loop_age_seconds"][(("service", "scheduler"),)] < 60
    assert set(of_services["sempre_loop_late"].values()) == {0.0}
    known = of_api.keys() | of_services.keys()
    # Said only once there is something to say.
    known |= {"sempre_dead_letters", "sempre_workers", "sempre_concurrency_slots", "sempre_flow_runs"}
    known |= {"sempre_redis_reachable", "sempre_actions_owed", "sempre_info"}
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    asked = [*expressions(), *(rule["expr"] for rule in rules)]
    missing = {name for expression in asked for name in _NAME.findall(expression)} - known
    assert not missing
    assert all(rule["annotations"]["action"] for rule in rules)


def test_metrics_are_off_unless_asked_for(database: Database, workdir: Path) -> None:
    server = SempreServer(workdir, database=database, services=False, name="api")
    server.start()
    try:
        assert httpx.get(f"{server.api_url}/metrics").status_code == 404
    finally:
        server.stop()
