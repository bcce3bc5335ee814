"""`sempre canary run` on two API servers and two processes of services that use one Redis, behind a balancer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sempre.canary.every import CANARIES
from tests.integration.canary.suite import SLOW, Suite, all_pass
from tests.support.database import Database
from tests.support.redis_server import RedisServer
from tests.support.servers import Ensemble

pytestmark = pytest.mark.canaries


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    try:
        yield server.start()
    finally:
        server.discard()


@pytest.fixture(scope="module")
def orchestra(database: Database, redis: RedisServer, workdir: Path) -> Iterator[Ensemble]:
    env = {"SEMPRE_REDIS_URL": redis.url_of(0), "SEMPRE_SERVER_DOCKET_URL": redis.url_of(1)}
    group = Ensemble(workdir, database, env=env)
    group.start()
    yield group
    group.stop()


def test_all_pass(orchestra: Ensemble, redis: RedisServer, workdir: Path) -> None:
    suite = Suite(orchestra.api_url, workdir / "canary-home")
    report = suite.run()
    all_pass(report)
    assert {each["name"] for each in report["canaries"]} == set(CANARIES)
    # Together they take as long as the slowest, not as long as all of them.
    slowest = max(each["seconds"] for each in report["canaries"])
    assert report["seconds"] < min(slowest + 20, SLOW)
    assert suite.left_behind() == []
    kept = redis.command("INFO", "keyspace")
    assert {"db0", "db1"} <= set(kept), f"the installation does not use its Redis: {kept}"
