"""SIGTERM on a process of services, and a database that hangs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped, unused-ignore]
import pytest

from sempre.db import migrate
from tests.integration.lifecycle.conftest import locked, somebody_waits
from tests.support.database import Database, Postgres
from tests.support.servers import SempreServer, ServicesProcess
from tests.support.wait import eventually


def test_a_round_that_hangs_is_cut_and_everything_handed_back(database: Database, workdir: Path) -> None:
    env = {
        "SEMPRE_SERVER_SERVICES_DRAIN_SECONDS": "1",
        "SEMPRE_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "3600",
        "SEMPRE_SERVER_DATABASE_STATEMENT_TIMEOUT_SECONDS": "120",
    }
    services = ServicesProcess(workdir, database, "hanging", env)
    with locked(database, "concurrency_slot"):
        services.start()
        try:
            eventually(lambda: somebody_waits(database, "concurrency_slot"), "a round hangs", 60)
            eventually(lambda: _leases(database) > 0, "log consumers hold leases")
            assert services.process is not None
            services.process.signal(signal.SIGTERM)
            assert services.process.wait(60) == 0
        finally:
            services.stop()
        assert _leases(database) == 0
        held = database.fetch(
            "SELECT name FROM service WHERE lease_until > now() OR (name = 'repossessor' AND next_run > now())"
        )
        assert held == [], "others take the turns at once"


def _leases(database: Database) -> int:
    return len(database.fetch("SELECT FROM event_consumer WHERE lease_until > now()"))


@pytest.fixture
def hanging(workdir: Path) -> Iterator[Postgres]:
    own = Postgres()
    yield own
    _signal(own, signal.SIGCONT)
    own.stop()


def _signal(postgres: Postgres, number: int) -> None:
    postmaster = psutil.Process(postgres.pid)
    for process in (postmaster, *postmaster.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # a backend that ended meanwhile
            process.send_signal(number)


def test_a_stop_ends_in_time_while_the_database_hangs(hanging: Postgres, workdir: Path) -> None:
    """With no patience at all for rounds: the process ends by itself, before the timer that would end it with 1."""
    env = {"SEMPRE_SERVER_SERVICES_DRAIN_SECONDS": "0", "SEMPRE_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "0.1"}
    database = hanging.create()
    asyncio.run(migrate.upgrade(database.url))
    services = ServicesProcess(workdir, database, "hung-database", env)
    services.start()
    try:
        eventually(lambda: _leases(database) > 0, "log consumers hold leases", 60)
        _signal(hanging, signal.SIGSTOP)
        assert services.process is not None
        services.process.signal(signal.SIGTERM)
        assert services.process.wait(60) == 0
    finally:
        _signal(hanging, signal.SIGCONT)
        services.stop()


def test_readiness_is_told_in_time_while_the_database_hangs(hanging: Postgres, workdir: Path) -> None:
    env = {
        "SEMPRE_SERVER_DATABASE_STATEMENT_TIMEOUT_SECONDS": "300",
        "SEMPRE_SERVER_API_REQUEST_DEADLINE_SECONDS": "300",
    }
    server = SempreServer(workdir, database=hanging.create(), services=False, env=env, name="hung-database")
    server.start()
    try:
        with httpx.Client(base_url=server.api_url, timeout=60) as http:
            assert http.get("/ready").status_code == 200
            _signal(hanging, signal.SIGSTOP)
            for _ in range(3):
                assert http.get("/ready").status_code == 503
            assert http.get("/health").status_code == 200
            _signal(hanging, signal.SIGCONT)
            eventually(lambda: http.get("/ready").status_code == 200, "it is ready again")
    finally:
        server.stop()
