"""Upgrades under load: killed at any moment, in the way of nobody, by several processes at once."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from sempre.db import migrate
from sempre.db.migrations import indexes
from tests.support.database import Database, Postgres
from tests.support.prefect_env import ROOT
from tests.support.schema import schema_of, seed
from tests.support.scopes import until
from tests.support.servers import SEMPRE, sempre_environment

RUNS = 4000
_TELLING = """
import asyncio, sys
from sempre.db import migrate
asyncio.run(migrate.upgrade(sys.argv[1], tell=lambda sentence: print(sentence, flush=True)))
print("DONE", flush=True)
"""


@pytest.fixture
def old(postgres: Postgres) -> Database:
    return postgres.create_from(f"first-schema-{RUNS}", _first_schema)


@pytest.fixture
def empty(postgres: Postgres) -> Database:
    return postgres.create()


def _first_schema(database: Database) -> None:
    async def prepare() -> None:
        await migrate.upgrade(database.url, "0001")
        await seed(database, RUNS)

    asyncio.run(prepare())


@asynccontextmanager
async def _connected(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.url)
    try:
        yield connection
    finally:
        await connection.close()


async def _killed_upgrade(database: Database, after: int, delay: float) -> tuple[bool, list[str]]:
    """Upgrade in a process of its own and kill -9 it `delay` seconds after it said `after` things.

    (whether it ended before, what it said).
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _TELLING, database.url, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    said = []
    try:
        async with asyncio.timeout(60):
            while line := (await process.stdout.readline()).decode().strip():
                said.append(line)
                if len(said) == after:
                    await asyncio.sleep(delay)
                    break
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
    ended = "DONE" in said
    assert ended or process.returncode == -signal.SIGKILL, said
    return ended, said


@pytest.mark.parametrize("number", range(2))
async def test_killed_at_any_moment_it_goes_on_where_it_was(old: Database, empty: Database, number: int) -> None:
    draw = random.Random(number)
    kills, ended, said = 0, False, []
    while not ended:
        # A few things further each time: some kills hit a build, some a commit, some what lies between. And ever
        # further, so that it comes to an end also where a build takes longer than it is let live.
        after = draw.randint(1, 6) + kills // 3
        ended, lines = await _killed_upgrade(old, after, draw.choice((0.0, 0.002, 0.01, 0.05)))
        said += lines
        kills += not ended
        assert kills < 60, said
    await migrate.upgrade(empty.url)
    assert kills >= 4
    assert await schema_of(old) == await schema_of(empty)
    async with _connected(old) as connection:
        assert await connection.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
        assert await connection.fetchval("SELECT count(*) FROM task_run WHERE flow_id IS NULL") == 0
        wrong = "SELECT count(*) FROM task_run t JOIN flow_run f ON f.id = t.flow_run_id WHERE t.flow_id <> f.flow_id"
        assert await connection.fetchval(wrong) == 0
    print(f"\nkilled {kills} times")


@pytest.mark.parametrize("revision", [f"{number:04}" for number in range(1, int(migrate.head()) + 1)])
async def test_what_a_revision_did_is_recorded_with_it_or_undone(empty: Database, revision: str) -> None:
    def fail(sentence: str) -> None:
        if sentence.startswith(f"Applied {revision}"):
            raise RuntimeError("the process ends here")

    with pytest.raises(RuntimeError, match="ends here"):
        await migrate.upgrade(empty.url, tell=fail)
    assert await migrate.current(empty.url) != revision
    await migrate.upgrade(empty.url)
    assert (await migrate.look(empty.url)).is_enough


