"""The auditor finds what it is there to find: every promise is broken once, by hand, in a sound database."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import asyncpg
import pytest

from tests.chaos.auditor import audit, examine, settled
from tests.chaos.ledger import Entries, Ledger
from tests.chaos.load import BackgroundLoad, Shape
from tests.chaos.plan import in_full_form
from tests.support.database import Database
from tests.support.servers import SempreServer
from tests.support.wait import eventually

pytestmark = [pytest.mark.chaos, in_full_form]

SHAPE = Shape(lifecycles=2, minutely=1, frequent=1, runners=1, contenders=5, takers=1)
ENVIRONMENT = {
    "SEMPRE_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "0.5",
    "SEMPRE_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "0.5",
}

A_FINISHED_RUN = "(SELECT id FROM flow_run WHERE state_type = 'COMPLETED' AND NOT auto_scheduled ORDER BY id LIMIT 1)"
A_TASK_EVENT = "(SELECT id FROM event WHERE event = 'prefect.task-run.Completed' ORDER BY seq LIMIT 1)"
A_LIMIT = "(SELECT concurrency_limit_id FROM deployment WHERE concurrency_limit_id IS NOT NULL)"

TAMPERED = {
    "run lost": f"DELETE FROM flow_run WHERE id = {A_FINISHED_RUN}",
    "history of no run": f"DELETE FROM flow_run WHERE id = {A_FINISHED_RUN}",
    "run did not stay finished": f"UPDATE flow_run SET state_type = 'FAILED' WHERE id = {A_FINISHED_RUN}",
    "run is not in its newest state": f"UPDATE flow_run SET state_id = gen_random_uuid() WHERE id = {A_FINISHED_RUN}",
    "version does not count the states": f"UPDATE flow_run SET version = version + 1 WHERE id = {A_FINISHED_RUN}",
    "version below the states": f"UPDATE flow_run SET version = version - 1 WHERE id = {A_FINISHED_RUN}",
    "acknowledged transition lost": (
        f"DELETE FROM flow_run_state WHERE type = 'RUNNING' AND flow_run_id = {A_FINISHED_RUN}"
    ),
    "event of no state": f"DELETE FROM flow_run_state WHERE type = 'RUNNING' AND flow_run_id = {A_FINISHED_RUN}",
    "illegal transition": f"DELETE FROM flow_run_state WHERE type = 'RUNNING' AND flow_run_id = {A_FINISHED_RUN}",
    "event tells another past": f"DELETE FROM flow_run_state WHERE type = 'RUNNING' AND flow_run_id = {A_FINISHED_RUN}",
    "state without exactly one event": (
        f"DELETE FROM event WHERE id IN (SELECT state_id FROM flow_run WHERE id = {A_FINISHED_RUN})"
    ),
    "events of a run out of order": (
        f"UPDATE event SET seq = 0 WHERE id IN (SELECT state_id FROM flow_run WHERE id = {A_FINISHED_RUN})"
    ),
    "run entered Running twice": f"""
        INSERT INTO flow_run_state (id, workspace_id, flow_run_id, timestamp, type, name)
        SELECT gen_random_uuid(), workspace_id, id, now(), 'RUNNING', 'Running' FROM flow_run
        WHERE id = {A_FINISHED_RUN}
    """,
    "run left in flight": f"UPDATE flow_run SET state_type = 'RUNNING' WHERE id = {A_FINISHED_RUN}",
    "slot outlives its run": f"""
        INSERT INTO concurrency_slot (limit_id, slot, workspace_id, run_id)
        SELECT {A_LIMIT}, 1, workspace_id, id FROM flow_run WHERE id = {A_FINISHED_RUN}
    """,
    "more slots than the limit": f"""
        INSERT INTO concurrency_slot (limit_id, slot, workspace_id)
        SELECT {A_LIMIT}, number, gen_random_uuid() FROM generate_series(1, 4) number
    """,
    "slot without its lease": f"""
        INSERT INTO concurrency_slot (limit_id, slot, workspace_id, lease_id)
        VALUES ({A_LIMIT}, 1, gen_random_uuid(), gen_random_uuid())
    """,
    "lease outlives its run": f"""
        INSERT INTO concurrency_lease (id, workspace_id, holder_type, holder_id)
        SELECT gen_random_uuid(), workspace_id, 'flow_run', id FROM flow_run WHERE id = {A_FINISHED_RUN}
    """,
    "expired lease not collected": """
        INSERT INTO concurrency_lease (id, workspace_id, expires_at)
        VALUES (gen_random_uuid(), gen_random_uuid(), now() - interval '1 minute')
    """,
    "acknowledged event lost or doubled": f"DELETE FROM event WHERE id = {A_TASK_EVENT}",
    "task-run state of no event": f"DELETE FROM event WHERE id = {A_TASK_EVENT}",
    "task-run event without exactly one state": f"DELETE FROM task_run_state WHERE id = {A_TASK_EVENT}",
    "task run is not in its newest state": f"DELETE FROM task_run_state WHERE id = {A_TASK_EVENT}",
    "task run lost": "DELETE FROM task_run WHERE id = (SELECT id FROM task_run ORDER BY id LIMIT 1)",
    "acknowledged log lost": "DELETE FROM log WHERE id = (SELECT id FROM log ORDER BY seq LIMIT 1)",
    "consumer behind": "UPDATE event_consumer SET position = position - 1",
    "dead letter": """
        INSERT INTO event_dead_letter (consumer, workspace_id, event_id, event, error)
        VALUES ('c', gen_random_uuid(), gen_random_uuid(), '{}', 'tampered')
    """,
}
A_SLOT_PASSED = "SELECT id FROM flow_run WHERE auto_scheduled AND expected_start_time <= now()"
SLOT = """
    SELECT id FROM flow_run WHERE auto_scheduled AND state_type = 'SCHEDULED'
    ORDER BY expected_start_time OFFSET 9 LIMIT 1
