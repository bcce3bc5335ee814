"""The auditor of the storm finds what it is there to find: every promise is broken once, by hand, in a sound database
or in the ledger of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.chaos.auditor import Report
from tests.chaos.ledger import Entries, Entry
from tests.chaos.loads.control import StormLoad
from tests.chaos.loads.shape import ENVIRONMENT, Shape
from tests.chaos.plan import in_full_form
from tests.chaos.storm_audit import audit_storm, examine, leaked_slots, unsettled
from tests.chaos.test_auditor import TAMPERED
from tests.support.database import Database
from tests.support.servers import SempreServer
from tests.support.wait import eventually

pytestmark = [pytest.mark.chaos, in_full_form]

SHAPE = Shape(minutely=1, frequent=2, queued=1, choosy=1, workers=2, requests=2.0, mishaps=0.0, takers=2, stream=30)

Sound = tuple[Database, Entries]

A_RUN = "(SELECT id FROM flow_run WHERE state_type = 'COMPLETED' AND auto_scheduled ORDER BY id LIMIT 1)"
A_RUN_OF_A_SCRIPT = "(SELECT id FROM flow_run WHERE state_type = 'COMPLETED' AND deployment_id IS NULL LIMIT 1)"
A_FIRING = "(SELECT firing_id FROM automation_action ORDER BY id LIMIT 1)"
A_STREAM_FIRING = "(SELECT f.id FROM automation_firing f WHERE f.automation->>'name' = 'every tenth' LIMIT 1)"

IN_THE_DATABASE: dict[str, str] = {
    **{name: sql for name, sql in TAMPERED.items() if name not in ("version does not count the states",
       "run entered Running twice", "run lost", "task run lost", "slot outlives its run", "more slots than the limit",
       "slot without its lease")},
    "run lost": f"DELETE FROM flow_run WHERE id = {A_RUN_OF_A_SCRIPT}",
    "consumer behind": "UPDATE event_consumer SET position = 1",
    "slot outlives its run": f"""
        INSERT INTO concurrency_slot (limit_id, slot, workspace_id, run_id)
        SELECT (SELECT id FROM concurrency_limit WHERE name = 'storm-leases'), 9, workspace_id, id FROM flow_run
        WHERE id = {A_RUN}
    """,
    "more slots than the limit": """
        INSERT INTO concurrency_slot (limit_id, slot, workspace_id)
        SELECT (SELECT id FROM concurrency_limit WHERE name = 'storm-leases'), number, gen_random_uuid()
        FROM generate_series(11, 15) number
    """,
    "slot without its lease": """
        INSERT INTO concurrency_slot (limit_id, slot, workspace_id, lease_id)
        SELECT id, 11, gen_random_uuid(), gen_random_uuid() FROM concurrency_limit WHERE name = 'storm-leases'
    """,
    "slot of nobody": """
        INSERT INTO concurrency_slot (limit_id, slot, workspace_id, lease_id)
        SELECT id, 11, gen_random_uuid(), gen_random_uuid() FROM concurrency_limit WHERE name = 'storm-leases'
    """,
    "event doubled": """
        INSERT INTO event (occurred, workspace_id, id, event, resource_id, resource, related, resource_ids, payload)
        SELECT occurred - interval '1 microsecond', workspace_id, id, event, resource_id, resource, related,
            resource_ids, payload FROM event WHERE event = 'load.seen' LIMIT 1
    """,
    "action not done": """
        UPDATE automation_action SET status = 'failed' WHERE id = (SELECT id FROM automation_action ORDER BY id LIMIT 1)
    """,
    "firing without its actions": f"DELETE FROM automation_action WHERE firing_id = {A_FIRING}",
    "firing without exactly one event": "DELETE FROM event WHERE event = 'prefect.automation.triggered'",
    "automation firing lost or doubled": f"DELETE FROM automation_firing WHERE id = {A_STREAM_FIRING}",
    "action without exactly one run": """
        DELETE FROM flow_run WHERE id = (SELECT id FROM flow_run WHERE idempotency_key LIKE 'automation %' LIMIT 1)
    """,
    "run stuck before its start": f"""
        UPDATE flow_run SET state_type = 'SCHEDULED', next_scheduled_start_time = now() - interval '1 hour'
        WHERE id = {A_RUN}
    """,
    "schedule slot without exactly one run": """
        DELETE FROM flow_run WHERE id = (
            SELECT r.id FROM flow_run r JOIN deployment d ON d.id = r.deployment_id AND d.name = 'queued-0'
            ORDER BY r.expected_start_time OFFSET 2 LIMIT 1)
    """,
    "run not recalled exactly once": """
        UPDATE flow_run SET state_type = 'SCHEDULED' WHERE id = (
            SELECT id FROM flow_run WHERE expected_start_time > '2098-01-01' LIMIT 1)
    """,
    "background task not completed": "UPDATE task_run SET state_type = 'PENDING' WHERE task_key = 'storm-task'",
    "task run lost": "DELETE FROM task_run WHERE id = (SELECT id FROM task_run WHERE task_key = 'task' LIMIT 1)",
}  # fmt: skip

Change = Callable[[list[Entry]], list[Entry]]


def _first(lines: list[Entry], kind: str, **facts: object) -> Entry:
    return next(one for one in lines if one["kind"] == kind and all(one[key] == value for key, value in facts.items()))


def _more(kind: str, **facts: Any) -> Change:
    return lambda lines: [*lines, {"kind": kind, "at": lines[-1]["at"], **facts}]


def _without(kind: str) -> Change:
    """Every line of a kind is gone that is about the same as its first."""

    def change(lines: list[Entry]) -> list[Entry]:
        first = _first(lines, kind)
        about = "key" if kind == "hook" else "id"
        return [one for one in lines if one["kind"] != kind or one[about] != first[about]]

    return change


def _never_begun(lines: list[Entry]) -> list[Entry]:
    """A worker never began a run that it claimed and that came to its end."""
    completed = {one["id"] for one in lines if one["kind"] == "finished" and one["type"] == "COMPLETED"}
    first = next(one for one in lines if one["kind"] == "begin" and one["worker"] and one["id"] in completed)
    return [one for one in lines if one["kind"] != "begin" or one["id"] != first["id"]]


def _again(kind: str, **changed: Any) -> Change:
    return lambda lines: [*lines, {**_first(lines, kind), **changed}]


def _overlap(lines: list[Entry]) -> list[Entry]:
    """A second body of one run, begun while the first was at work."""
    first = _first(lines, "begin")
    end = _first(lines, "end", attempt=first["attempt"])
    return [*lines, {**first, "at": (first["at"] + end["at"]) / 2, "attempt": str(uuid4())}]


def _crowd(lines: list[Entry]) -> list[Entry]:
    """Every body lasts to the end of the storm."""
    last = lines[-1]["at"]
    return [{**one, "at": last} if one["kind"] == "end" else one for one in lines]


def _long_leases(lines: list[Entry]) -> list[Entry]:
    """Nobody lets go of a lease before half a minute has passed."""
    return [{**one, "at": one["at"] + 30} if one["kind"] == "letting_go" else one for one in lines]


def _given_again(lines: list[Entry]) -> list[Entry]:
    first = _first(lines, "lasted")
    return [*lines, {"kind": "given", "at": lines[-1]["at"], "id": first["id"], "connection": "another"}]


IN_THE_LEDGER: dict[str, Change] = {
    "run executed twice": _again("begin"),
    "run in two hands at once": _overlap,
    "run completed by nobody": _never_begun,
    "stock run executed twice": _more("stock_begin", id="of nobody", body="x"),
    "deployment beyond its limit": _crowd,
    "more leases held than slots": _long_leases,
    "returned lease still there": lambda lines: lines,  # with _LEASE, below
    "background task lost": _without("given"),
    "background task given twice": _given_again,
    "webhook lost or of no action": _without("hook"),
    "subscriber missed an event": _without("seen"),
    "request gave up": _more("gave_up", path="POST /x", seconds=70, bad={}),
    "answer that is not retried": _more("wrong", path="POST /x", status=500, text=""),
    "websocket closed for good": _more("clean_close", where="events/out", code=1001),
    "websocket refused": _more("refused_upgrade", where="events/in", status=503),
}
# Offences of the services, which need both: a state that nobody proposed, and a ledger that says it was wrong.
BOTH: dict[str, str] = {
    "run crashed though it was heard": """
        INSERT INTO flow_run_state (id, workspace_id, flow_run_id, timestamp, type, name, message)
        SELECT gen_random_uuid(), workspace_id, id, start_time + interval '2 seconds', 'CRASHED', 'Crashed',
            'No heartbeat came' FROM flow_run WHERE id = $1
    """,
    "claim taken back early": """
        INSERT INTO flow_run_state (id, workspace_id, flow_run_id, timestamp, type, name)
        SELECT gen_random_uuid(), h.workspace_id, h.flow_run_id, h.timestamp + interval '1 microsecond', 'SCHEDULED',
            'Scheduled' FROM flow_run_state h WHERE h.flow_run_id = $1 AND h.name = 'Pending'
    """,
}
_PASSED = """
SELECT r.id FROM flow_run r JOIN deployment d ON d.id = r.deployment_id AND d.name = 'queued-0'
WHERE r.state_type = 'COMPLETED' AND r.expected_start_time < now() - interval '10 seconds'
"""
_LEASE = "INSERT INTO concurrency_lease (id, workspace_id) VALUES ($1, gen_random_uuid())"


@pytest.fixture(scope="module")
def sound(database: Database, workdir: Path) -> Sound:
    """A database after a little load on a healthy server that is stopped now, and the ledger."""
    server = SempreServer(workdir, database=database, env=ENVIRONMENT)
    server.start()
    load = StormLoad(server.api_url, workdir / "load", SHAPE, 1)
    try:
        load.start()
        kinds = ("task", "log", "returned", "begin", "finished", "hook", "lasted", "prey", "job")
        eventually(lambda: all(len(load.entries().of_kind(kind)) > 2 for kind in kinds), "a load of every kind", 90)
        fired = "SELECT FROM automation_firing WHERE automation->>'name' = 'every tenth'"
        eventually(lambda: database.fetch(fired), "the ordered stream fires", 30)
        eventually(lambda: len(database.fetch(_PASSED)) > 3, "slots pass", 60)
        load.settle()
        eventually(lambda: not unsettled(database), "the load settles", 60, 0.5, detail=lambda: unsettled(database))
        load.finish()
        assert leaked_slots(server.api_url) == []
        report = audit_storm(database, load.entries(calls=True))
    finally:
        load.kill()
        server.stop()
    report.assert_clean()
    return database, load.entries(calls=True)


def test_every_check_has_a_planted_offence(sound: Sound) -> None:
    checked = asyncio.run(_tampered(sound)).checks
    assert checked == {*IN_THE_DATABASE, *IN_THE_LEDGER, *BOTH}


@pytest.mark.parametrize("check", IN_THE_DATABASE)
def test_a_broken_promise_in_the_database_is_found(check: str, sound: Sound) -> None:
    assert check in asyncio.run(_tampered(sound, IN_THE_DATABASE[check])).broken


@pytest.mark.parametrize("check", IN_THE_LEDGER)
def test_a_broken_promise_that_the_ledger_tells_of_is_found(check: str, sound: Sound) -> None:
    database, entries = sound
    told = database, Entries(IN_THE_LEDGER[check](entries.lines))
    change = [_LEASE, entries.values("returned")[0]] if check == "returned lease still there" else []
    assert check in asyncio.run(_tampered(told, *change)).broken


@pytest.mark.parametrize("check", BOTH)
def test_what_a_service_did_without_reason_is_found(check: str, sound: Sound) -> None:
    run = next(line["id"] for line in sound[1].of_kind("begin") if line["worker"])
    assert check in asyncio.run(_tampered(sound, BOTH[check], run)).broken


def test_a_slot_that_is_not_free_is_found_by_behaviour(sound: Sound, workdir: Path) -> None:
    server = SempreServer(workdir, database=sound[0], env=ENVIRONMENT)
    server.start()
    try:
        sound[0].fetch("UPDATE concurrency_limit SET slot_limit = slot_limit - 1 WHERE name = 'storm-leases'")
        assert leaked_slots(server.api_url)
    finally:
        sound[0].fetch("UPDATE concurrency_limit SET slot_limit = slot_limit + 1 WHERE name = 'storm-leases'")
        server.stop()


async def _tampered(sound: Sound, change: str = "", *arguments: object) -> Report:
    """The report after a change, which is undone."""
    database, entries = sound
    connection = await asyncpg.connect(database.url)
    try:
        transaction = connection.transaction()
        await transaction.start()
        if change:
            await connection.execute(change, *arguments)
        report = await examine(connection, Entries(json.loads(json.dumps(entries.lines))))
        await transaction.rollback()
        return report
    finally:
        await connection.close()
