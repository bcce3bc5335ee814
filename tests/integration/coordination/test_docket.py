"""Calls by Docket, and what becomes of services when something happens to its Redis."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest

from sempre.server.coordination import docket as dockets
from sempre.server.coordination.plain_pickles import plain
from sempre.server.scope import Scope
from sempre.server.services.service import Service
from sempre.server.services.supervisor import Supervisor
from tests.support.database import Database
from tests.support.redis_server import RedisServer
from tests.support.scopes import open_scope, until

INTERVAL = 1.0


class Counted:
    """A service, and when its rounds began, by the database's clock."""

    def __init__(self) -> None:
        self.starts: list[datetime] = []
        self.service = Service(
            name=f"counted_{uuid4().hex[:8]}",
            description="",
            section="late_runs",
            enabled=lambda settings: True,
            interval=lambda settings: INTERVAL,
            run=self._run,
        )

    async def _run(self, scope: Scope) -> None:
        name = self.service.name
        self.starts.append(await scope.db.fetchval("SELECT started FROM service WHERE name = $1", name))

    async def more(self, count: int, timeout: float = 120.0) -> None:
        goal = len(self.starts) + count
        await until(lambda: len(self.starts) >= goal, f"{count} more rounds", timeout)

    def gaps(self) -> list[float]:
        return [(after - before) / timedelta(seconds=1) for before, after in pairwise(sorted(self.starts))]


class Fleet:
    """Three replicas with a docket."""

    def __init__(self, replicas: list[Supervisor], services: list[Counted]) -> None:
        self.replicas = replicas
        self.services = services

    def called(self) -> bool:
        """Whether all of them leave services to be called."""
        return all(one._periodic.docket is not None and one._periodic.docket.grace > 0 for one in self.replicas)

    def none_called(self) -> bool:
        return all(one._periodic.docket is not None and one._periodic.docket.grace == 0 for one in self.replicas)

    async def more(self, count: int) -> None:
        await asyncio.gather(*(each.more(count) for each in self.services))

    def verify(self) -> None:
        """No round was left to be called for ever, and none was done twice."""
        for each in self.services:
            assert max(each.gaps()) < INTERVAL + 60, each.gaps()
            assert min(each.gaps()) > INTERVAL - 0.01, each.gaps()


@contextlib.asynccontextmanager
async def fleet_of(database: Database, redis: RedisServer) -> AsyncIterator[Fleet]:
    services = [Counted(), Counted()]
    env = {"SEMPRE_SERVER_DOCKET_URL": redis.url}
    async with contextlib.AsyncExitStack() as stack:
        replicas = []
        for _ in range(3):
            scope = await stack.enter_async_context(open_scope(database, env))
            replicas.append(Supervisor(scope, [each.service for each in services]))
        for one in replicas:
            one.start()
        try:
            yield Fleet(replicas, services)
        finally:
            await asyncio.gather(*(one.stop() for one in replicas))


@pytest.fixture
async def fleet(database: Database, redis_server: RedisServer) -> AsyncIterator[Fleet]:
    async with fleet_of(database, redis_server) as opened:
        await until(opened.called, "all are called")
        await opened.more(3)
        yield opened


def _flush(redis: RedisServer) -> None:
    redis.flush()


def _restart_empty(redis: RedisServer) -> None:
    redis.kill()
    redis.start()


@pytest.mark.parametrize("fault", [_flush, _restart_empty])
async def test_what_was_planned_is_lost(
    fleet: Fleet, redis_server: RedisServer, fault: Callable[[RedisServer], None]
) -> None:
    for _ in range(2):
        await asyncio.to_thread(fault, redis_server)
        await fleet.more(4)
    await until(fleet.called, "all are called again")
    await fleet.more(3)
    fleet.verify()


def _kill(redis: RedisServer) -> Callable[[], object]:
    redis.kill()
    return redis.start


def _hang(redis: RedisServer) -> Callable[[], object]:
    redis.pause()
    return redis.resume


def _refuse(redis: RedisServer) -> Callable[[], object]:
    redis.read_only()
    return lambda: redis.read_only(False)


@pytest.mark.parametrize("fault", [_kill, _hang, _refuse])
async def test_redis_is_away_for_a_while(
    fleet: Fleet, redis_server: RedisServer, fault: Callable[[RedisServer], Callable[[], object]]
) -> None:
    end = await asyncio.to_thread(fault, redis_server)
    await until(fleet.none_called, "all take turns by themselves")
    away = len(fleet.services[0].starts)
    await fleet.more(5)
    # With grace each would be two seconds late.
    assert min(fleet.services[0].gaps()[away:]) < INTERVAL + 1, "without grace"
    await asyncio.to_thread(end)
    await until(fleet.called, "all are called again")
    await fleet.more(3)
    fleet.verify()


async def test_redis_may_be_away_at_the_start(database: Database, redis_server: RedisServer) -> None:
    redis_server.kill()
    async with fleet_of(database, redis_server) as fleet:
        await fleet.more(4)
        assert fleet.none_called()
        redis_server.start()
        await until(fleet.called, "all are called")
        await fleet.more(3)
        fleet.verify()


async def test_a_call_that_docket_thinks_is_running_is_planned_anew(fleet: Fleet, redis_server: RedisServer) -> None:
    """As after the loss of what was written last: the docket knows the task, and will never deliver it."""
    name = fleet.services[0].service.name
    with redis_server.client() as client:
        (key,) = client.keys(f"*:runs:{name}")
        docket = key.partition(":runs:")[0]

        def lose() -> None:
            client.zrem(f"{docket}:queue", name)
            client.hset(key, "state", "running")

        await asyncio.to_thread(lose)
        await fleet.more(6)
        fleet.verify()
        assert min(fleet.services[0].gaps()[-3:]) < INTERVAL + 1, "called again"


async def test_a_call_alone_does_nothing_before_its_time(database: Database, redis_server: RedisServer) -> None:
    async with fleet_of(database, redis_server) as fleet:
        periodic = fleet.replicas[0]._periodic
        await fleet.more(2)
        name = fleet.services[0].service.name
        for _ in range(20):
            assert 0 < await periodic.call(name) <= 6
        await fleet.more(3)
        fleet.verify()


class _Forged:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return (open, ("/nonexistent/file-made-by-a-pickle",))


def test_pickles_run_no_code() -> None:
    assert plain(pickle.dumps(((), {"a": [1, "b"]}))) == ((), {"a": [1, "b"]})
    assert plain(pickle.dumps(_Forged())) == ()
    assert plain(b"no pickle") == ()
    dockets._library()
    import docket.execution

    assert docket.execution.cloudpickle.loads(pickle.dumps(_Forged())) == ()  # type: ignore[attr-defined]
