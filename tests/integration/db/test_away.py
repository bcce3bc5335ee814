"""A database that goes away in every way there is, and comes back: the pool says so at once and recovers by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from sempre.db import pool as pools
from sempre.db.errors import DatabaseUnavailable
from tests.support.net import LOOPBACK
from tests.support.relay import Relay
from tests.support.scopes import until
from tests.support.standby import HostsDatabase, Primary, Standby, both

# Time-outs of which nobody may wait for one, and what the busiest machine needs for anything else.
LONG = 300.0
SOON = 60.0
# As many as would wait longer than that, if each waited for a second, four at a time.
MANY = 400


@pytest.fixture(scope="module")
def primary() -> Iterator[Primary]:
    node = Primary().start()
    yield node
    node.remove()


@pytest.fixture
def relay(primary: Primary) -> Iterator[Relay]:
    between = Relay(primary.port).start()
    yield between
    between.stop()


@asynccontextmanager
async def opened(dsn: str, **options: Any) -> AsyncIterator[pools.Database]:
    db = pools.Database(dsn, **{"size": 4, "statement_timeout": 1.0, "connect_timeout": 1.0, **options})
    await db.open()
    try:
        yield db
    finally:
        await db.close(timeout=1)


def through(relay: Relay) -> str:
    return f"postgresql://postgres@{LOOPBACK}:{relay.port}/postgres"


async def crowd(db: pools.Database, size: int = 4) -> None:
    """Make every connection there is room for."""
    await asyncio.gather(*(db.fetchval("SELECT pg_sleep(0.05)") for _ in range(size)))


async def fails(db: pools.Database) -> bool:
    try:
        await db.fetchval("SELECT 1")
    except DatabaseUnavailable:
        return True
    return False


async def works(db: pools.Database) -> bool:
    return not await fails(db)


async def comes_back(db: pools.Database) -> int:
    """Wait until statements pass again; how many failed before."""
    failed = 0

    async def back() -> bool:
        nonlocal failed
        failed += not (passes := await works(db))
        return passes

    await until(back, "statements pass again", SOON)
    return failed


async def test_who_is_known_to_be_away_is_not_waited_for(relay: Relay) -> None:
    async with opened(through(relay), connect_timeout=LONG, acquire_timeout=LONG) as db:
        await crowd(db)
        await asyncio.to_thread(relay.cut)
        await until(lambda: fails(db), "statements fail")
        relay.hold()
        await asyncio.to_thread(relay.mend)  # who connects now waits until it is let go
        async with asyncio.timeout(SOON):
            assert all(await asyncio.gather(*(fails(db) for _ in range(200))))
        relay.let_go()
        await comes_back(db)


async def test_a_network_that_swallows_everything(relay: Relay) -> None:
    """Connections stay open and new ones are accepted; nobody answers. Every wait is bounded, also in line."""
    async with opened(through(relay), acquire_timeout=LONG) as db:
        await crowd(db)
        relay.hold()
        # In line, a statement without an answer, the doubt about the others, a connection that does not come about.
        async with asyncio.timeout(SOON):
            assert all(await asyncio.gather(*(fails(db) for _ in range(MANY))))
        assert await fails(db)
        async with asyncio.timeout(SOON):  # it is known to be away
            assert all(await asyncio.gather(*(fails(db) for _ in range(MANY))))
        relay.let_go()
        await comes_back(db)


async def test_connections_that_died_in_silence_do_not_poison_the_pool(primary: Primary) -> None:
    """The machine behind the name was replaced: its old connections answer nobody, new ones reach another one."""
    old, name = Relay(primary.port).start(), Relay(0)
    name.target_port = old.port
    name.start()
    try:
        async with opened(through(name), size=16) as db:
            await crowd(db, 16)
            old.hold()
            name.target_port = primary.port
            assert await fails(db)
            # One statement found out for all of them.
            assert await comes_back(db) < 8
            assert await asyncio.gather(*(works(db) for _ in range(16))) == [True] * 16
    finally:
        name.stop()
        old.stop()


async def test_a_frozen_server(primary: Primary) -> None:
    async with opened(primary.database().url, acquire_timeout=LONG) as db:
        await crowd(db)
        primary.pause()
        try:
            async with asyncio.timeout(SOON):
                assert all(await asyncio.gather(*(fails(db) for _ in range(MANY))))
        finally:
            primary.resume()
        await comes_back(db)


async def test_a_restart_loses_reads_nothing_and_transactions_nothing_before_they_begin(primary: Primary) -> None:
    async with opened(primary.database().url) as db:
        await crowd(db)
        await asyncio.to_thread(primary.stop)
        await asyncio.to_thread(primary.restart)
        async with db.transaction() as transaction:
            assert await transaction.fetchval("SELECT 1") == 1
        assert await db.fetchval("SELECT 1") == 1


async def test_a_crash_of_one_session_restarts_all_of_them(primary: Primary) -> None:
    """kill -9 of a backend: Postgres ends every session and recovers (57P02, 57P03)."""
    async with opened(primary.database().url) as db:
        await crowd(db)
        pid = await db.fetchval("SELECT pg_backend_pid()")
        os.kill(pid, signal.SIGKILL)

        async def all_work() -> bool:
            return all(await asyncio.gather(*(works(db) for _ in range(8))))

        await until(all_work, "statements pass again")


async def test_a_full_server_leaves_us_the_connections_we_have(primary: Primary) -> None:
    """53300: who finds no room waits for one of ours, and is not refused."""
    await asyncio.to_thread(_restart_with_room_for, primary, 12)
    try:
        async with opened(primary.database().url, size=8, acquire_timeout=5, statement_timeout=5) as db:
            assert await works(db)
            async with no_room(primary):
                await asyncio.gather(*(db.fetchval("SELECT pg_sleep(0.05)") for _ in range(16)))
        async with opened(primary.database().url) as late:
            async with no_room(primary):
                assert await fails(late), "without a connection of our own there is nothing to wait for"
            await comes_back(late)
    finally:
        await asyncio.to_thread(_restart_with_room_for, primary, 200)


def _restart_with_room_for(primary: Primary, connections: int) -> None:
    primary.statement(f"ALTER SYSTEM SET max_connections = {connections}")
    primary.stop()
    primary.restart()


@asynccontextmanager
async def no_room(primary: Primary) -> AsyncIterator[None]:
    """Others hold all connections that the server has left."""
    hogs: list[asyncpg.Connection] = []
    try:
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            while True:
                hogs.append(await asyncpg.connect(primary.database().url))
        assert hogs
        yield
    finally:
        for hog in hogs:
            await hog.close()


async def test_the_kernel_is_told_to_notice_a_peer_that_vanished(primary: Primary) -> None:
    async with opened(primary.database().url) as db:
        connection = await db.connect()
        try:
            sock = connection._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
        finally:
            await connection.close()


async def test_a_statement_that_was_cancelled_ends_and_its_connection_is_not_used_again(primary: Primary) -> None:
    async with opened(primary.database().url, size=1, statement_timeout=LONG, acquire_timeout=LONG) as db:
        await db.fetchval("SELECT 1")
        async with opened(primary.database().url, statement_timeout=SOON) as watcher:
            for work in (_sleep, _sleep_in_transaction):
                task = asyncio.create_task(work(db))
                await until(lambda: _sleepers(watcher), "the statement runs")
                task.cancel()
                await asyncio.wait([task], timeout=SOON)
                assert task.cancelled()
                async with asyncio.timeout(SOON):
                    assert await works(db)
                await until(lambda: _nobody_sleeps(watcher), "Postgres was told to stop it", SOON)


async def _sleepers(db: pools.Database) -> int:
    return int(await db.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))


async def _nobody_sleeps(db: pools.Database) -> bool:
    return not await _sleepers(db)


async def _sleep(db: pools.Database) -> None:
    await db.fetchval("SELECT pg_sleep(600)")


async def _sleep_in_transaction(db: pools.Database) -> None:
    async with db.transaction() as transaction:
        await transaction.fetchval("SELECT pg_sleep(600)")


async def test_who_is_cancelled_does_not_wait_for_a_frozen_server(primary: Primary) -> None:
    async with opened(primary.database().url, statement_timeout=LONG) as db:
        await crowd(db)
        primary.pause()
        try:
            for work in (_sleep, _sleep_in_transaction):
                task = asyncio.create_task(work(db))
                await until(lambda: db.connection_counts().busy, "it waits for the server")
                task.cancel()
                await asyncio.wait([task], timeout=SOON)
                assert task.cancelled()
        finally:
            primary.resume()
        await comes_back(db)


async def test_one_session_that_hangs_costs_one_statement(primary: Primary) -> None:
    """As on a disk that does not answer: the session cannot even be cancelled. Others go on."""
    async with opened(primary.database().url, size=1, acquire_timeout=LONG) as db:
        pid = await db.fetchval("SELECT pg_backend_pid()")
        os.kill(pid, signal.SIGSTOP)
        try:
            assert await fails(db)
            assert await works(db)  # while that session still hangs
            assert await db.fetchval("SELECT pg_backend_pid()") != pid
        finally:
            os.kill(pid, signal.SIGCONT)


def is_failing(db: pools.Database) -> bool:
    return db.failing_seconds is not None


async def test_a_pooler_without_a_database_behind_it(relay: Relay) -> None:
    """Everybody may connect, and every statement ends with its connection."""
    async with opened(through(relay)) as db:
        assert await db.fetchval("SELECT 1") == 1
        assert not is_failing(db)
        with pytest.raises(DatabaseUnavailable):
            await db.fetchval("SELECT pg_terminate_backend(pg_backend_pid())")
        assert db.away_seconds is None  # for whoever only connects
        assert is_failing(db)
        assert await db.fetchval("SELECT 1") == 1
        assert not is_failing(db)


async def test_a_statement_that_takes_too_long_says_nothing_of_the_others(relay: Relay) -> None:
    async with opened(through(relay)) as db:
        await crowd(db)
        with pytest.raises(DatabaseUnavailable):
            await db.fetchval("SELECT pg_sleep(10)")
        assert not is_failing(db)


async def test_old_connections_are_replaced(primary: Primary) -> None:
    async with opened(primary.database().url, size=1, lifetime=0.2) as db:
        pid = await db.fetchval("SELECT pg_backend_pid()")

        async def another() -> bool:
            return bool(await db.fetchval("SELECT pg_backend_pid()") != pid)

        await until(another, "another session")


async def test_a_first_host_that_says_nothing_costs_a_moment_only(primary: Primary, relay: Relay) -> None:
    relay.hold()
    database = HostsDatabase("postgres", "", (relay.port, primary.port))
    async with opened(database.url, connect_timeout=LONG) as db:
        async with asyncio.timeout(SOON):
            await crowd(db)
        asked = relay.accepted
        connection = await db.connect()
        await connection.close()
        assert relay.accepted == asked, "the host that answered is asked first"


async def test_an_old_primary_that_takes_no_writes_any_more_is_left(primary: Primary) -> None:
    """25006: the statement is repeated where writes are taken, on none of the connections there were."""
    standby = await asyncio.to_thread(Standby(primary).start)
    relay = Relay(primary.port).start()
    try:
        first = HostsDatabase("postgres", "", (relay.port,), "read-write")
        async with opened(first.url) as db:
            await db.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
            await crowd(db)
            # The name now leads to the new primary; the connections there are still lead to the old one.
            await asyncio.to_thread(_take_writes, primary, False)
            await asyncio.to_thread(standby.promote)
            relay.target_port = standby.port
            await until(lambda: _read_only(db), "the old primary has read its settings")
            await db.execute("INSERT INTO kept VALUES (1)")
            assert await asyncio.to_thread(standby.database().fetch, "SELECT number FROM kept") == [{"number": 1}]
            assert await asyncio.to_thread(primary.database().fetch, "SELECT number FROM kept") == []
    finally:
        relay.stop()
        await asyncio.to_thread(_take_writes, primary, True)
        await asyncio.to_thread(standby.remove)


def _take_writes(primary: Primary, yes: bool) -> None:
    change = "RESET default_transaction_read_only" if yes else "SET default_transaction_read_only = on"
    primary.statement(f"ALTER SYSTEM {change}", "SELECT pg_reload_conf()")


async def _read_only(db: pools.Database) -> bool:
    return bool(await db.fetchval("SHOW default_transaction_read_only") == "on")


async def test_failover(primary: Primary) -> None:
    standby = await asyncio.to_thread(Standby(primary, synchronous=True).start)
    database = both(primary, standby, primary.database())
    try:
        async with opened(database.url) as db:
            await crowd(db)
            await asyncio.to_thread(primary.kill)
            assert await fails(db)
            await asyncio.to_thread(standby.promote)
            await comes_back(db)
            assert await db.fetchval("SELECT inet_server_port()") == standby.port
            async with db.transaction() as transaction:
                await transaction.execute("CREATE TABLE after_failover ()")
    finally:
        await asyncio.to_thread(standby.remove)
