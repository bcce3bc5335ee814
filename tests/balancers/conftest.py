"""Two API servers and a process of services behind a real balancer; the third server of its file is absent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.balancers.balancers import KINDS, Balancer, NobodyThere, settings_of_servers
from tests.conftest import _migrated
from tests.support import debian
from tests.support.database import Database, Postgres
from tests.support.servers import SempreServer, ServicesProcess


class Site:
    """Everything before and behind the balancer."""

    def __init__(self, balancer: Balancer, servers: list[SempreServer], database: Database) -> None:
        self.balancer = balancer
        self.servers = servers
        self.database = database

    @property
    def api_url(self) -> str:
        return self.balancer.api_url

    @property
    def none_is_ready(self) -> bool | None:
        """Whether HAProxy finds no server ready, by its log; ``None``: NGINX asks none."""
        if self.balancer.kind != "haproxy":
            return None
        log = self.balancer.log()
        ups = [found.start() for found in re.finditer(r"Server api/api-\d is UP", log)]
        return log.rfind("backend 'api' has no server available") > max(ups, default=-1)


@contextmanager
def open_site(kind: str, place: Path, database: Database) -> Iterator[Site]:
    """A balancer of this kind before two servers on a migrated database."""
    try:
        debian.binary(kind)
    except debian.Unavailable as reason:
        pytest.skip(str(reason))
    servers = [
        SempreServer(
            place / f"{index}", database=database, services=False, env=settings_of_servers(), name=f"api-{index}"
        )
        for index in range(2)
    ]
    services = ServicesProcess(place, database, "services")
    with NobodyThere() as absent:
        balancer = Balancer(kind, place, [servers[0].port, absent.port, servers[1].port])
        try:
            for server in servers:
                server.start()
            services.start()
            balancer.start()
            yield Site(balancer, servers, database)
        finally:
            balancer.stop()
            services.stop()
            for server in servers:
                server.stop()


@pytest.fixture(scope="module", params=KINDS)
def site(request: pytest.FixtureRequest, postgres: Postgres, workdir: Path) -> Iterator[Site]:
    database = _migrated(postgres, workdir / "migration-home")
    with open_site(request.param, workdir / request.param, database) as opened:
        yield opened
    postgres.drop(database)
