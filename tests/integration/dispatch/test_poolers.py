"""What a pooler in transaction mode asks of us: nothing may stay on a session, and nobody may need to listen."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import asyncpg
import httpx
import pytest

from sempre.db import migrate
from sempre.db.errors import DatabaseUnavailable
from sempre.db.pool import Database as Pool
from sempre.server.admin.reachable import is_reachable
from sempre.server.app import create_app
from sempre.server.events import stream
from sempre.server.feed.doorbell import Doorbell
from sempre.server.feed.tail import Tail
from sempre.server.scope import Scope
from sempre.server.services import db_vacuum, foreman, late_runs, partition_keeper, repossessor, scheduler
from sempre.server.settings import load_settings
from tests.support.database import Database, Postgres
from tests.support.rooms import Rooms
from tests.support.scopes import until

HOURLY = {"interval": 3600, "timezone": "UTC"}


@pytest.fixture
async def pooled(database: Database) -> AsyncIterator[Rooms]:
    """A replica with one connection, set up as for a pooler, whose doorbell cannot listen."""
    settings = load_settings(
        env={
            "SEMPRE_SERVER_DATABASE_CONNECTION_URL": database.url,
            "PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS_STATEMENT_CACHE_SIZE": "0",
        }
    )
    assert settings.database.statement_cache_size == 0
    db = _Deaf(database.url, size=1, statement_cache_size=settings.database.statement_cache_size)
    await db.open()
    doorbell = Doorbell(db)
    doorbell.start()
    app = create_app(settings, services=False)
    app.state.scope = Scope(db, settings, doorbell)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://sempre.test") as http:
        yield Rooms(app, app.state.scope, http)
    await doorbell.stop()
    await db.close()


class _Deaf(Pool):
    async def connect(self) -> asyncpg.Connection:
        raise DatabaseUnavailable("nobody can listen here")


async def test_requests_and_services_leave_nothing_on_the_session(pooled: Rooms) -> None:
    flow = await pooled.post("/flows/", {"name": f"flow-{uuid4()}"}, 201)
    pool = await pooled.post("/work_pools/", {"name": f"pool-{uuid4()}", "type": "process"}, 201)
    body = {"name": "d", "flow_id": flow["id"], "work_pool_name": pool["name"], "schedules": [{"schedule": HOURLY}],
            "concurrency_limit": 1}  # fmt: skip
    made = await pooled.post("/deployments/", body, 201)
    run = await pooled.post(f"/deployments/{made['id']}/create_flow_run", {}, 201)
    for state in ("PENDING", "RUNNING", "COMPLETED"):
        await pooled.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": state}}, 201)
    await pooled.post("/v2/concurrency_limits/", {"name": f"limit-{uuid4()}", "limit": 1}, 201)
    for service in (scheduler, late_runs, foreman, repossessor, db_vacuum, partition_keeper):
        await service.run(pooled.scope)
    wanted = {"deployments": {"id": {"any_": [made["id"]]}}}
    assert await pooled.post("/flow_runs/count", wanted) == 4
    left = await pooled.scope.db.fetchrow(
        """
        SELECT (SELECT count(*) FROM pg_prepared_statements WHERE name <> '') AS statements,
            (SELECT count(*) FROM pg_listening_channels()) AS channels,
            (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory') AS locks,
            (SELECT count(*) FROM pg_class WHERE relpersistence = 't') AS tables
        """
    )
    assert left is not None
    assert dict(left) == {"statements": 0, "channels": 0, "locks": 0, "tables": 0}


async def test_news_arrives_without_anybody_listening(pooled: Rooms, rooms: Rooms) -> None:
    tail = Tail(pooled.scope.db, pooled.scope.doorbell, table="event", topic="events", encode=stream.encode_message)
    name = f"flow-{uuid4()}"
    try:
        async with tail.subscribed(lambda row: True, capacity=100) as subscription:
            await rooms.post("/flows/", {"name": name}, 201)  # by another replica, whose bell does not reach us
            async with asyncio.timeout(60):
                while True:
                    got = await subscription.get()
                    assert got is not None
                    if name.encode() in got[1]:
                        break
    finally:
        await tail.stop()


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[Database]:
    created = postgres.create()
    yield created
    postgres.drop(created)


async def test_the_migration_lock_ends_with_its_transaction(empty: Database) -> None:
    """A session's lock would stay behind on the pooler's connection and lock everybody out."""
    said: list[str] = []
    watcher, obstacle = await asyncpg.connect(empty.url), await asyncpg.connect(empty.url)
    try:
        # Migrations wait for the end of this transaction before their first table.
        await obstacle.execute("BEGIN; CREATE TABLE alembic_version (version_num text)")
        upgrading = asyncio.gather(*(migrate.upgrade(empty.url, tell=said.append) for _ in range(3)))

        async def held() -> bool:
            state = await watcher.fetchrow(
                """
                SELECT a.state, a.backend_xmin IS NULL FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()
                """
            )
            return state is not None and tuple(state) == ("idle in transaction", True)

        await until(held, "the lock is held by a transaction that has no snapshot")
        await until(lambda: len(said) == 2, "the others say that they wait")
        await obstacle.execute("ROLLBACK")
        await upgrading
        assert sum(sentence.startswith("Applied 0001 ") for sentence in said) == 1
        assert not await watcher.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')")
    finally:
        await watcher.close()
        await obstacle.close()


def test_what_a_migration_would_execute() -> None:
    script = migrate.sql_of(None, "head")
    assert "CREATE TABLE flow_run" in script
    versions = re.findall(r"(?:VALUES \(|SET version_num=)'(\w+)'", script)
    assert versions[-1] == migrate.head()
    back = migrate.sql_of(migrate.head(), "-1", back=True)
    assert f"SET version_num='{versions[-2]}'" in back
    assert migrate.sql_of(migrate.head(), "head").strip() == ""


class _Hollow(Pool):
    """A pooler that takes connections while there is no database behind it."""

    async def fetchval(self, *_: object, **__: object) -> object:
        raise DatabaseUnavailable("connection was closed in the middle of operation")


async def test_a_pooler_with_nobody_behind_it_is_no_defect(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readiness asks over a connection of its own, where errors are the driver's."""

    async def dies(*_: object, **__: object) -> object:
        raise asyncpg.ConnectionDoesNotExistError("server conn crashed?")

    monkeypatch.setattr(asyncpg.Connection, "fetchval", dies)
    db = _Hollow(database.url, size=1)
    await db.open()
    try:
        assert await is_reachable(db) is False
    finally:
        await db.close()
