"""A task run's flow is the database's to fill: for rows from before, and for writers that do not know of it."""

from __future__ import annotations

from uuid import UUID, uuid4

import asyncpg
import pytest

from sempre.db import migrate
from tests.support.database import Database, Postgres

WORKSPACE = UUID(int=0)


@pytest.fixture
def empty(postgres: Postgres) -> Database:
    return postgres.create()


async def _flow_run(connection: asyncpg.Connection) -> tuple[UUID, UUID]:
    """A new one, as ``(id, its flow)``."""
    id, flow = uuid4(), uuid4()
    await connection.execute(
        "INSERT INTO flow_run (id, workspace_id, name, flow_id) VALUES ($1, $2, 'run', $3)", id, WORKSPACE, flow
    )
    return id, flow


async def _task_run(connection: asyncpg.Connection, flow_run: UUID | None) -> UUID:
    id = uuid4()
    await connection.execute(
        "INSERT INTO task_run (workspace_id, id, name, flow_run_id, task_key, dynamic_key) "
        "VALUES ($1, $2, 'task', $3, 'task', $2::uuid::text)",
        WORKSPACE,
        id,
        flow_run,
    )
    return id


async def _flow_of(connection: asyncpg.Connection, task_run: UUID) -> UUID | None:
    flow: UUID | None = await connection.fetchval("SELECT flow_id FROM task_run WHERE id = $1", task_run)
    return flow


async def test_an_upgrade_tells_task_runs_of_before_their_flow(empty: Database) -> None:
    await migrate.upgrade(empty.url, "0004")
    connection = await asyncpg.connect(empty.url)
    runs = [await _flow_run(connection) for _ in range(3)]
    told = {await _task_run(connection, run): flow for run, flow in runs for _ in range(2)}
    lost, alone = await _task_run(connection, uuid4()), await _task_run(connection, None)
    await migrate.upgrade(empty.url)
    assert {id: await _flow_of(connection, id) for id in told} == told
    assert await _flow_of(connection, lost) is None
    assert await _flow_of(connection, alone) is None
    await connection.close()


async def test_the_upgrade_goes_through_more_than_one_step(empty: Database) -> None:
    await migrate.upgrade(empty.url, "0004")
    connection = await asyncpg.connect(empty.url)
    await connection.execute(
        """
        WITH run AS (
            INSERT INTO flow_run (id, workspace_id, name, flow_id)
            SELECT gen_random_uuid(), $1, 'run', gen_random_uuid() FROM generate_series(1, 4500) RETURNING id
        )
        INSERT INTO task_run (workspace_id, id, name, flow_run_id, task_key, dynamic_key)
        SELECT $1, gen_random_uuid(), 'task', id, 'task', '0' FROM run
        """,
        WORKSPACE,
    )
    await migrate.upgrade(empty.url)
    wrong = await connection.fetchval(
        "SELECT count(*) FROM task_run t JOIN flow_run r ON r.id = t.flow_run_id "
        "WHERE t.flow_id IS DISTINCT FROM r.flow_id"
    )
    assert wrong == 0
    assert await connection.fetchval("SELECT count(flow_id) FROM task_run") == 4500
    await connection.close()


async def test_a_writer_need_not_know_of_it(database: Database) -> None:
    connection = await asyncpg.connect(database.url)
    run, flow = await _flow_run(connection)
    placed, later = await _task_run(connection, run), await _task_run(connection, None)
    assert await _flow_of(connection, placed) == flow
    assert await _flow_of(connection, later) is None
    await connection.execute("UPDATE task_run SET flow_run_id = $2 WHERE id = $1", later, run)
    assert await _flow_of(connection, later) == flow
    await connection.close()


async def test_there_and_back(empty: Database) -> None:
    await migrate.upgrade(empty.url)
    await migrate.downgrade(empty.url, "0004")
    connection = await asyncpg.connect(empty.url)
    run, flow = await _flow_run(connection)
    task = await _task_run(connection, run)
    await connection.close()
    await migrate.upgrade(empty.url)
    connection = await asyncpg.connect(empty.url)
    assert await _flow_of(connection, task) == flow
    await connection.close()


def test_the_script_fills_it_too() -> None:
    script = migrate.sql_of("0004", "0005")
    assert "EXIT WHEN place IS NULL" in script
    assert ":after" not in script


async def test_it_moves_along_with_the_flow_run(database: Database) -> None:
    connection = await asyncpg.connect(database.url)
    (run, _), (other, flow) = await _flow_run(connection), await _flow_run(connection)
    task = await _task_run(connection, run)
    await connection.execute("UPDATE task_run SET flow_run_id = $2 WHERE id = $1", task, other)
    assert await _flow_of(connection, task) == flow
    await connection.execute("UPDATE task_run SET flow_run_id = $2 WHERE id = $1", task, uuid4())
    assert await _flow_of(connection, task) is None
    await connection.close()
