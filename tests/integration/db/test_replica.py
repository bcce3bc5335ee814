"""Lists from a read replica: as recent as the primary's, or the primary's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from sempre.db.pool import Database as Pool
from sempre.db.replica import Replica
from sempre.server.feed.doorbell import Doorbell
from sempre.server.scope import Scope
from sempre.server.settings import SettingsError, load_settings
from tests.conftest import _migrated
from tests.support.database import Database
from tests.support.rooms import Rooms, _lent_app
from tests.support.scopes import until
from tests.support.standby import Primary, Standby

MAX_LAG = 0.3
INSERT = """
INSERT INTO variable (id, workspace_id, name, value) SELECT gen_random_uuid(), id, $1, '1' FROM workspace LIMIT 1
"""


@pytest.fixture(scope="module")
def primary() -> Iterator[Primary]:
    node = Primary().start()
    yield node
    node.remove()


@pytest.fixture(scope="module")
def own(primary: Primary, workdir: Path) -> Database:
    return _migrated(primary, workdir / "migration-home")


@pytest.fixture(scope="module")
def standby(primary: Primary, own: Database) -> Iterator[Standby]:
    node = Standby(primary).start()
    yield node
    node.remove()


@pytest.fixture
async def rooms(own: Database, standby: Standby) -> AsyncIterator[Rooms]:
    """A replica of the server that reads lists from the standby."""
    reader = Pool(standby.database(own.name).url, size=4, statement_timeout=2, connect_timeout=1)
    replica = Replica(reader, max_lag=MAX_LAG)
    db = Pool(own.url, size=4, statement_timeout=5, replica=replica)
    await db.open()
    scope = Scope(db, load_settings(env={"SEMPRE_SERVER_DATABASE_CONNECTION_URL": own.url}), Doorbell(db))
    with _lent_app(scope, {}) as app:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://sempre.test") as http:
            opened = Rooms(app, scope, http)
            await until(lambda: replica.usable, "the replica is used")
            yield opened
    await db.close()


def replica_of(rooms: Rooms) -> Replica:
    assert rooms.scope.db.replica is not None
    return rooms.scope.db.replica


async def write_and_list(rooms: Rooms, times: int = 1) -> int:
    """Every write is followed at once by lists that must show it. Returns how many the replica answered."""
    before = replica_of(rooms).used
    for _ in range(times):
        name = f"flow-{uuid4()}"
        await rooms.post("/flows/", {"name": name}, 201)
        wanted = {"flows": {"name": {"any_": [name]}}}
        listed, counted = await asyncio.gather(rooms.post("/flows/filter", wanted), rooms.post("/flows/count", wanted))
        assert [flow["name"] for flow in listed] == [name]
        assert counted == 1
    return replica_of(rooms).used - before


async def test_whoever_has_written_finds_it_in_the_list(rooms: Rooms) -> None:
    assert await write_and_list(rooms, 30) >= 55


async def test_other_servers_writes_are_there_too(rooms: Rooms, own: Database) -> None:
    other = Pool(own.url, size=1)
    await other.open()
    try:
        before = replica_of(rooms).used
        for _ in range(20):
            name = f"variable_{uuid4().hex}"
            await other.execute(INSERT, name)
            assert len(await rooms.post("/variables/filter", {"variables": {"name": {"any_": [name]}}})) == 1
        assert replica_of(rooms).used - before >= 18
    finally:
        await other.close()


async def test_many_lists_share_one_look_at_the_log(rooms: Rooms) -> None:
    looks = 0
    catch_up = replica_of(rooms)._catch_up

    async def counted() -> bool:
        nonlocal looks
        looks += 1
        return await catch_up()

    replica_of(rooms)._catch_up = counted  # type: ignore[method-assign]
    before = replica_of(rooms).used
    await asyncio.gather(*(rooms.post("/flows/filter", {"limit": 1}) for _ in range(100)))
    assert replica_of(rooms).used - before == 100
    assert looks < 20


async def test_a_replica_that_lags_is_left_and_taken_again(rooms: Rooms, standby: Standby) -> None:
    assert await write_and_list(rooms) == 2
    await asyncio.to_thread(standby.pause_replay)
    try:
        assert await write_and_list(rooms, 5) == 0, "what was written is not there"
        assert not replica_of(rooms).usable
    finally:
        await asyncio.to_thread(standby.resume_replay)
    await until(lambda: replica_of(rooms).usable, "the replica is used again")
    assert await write_and_list(rooms, 5) == 10


async def test_a_replica_that_is_not_there_is_not_missed(rooms: Rooms, standby: Standby) -> None:
    await asyncio.to_thread(standby.kill)
    try:
        assert await write_and_list(rooms, 5) == 0
        assert not replica_of(rooms).usable
    finally:
        await asyncio.to_thread(standby.restart)
    await until(lambda: replica_of(rooms).usable, "the replica is used again")
    assert await write_and_list(rooms, 5) == 10


async def test_a_frozen_replica_costs_one_wait(rooms: Rooms, standby: Standby) -> None:
    standby.pause()
    try:
        async with asyncio.timeout(60):  # each alone would wait two seconds
            assert await write_and_list(rooms, 60) == 0
    finally:
        standby.resume()
    await until(lambda: replica_of(rooms).usable, "the replica is used again")


async def test_what_is_no_standby_is_not_used(own: Database) -> None:
    """After a failover the read address may lead to the new primary, or to a standby nobody writes for."""
    replica = Replica(Pool(own.url, size=1), max_lag=MAX_LAG)
    db = Pool(own.url, size=1, replica=replica)
    await db.open()
    try:
        assert await db.fetch_planned("SELECT 1")
        assert not await replica._catch_up()
        assert replica.used == 0
    finally:
        await db.close()


async def test_a_standby_that_follows_nobody_is_not_used(rooms: Rooms, primary: Primary, standby: Standby) -> None:
    """Its position may be ahead of a new primary's, and it knows nothing of what that one has committed."""
    stop, again = (
        "ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1 user=postgres'",
        "SELECT pg_reload_conf()",
    )
    await asyncio.to_thread(standby.statement, stop, again)
    try:
        await until(lambda: _is_idle(standby), "the standby follows nobody")
        assert not await replica_of(rooms)._catch_up()
        assert await write_and_list(rooms, 2) == 0
    finally:
        address = f"host=127.0.0.1 port={primary.port} user=postgres application_name=standby_{standby.port}"
        await asyncio.to_thread(standby.statement, f"ALTER SYSTEM SET primary_conninfo = '{address}'", again)
    await until(lambda: replica_of(rooms).usable, "the replica is used again")


async def _is_idle(standby: Standby) -> bool:
    return not await asyncio.to_thread(standby.database().fetch, "SELECT FROM pg_stat_wal_receiver")


def test_its_address_is_a_setting() -> None:
    named = {
        "SEMPRE_SERVER_DATABASE_CONNECTION_URL": "postgresql://u:p@primary/sempre",
        "PREFECT_SERVER_DATABASE_READ_URL": "postgresql+asyncpg://u:${PREFECT_SERVER_DATABASE_PASSWORD}@standby/sempre?ssl=true",
        "PREFECT_SERVER_DATABASE_PASSWORD": "s3cret",
    }
    settings = load_settings(env=named).database
    assert settings.read_url == "postgresql://u:s3cret@standby/sempre?sslmode=require"
    assert settings.read_max_lag_seconds == 1
    with pytest.raises(SettingsError, match="READ_URL"):
        load_settings(env={"SEMPRE_SERVER_DATABASE_READ_URL": "postgresql://standby/sempre"})
