"""Servers on a database whose schema is missing, half made, too old or somebody else's."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sempre.db import migrate
from sempre.server.schema import Schema, WrongDatabase
from tests.integration.lifecycle.conftest import Dial
from tests.support.database import Database, Postgres
from tests.support.net import LOOPBACK, free_port
from tests.support.scopes import open_scope
from tests.support.servers import SempreServer, ServicesProcess, run_sempre
from tests.support.wait import eventually

HANDS_OFF = {"SEMPRE_SERVER_DATABASE_MIGRATE_ON_START": "false"}


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[Database]:
    database = postgres.create()
    yield database
    postgres.drop(database)


def probe(port: int, path: str) -> tuple[int, str]:
    """Status and message of a services process's own listener."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.loads(refusal.read())["message"]
    except OSError:
        return 0, ""


def test_whoever_starts_first_builds_an_empty_database(empty: Database, workdir: Path) -> None:
    """An installer that waits for its servers to be ready never comes to run its migration job."""
    servers = [SempreServer(workdir, database=empty, services=False, env=HANDS_OFF, name=f"new-{n}") for n in "ab"]
    services = ServicesProcess(workdir, empty, "new-services", HANDS_OFF)
    starting = [server.launch() for server in servers]
    services.start()
    try:
        for server, process in zip(servers, starting, strict=True):
            server._process = process
            server.wait_ready()
            assert httpx.post(f"{server.api_url}/flows/", json={"name": "first"}, timeout=30).status_code in (200, 201)
        eventually(lambda: empty.fetch("SELECT FROM service WHERE completed IS NOT NULL"), "the services work", 30)
    finally:
        services.stop()
        for server in servers:
            server.stop()
    assert empty.fetch("SELECT to_regclass('schema_under_construction') AS left_over") == [{"left_over": None}]


def test_an_old_schema_is_waited_for(empty: Database, workdir: Path, dial: Dial) -> None:
    run_sempre("server", "database", "upgrade", "-y", "-r", "0003", home=workdir / "home", database=empty)
    port = free_port()
    api = SempreServer(workdir, database=empty, services=False, env=HANDS_OFF, name="patient")
    services = ServicesProcess(
        workdir, empty, "patient-services", {**HANDS_OFF, "SEMPRE_SERVER_SERVICES_HEALTH_PORT": str(port)}
    )
    process = api._process = api.launch()
    services.start()
    try:
        with httpx.Client(base_url=api.api_url, timeout=30) as http:

            def told() -> bool:
                try:
                    return "sempre server database upgrade" in http.get("/ready").json()["message"]
                except httpx.TransportError:
                    return False

            process.wait_for(told, "says what to run", 30)
            assert http.get("/ready").status_code == 503
            assert http.get("/health").status_code == 200
            refused = http.post("/flows/filter", json={})
            assert refused.status_code == 503
            assert float(refused.headers["retry-after"]) > 0
            assert refused.headers["prefect-maintenance"] == "true", "clients wait for a migration without a limit"
            socket = dial(api)
            assert socket.upgrade("/events/in").endswith("101 Switching Protocols")
            assert socket.hear_close() == 1013
            eventually(lambda: "upgrade" in probe(port, "/ready")[1], "the services' process says so too")
            assert probe(port, "/ready")[0] == 503
            assert probe(port, "/health")[0] == 200
            run_sempre("server", "database", "upgrade", "-y", home=workdir / "home", database=empty)
            api.wait_ready(30)
            eventually(lambda: probe(port, "/ready")[0] == 200, "the services' process works")
            assert http.post("/flows/filter", json={}).status_code == 200
        assert services.process is not None
        assert services.process.terminate() == 0
        assert process.terminate() == 0
    finally:
        services.stop()
        api.stop()


async def _prepared(database: Database) -> Schema:
    async with open_scope(database, HANDS_OFF) as scope:
        schema = Schema()
        async with asyncio.timeout(30):  # what is not to be migrated is waited for without a limit
            await schema.prepare(scope.db, scope.settings)
        return schema


async def _execute(database: Database, sql: str) -> None:
    async with open_scope(database) as scope:
        await scope.db.execute(sql)


async def test_a_first_migration_that_was_cut_off_is_gone_on_with(empty: Database) -> None:
    await migrate.upgrade(empty.url, "0003")
    assert not (await migrate.look(empty.url)).is_unbuilt
    await _execute(empty, "CREATE TABLE schema_under_construction ()")  # as a kill leaves it
    assert (await migrate.look(empty.url)).is_unbuilt
    assert (await _prepared(empty)).problem is None
    assert await migrate.look(empty.url) == migrate.Standing(migrate.head())


async def test_a_newer_schema_is_worked_on_and_a_strangers_is_not(empty: Database) -> None:
    await migrate.upgrade(empty.url)
    await _execute(empty, "UPDATE alembic_version SET version_num = '9999'")
    assert (await _prepared(empty)).problem is None
    await _execute(empty, "UPDATE alembic_version SET version_num = '7a73514ca2d6'")
    with pytest.raises(WrongDatabase, match="belongs to another application"):
        await _prepared(empty)