async def test_three_processes_upgrade_an_empty_database_at_once(empty: Database, workdir: Path) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            *SEMPRE,
            *("server", "database", "upgrade", "-y"),
            env=sempre_environment(workdir / f"home-{number}", empty, None),
            stdout=asyncio.subprocess.PIPE,
        )
        for number in range(3)
    ]
    said = [(await process.communicate())[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    # Each revision was applied by one of them.
    assert sum(text.count("Applied 0001") for text in said) == 1
    assert sum(text.count("Applied ") for text in said) == int(migrate.head())


class Writers:
    """Traffic that goes on during an upgrade: runs and tasks are written and read, in short transactions."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.count = 0
        self.slowest = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Writers:
        self._tasks = [asyncio.create_task(self._write(number)) for number in range(4)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        failures = [end for end in ended if not isinstance(end, asyncio.CancelledError)]
        assert failures == []

    async def _write(self, number: int) -> None:
        async with _connected(self.database) as connection:
            while True:
                began = time.monotonic()
                key = f"{number}-{self.count}-{began}"
                async with connection.transaction():
                    await connection.execute(
                        "INSERT INTO flow_run (id, workspace_id, name, flow_id) "
                        "SELECT md5($1)::uuid, id, $1, md5('flow1')::uuid FROM workspace",
                        key,
                    )
                    await connection.execute(
                        "INSERT INTO task_run (id, workspace_id, name, flow_run_id, task_key, dynamic_key) "
                        "SELECT md5('t' || $1)::uuid, id, $1, md5($1)::uuid, 'key', $1 FROM workspace",
                        key,
                    )
                    await connection.fetchval("SELECT count(*) FROM task_run WHERE flow_run_id = md5($1)::uuid", key)
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.count += 1
                await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("revision", "waiting"),
    [("0003", "waiting for"), ("0004", "A table is in use")],
    ids=["an index is built", "a column is added"],
)
async def test_a_long_transaction_holds_up_the_upgrade_and_nobody_else(
    old: Database, monkeypatch: pytest.MonkeyPatch, revision: str, waiting: str
) -> None:
    monkeypatch.setattr(indexes, "_TELL_SECONDS", 0.2)
    await migrate.upgrade(old.url, revision)
    told: list[str] = []
    async with _connected(old) as long, Writers(old) as writers:
        transaction = long.transaction(isolation="repeatable_read")
        await transaction.start()
        await long.fetchval("SELECT count(*) FROM task_run")
        upgrading = asyncio.create_task(migrate.upgrade(old.url, tell=told.append))
        await _told(told, waiting, times=3)
        before = writers.count
        await until(lambda: writers.count >= before + 200, "writers go on", 30)
        assert not upgrading.done()
        # Whoever waits for the upgrade is told whom it waits for.
        who = f"(pid {long.get_server_pid()}, idle in transaction"
        assert any(waiting in sentence and who in sentence for sentence in told), told
        await transaction.rollback()
        async with asyncio.timeout(60):
            await upgrading
    assert await migrate.is_current(old.url)
    # Half a second is what a revision waits for a lock, and others behind it. A busy machine may take its time.
    assert writers.slowest < 30.0
    async with _connected(old) as connection:
        assert await connection.fetchval("SELECT count(*) FROM task_run WHERE flow_id IS NULL") == 0
    print(f"\n{writers.count} transactions, slowest {writers.slowest:.2f} s")


async def _told(told: list[str], text: str, times: int = 1) -> None:
    await until(lambda: sum(text in sentence for sentence in told) >= times, f"says {text!r} {times} times", 60)


async def test_the_build_of_a_killed_upgrade_is_let_to_its_end(old: Database) -> None:
    await migrate.upgrade(old.url, "0003")
    async with _connected(old) as builder, _connected(old) as long:
        transaction = long.transaction(isolation="repeatable_read")
        await transaction.start()
        await long.fetchval("SELECT count(*) FROM flow_run")
        # What a killed upgrade leaves behind goes on in Postgres, here until the transaction above ends.
        sql = "CREATE INDEX CONCURRENTLY flow_run_by_name ON flow_run (name, id) INCLUDE (workspace_id)"
        building = asyncio.create_task(builder.execute(sql))
        told: list[str] = []
        async with _connected(old) as other:
            begun = "SELECT count(*) FROM pg_stat_progress_create_index"
            await until(lambda: other.fetchval(begun), "the build has begun")
        upgrading = asyncio.create_task(migrate.upgrade(old.url, tell=told.append))
        await _told(told, "still being built by somebody else")
        await transaction.rollback()
        await building
        async with _connected(old) as other:
            oid = await other.fetchval("SELECT to_regclass('flow_run_by_name')::oid")
        async with asyncio.timeout(60):
            await upgrading
        async with _connected(old) as other:
            assert await other.fetchval("SELECT to_regclass('flow_run_by_name')::oid") == oid
    assert not any("left unfinished" in sentence for sentence in told)