"""


@pytest.fixture(scope="module")
def sound(database: Database, workdir: Path) -> tuple[Database, Entries]:
    """A database after a little load on a healthy server that is stopped now, and what was acknowledged."""
    server = SempreServer(workdir, database=database, env=ENVIRONMENT)
    server.start()
    try:
        ledger = Ledger(workdir / "ledger.jsonl")
        load = BackgroundLoad(server.api_url, ledger, SHAPE, random.Random(1)).start()
        kinds = ("task", "log", "returned", "executed", "finished")
        eventually(lambda: all(len(ledger.entries().of_kind(kind)) > 5 for kind in kinds), "a load of every kind", 60)
        eventually(lambda: database.fetch(A_SLOT_PASSED), "a slot of a schedule passes", 30)
        load.finish(60)
        eventually(lambda: settled(database), "the recorder has read the whole log", 30)
    finally:
        server.stop()
    return database, ledger.entries()


def test_a_sound_database_is_clean(sound: tuple[Database, Entries]) -> None:
    report = audit(*sound)
    report.assert_clean()
    assert report.figures["schedule slots passed"] > 0
    assert all(report.figures[name] for name in ("runs", "run states", "events", "task runs", "logs"))


@pytest.mark.parametrize("check", TAMPERED)
def test_every_broken_promise_is_found(check: str, sound: tuple[Database, Entries]) -> None:
    assert check in tampered(sound, TAMPERED[check])


@pytest.mark.parametrize(
    "change",
    [
        f"DELETE FROM flow_run WHERE id = ({SLOT})",
        f"""
        INSERT INTO flow_run_state (id, workspace_id, flow_run_id, timestamp, type, name, details)
        SELECT gen_random_uuid(), workspace_id, gen_random_uuid(), now(), 'SCHEDULED', 'Scheduled', state_details
        FROM flow_run WHERE id = ({SLOT});
        INSERT INTO flow_run (id, workspace_id, name, flow_id, auto_scheduled, created_by)
        SELECT h.flow_run_id, h.workspace_id, 'copy', r.flow_id, true, r.created_by
        FROM flow_run_state h, flow_run r WHERE r.id = ({SLOT})
            AND NOT EXISTS (SELECT FROM flow_run known WHERE known.id = h.flow_run_id)
        """,
    ],
    ids=["missing", "double"],
)
def test_a_slot_with_no_run_or_two_is_found(change: str, sound: tuple[Database, Entries]) -> None:
    assert "schedule slot without exactly one run" in tampered(sound, change)


def test_an_execution_that_only_the_ledger_knows_is_found(sound: tuple[Database, Entries]) -> None:
    database, entries = sound
    again = next(line for line in entries.lines if line["kind"] == "executed")
    assert audit(database, Entries([*entries.lines, again])).broken == {"run executed twice"}


def test_a_returned_lease_that_is_still_there_is_found(sound: tuple[Database, Entries]) -> None:
    returned = sound[1].values("returned")[0]
    change = f"INSERT INTO concurrency_lease (id, workspace_id) VALUES ('{returned}', gen_random_uuid())"
    assert "returned lease still there" in tampered(sound, change)


def tampered(sound: tuple[Database, Entries], change: str) -> set[str]:
    """The promises broken by a change, which is undone afterwards."""
    return asyncio.run(_tampered(*sound, change))


async def _tampered(database: Database, entries: Entries, change: str) -> set[str]:
    connection = await asyncpg.connect(database.url)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(change)
        report = await examine(connection, entries)
        await transaction.rollback()
        return report.broken
    finally:
        await connection.close()
