"""Fixtures shared by every suite. Nothing starts before the first test that asks for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import hypothesis
import pytest

from tests.support.database import Database, Postgres, SystemPostgres
from tests.support.prefect_env import PrefectClient
from tests.support.processes import session_id
from tests.support.runs import Runs, open_api
from tests.support.servers import Ensemble, ReferenceServer, SempreServer, Target, run_sempre

FLOWS = Path(__file__).parent / "conformance" / "flows"

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--topology",
        choices=["solo", "ensemble", "reference"],
        default="solo",
        help="what the `target` fixture starts: one server, two API and two services processes behind a proxy, "
        "or the reference server (which proves the tests themselves)",
    )


@pytest.fixture(autouse=True)
def _logs_are_heard() -> None:
    """What a test before made of our loggers ends with it: pytest listens at the root, to everything."""
    logger = logging.getLogger("sempre")
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    session_id()
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Homes and logs of this module's processes; pytest keeps the last three sessions'."""
    return tmp_path_factory.mktemp(request.module.__name__.rpartition(".")[2])


def _migrated(postgres: Postgres, home: Path) -> Database:
    def migrate(database: Database) -> None:
        run_sempre("server", "database", "upgrade", "-y", home=home, database=database)

    return postgres.create_from("sempre", migrate)


@pytest.fixture(scope="module")
def database(postgres: Postgres, workdir: Path) -> Iterator[Database]:
    """A migrated database of this module's own."""
    fresh = _migrated(postgres, workdir / "migration-home")
    yield fresh
    postgres.drop(fresh)


@pytest.fixture(scope="module")
def server(database: Database, workdir: Path) -> Iterator[SempreServer]:
    """One server with its services."""
    solo = SempreServer(workdir, database=database)
    solo.start()
    yield solo
    solo.stop()


@pytest.fixture(scope="module")
def ensemble(database: Database, workdir: Path) -> Iterator[Ensemble]:
    """Two API servers and two services processes behind a round-robin proxy."""
    group = Ensemble(workdir, database)
    group.start()
    yield group
    group.stop()


@pytest.fixture(scope="session")
def contrib_postgres() -> Iterator[SystemPostgres]:
    """The reference server needs pg_trgm, which the embedded Postgres does not carry."""
    if not SystemPostgres.available():
        pytest.skip("no Postgres programs (initdb, postgres) on this machine's PATH for the reference server")
    session_id()
    server = SystemPostgres()
    yield server
    server.stop()


def _migrated_by_reference(postgres: Postgres, workdir: Path) -> Database:
    def migrate(database: Database) -> None:
        first = ReferenceServer(workdir / "reference-migration", database)
        first.start()
        first.stop()

    return postgres.create_from("reference", migrate)


@pytest.fixture(scope="module")
def reference(contrib_postgres: SystemPostgres, workdir: Path) -> Iterator[ReferenceServer]:
    """The reference server on a database of its own, migrated once per session."""
    database = _migrated_by_reference(contrib_postgres, workdir)
    peer = ReferenceServer(workdir, database)
    peer.start()
    yield peer
    peer.stop()
    contrib_postgres.drop(database)


@pytest.fixture(scope="module")
def target(request: pytest.FixtureRequest) -> Target:
    """What `--topology` says, started."""
    names = {"solo": "server", "ensemble": "ensemble", "reference": "reference"}
    chosen: Target = request.getfixturevalue(names[request.config.getoption("--topology")])
    return chosen


@contextmanager
def open_target(request: pytest.FixtureRequest, workdir: Path) -> Iterator[Target]:
    """What `--topology` says, for fixtures that outlive a module."""
    topology: str = request.config.getoption("--topology")
    chosen: Target
    if topology == "reference":
        cluster: Postgres = request.getfixturevalue("contrib_postgres")
        database = _migrated_by_reference(cluster, workdir)
        chosen = ReferenceServer(workdir, database)
    else:
        cluster = request.getfixturevalue("postgres")
        database = _migrated(cluster, workdir / "migration-home")
        chosen = SempreServer(workdir, database=database) if topology == "solo" else Ensemble(workdir, database)
    chosen.start()
    yield chosen
    chosen.stop()
    cluster.drop(database)


@pytest.fixture(scope="module")
def api(target: Target) -> Iterator[httpx.Client]:
    """An HTTP client of the target's API that introduces itself as the protocol's client."""
    with open_api(target.api_url) as client:
        yield client


@pytest.fixture(scope="module")
def runs(api: httpx.Client) -> Runs:
    return Runs(api)


@pytest.fixture(scope="module")
def prefect(target: Target, workdir: Path) -> PrefectClient:
    """The unmodified client, pointed at the target."""
    return PrefectClient(target.api_url, workdir, FLOWS)
