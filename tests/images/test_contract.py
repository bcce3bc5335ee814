"""Charts and compose files that were written for Prefect run with our image in the place of the other: their commands
and environments, on a read-only file system, with Redis away."""

from __future__ import annotations

import base64
import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images.container import UI_BUILD, Container, User, available
from tests.support.database import Database, Postgres
from tests.support.net import answers, free_port
from tests.support.wait import eventually

pytestmark = pytest.mark.skipif(not available(), reason="this machine lets nobody make mount namespaces")


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[Database]:
    created = postgres.create()
    yield created
    postgres.drop(created)


IMAGE_USER = User(1001, 1001)  # that image and charts name
ANY_USER = User(1_000_720_000, 0, has_home=False)  # as OpenShift gives them out: known to nobody, of group 0
# Nobody but root can become another.
USERS: list[User | None] = [IMAGE_USER, ANY_USER] if os.geteuid() == 0 else [None]


@pytest.fixture
def container(empty: Database, workdir: Path) -> Container:
    values = {
        "DATABASE_URL": empty.sqlalchemy_url,
        "PORT": str(free_port()),
        "HEALTH_PORT": str(free_port()),
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(free_port()),  # where nobody listens
        "UI_BUILD": UI_BUILD,
    }
    return Container(workdir, values, [Path(empty.socket_dir)])


def _be(container: Container, database: Database, user: User) -> None:
    """Have it run by a user, who sees of Postgres only its socket."""
    if why_not := user.why_not():
        pytest.skip(why_not)
    container.user = user
    container.keep = list(Path(database.socket_dir).glob(".s.PGSQL.*[0-9]"))


def _call(container: Container, path: str, body: object = None) -> Any:
    headers = {
        "Authorization": "Basic " + base64.b64encode(b"admin:pass").decode(),
        "Content-Type": "application/json",
    }
    url = f"http://127.0.0.1:{container.values['PORT']}/api{path}"
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.loads(response.read())


@pytest.mark.parametrize("user", USERS, ids=lambda user: str(user and user.uid))
def test_the_whole_release(container: Container, empty: Database, user: User | None) -> None:
    if user:
        _be(container, empty, user)
    migration = container.start("database-migrations")
    assert migration.wait(60) == 0, migration.tail()
    assert "Running database migrations" in migration.tail()
    assert empty.fetch("SELECT count(*) AS flows FROM flow") == [{"flows": 0}]

    port = container.values["PORT"]
    processes = [container.start("server")]
    try:
        processes[0].wait_for(lambda: answers(f"http://127.0.0.1:{port}/api/ready"), "the server is ready")
        flow = _call(container, "/flows/", {"name": "from-a-chart"})
        deployment = {
            "name": "every-hour",
            "flow_id": flow["id"],
            "schedules": [{"schedule": {"interval": 3600}, "active": True}],
        }
        _call(container, "/deployments/", deployment)
        processes.append(container.start("background-services"))
        eventually(lambda: _call(container, "/flow_runs/count", {}), "the schedule has become runs")
        owners = "SELECT DISTINCT owner FROM service WHERE owner IS NOT NULL"
        eventually(lambda: empty.fetch(owners), "somebody runs the services")
        # A worker keeps what it knows of its processes, for which it needs a home.
        processes += [
            container.start("enterprise-background-services"),
            container.start("worker", HOME="/home/prefect"),
        ]
        health = f"http://127.0.0.1:{container.values['HEALTH_PORT']}/health"
        processes[-1].wait_for(lambda: answers(health), f"the worker is healthy at {health}")
        workers = "/work_pools/chart-pool/workers/filter"
        (worker,) = eventually(lambda: _call(container, workers, {}), "the server knows the worker")
        assert worker["status"] == "ONLINE"
    finally:
        codes = {process.name: process.terminate(40) for process in reversed(processes)}
    # The shell around that one ends by the signal, without waiting.
    assert codes.pop("enterprise-background-services") in (0, 143, -signal.SIGTERM)
    assert set(codes.values()) == {0}, "\n".join(process.tail() for process in processes)


def test_extra_packages_have_to_be_installable(container: Container) -> None:
    process = container.start(
        "background-services", EXTRA_PIP_PACKAGES="/tmp/there-is-no-such-package", PIP_NO_INDEX="1"
    )
    assert process.wait(60) == 1
    assert "could not be installed (/tmp/there-is-no-such-package): pip ended with 1" in process.tail()
