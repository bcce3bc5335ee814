"""Whatever Postgres says that may pass: 503 with Retry-After or a repetition, and never half of a change."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from sempre.db.errors import ends_the_connection, is_transient, is_undone
from tests.support.database import Database
from tests.support.own_database import database
from tests.support.rooms import Rooms, rooms
from tests.support.scopes import until

__all__ = ["database", "rooms"]

# What the server says, with the statement undone: of these a statement of its own is repeated.
REPEATED = {
    "40001": "could not serialize access",
    "40P01": "deadlock detected",
    "25006": "cannot execute in a read-only transaction: the old primary",
}
REFUSED = {
    "08006": "connection failure",
    "25P03": "idle in transaction for too long",
    "25P04": "transaction timeout",
    "40003": "statement completion unknown",
    "53000": "insufficient resources",
    "53100": "disk full",
    "53200": "out of memory",
    "53300": "too many connections",
    "53400": "configuration limit exceeded",
    "55006": "object in use",
    "55P03": "lock not available",
    "57000": "operator intervention",
    "57014": "statement timeout",
    "57P01": "admin shutdown",
    "57P02": "crash shutdown",
    "57P03": "cannot connect now",
    "57P05": "idle session timeout",
    "58000": "system error",
    "58030": "input/output error",
}
PASSING = {**REPEATED, **REFUSED}
FINAL = ("22003", "22021", "23505", "42601", "42703", "42883", "XX000", "P0001")

# Sequences are outside of transactions: they count the attempts that were undone.
FAULTS = """
CREATE TABLE fault (code text NOT NULL, times int NOT NULL);
CREATE SEQUENCE attempts;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE planned fault;
BEGIN
    SELECT * INTO planned FROM fault;
    IF found AND nextval('attempts') <= planned.times THEN
        RAISE EXCEPTION 'made by the test' USING ERRCODE = planned.code;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fail BEFORE INSERT ON flow_run_state FOR EACH ROW EXECUTE FUNCTION fail();
CREATE TRIGGER fail BEFORE INSERT ON variable FOR EACH ROW EXECUTE FUNCTION fail();
"""


class Faulty:
    """A replica on a database that fails when told to."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self.db = rooms.scope.db

    async def plan(self, code: str, times: int) -> None:
        await self.db.execute("DELETE FROM fault")
        await self.db.execute("ALTER SEQUENCE attempts RESTART")
        if times:
            await self.db.execute("INSERT INTO fault VALUES ($1, $2)", code, times)

    async def attempts(self) -> int:
        return int(await self.db.fetchval("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM attempts"))

    async def send(self, path: str, body: Any) -> httpx.Response:
        return await self.rooms.http.post(f"/api{path}", json=body)


@pytest.fixture
async def faulty(rooms: Rooms) -> Faulty:
    await rooms.scope.db.execute(FAULTS)
    return Faulty(rooms)


def refused(answer: httpx.Response) -> bool:
    return answer.status_code == 503 and float(answer.headers["Retry-After"]) > 0


def error(code: str) -> asyncpg.PostgresError:
    return asyncpg.PostgresError.new({"C": code, "M": "made by the test"})


@pytest.mark.parametrize("code", PASSING)
def test_what_passes(code: str) -> None:
    assert is_transient(error(code)), PASSING[code]
    assert is_undone(error(code)) is (code in REPEATED)


@pytest.mark.parametrize("code", FINAL)
def test_what_does_not(code: str) -> None:
    assert not is_transient(error(code))
    assert not is_undone(error(code))
    assert not ends_the_connection(error(code))


async def test_a_transition_that_fails_leaves_no_trace_and_can_be_sent_again(faulty: Faulty) -> None:
    flow = await faulty.rooms.post("/flows/", {"name": f"flow-{uuid4()}"}, 201)
    for code in PASSING:
        await faulty.plan(code, 0)
        run = await faulty.rooms.post("/flow_runs/", {"flow_id": flow["id"], "state": {"type": "PENDING"}}, 201)
        before = await _all_of(faulty, run["id"])
        body = {"state": {"type": "RUNNING", "state_details": {"transition_id": str(uuid4())}}}
        await faulty.plan(code, 1000)
        assert refused(await faulty.send(f"/flow_runs/{run['id']}/set_state", body)), code
        # A transition is one statement: what was undone is repeated at once, a few times.
        assert await faulty.attempts() == (4 if code in REPEATED else 1), code
        assert await _all_of(faulty, run["id"]) == before, code
        await faulty.plan(code, 0)
        answer = await faulty.send(f"/flow_runs/{run['id']}/set_state", body)
        assert (answer.status_code, answer.json()["status"]) == (201, "ACCEPT"), code


@pytest.mark.parametrize("code", REPEATED)
async def test_what_passes_at_once_is_not_noticed(faulty: Faulty, code: str) -> None:
    flow = await faulty.rooms.post("/flows/", {"name": f"flow-{uuid4()}"}, 201)
    run = await faulty.rooms.post("/flow_runs/", {"flow_id": flow["id"], "state": {"type": "PENDING"}}, 201)
    await faulty.plan(code, 2)
    answer = await faulty.send(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "RUNNING"}})
    assert (answer.status_code, answer.json()["status"]) == (201, "ACCEPT")
    assert await faulty.attempts() == 3
    states = await faulty.rooms.get(f"/flow_run_states/?flow_run_id={run['id']}")
    assert [state["type"] for state in states] == ["PENDING", "RUNNING"]


async def test_a_transaction_of_several_statements_fails_whole(faulty: Faulty) -> None:
    for code in PASSING:
        await faulty.plan(code, 1000)
        body = {"name": f"v-{code.lower()}", "value": 1}
        assert refused(await faulty.send("/variables/", body)), code
        assert await faulty.attempts() == 1
        assert (await faulty.rooms.http.get(f"/api/variables/name/{body['name']}")).status_code == 404, code
        await faulty.plan(code, 0)
        assert (await faulty.send("/variables/", body)).status_code == 201, code


async def test_what_is_final_stays_a_defect(faulty: Faulty) -> None:
    """A wrong statement is not "try again": clients would do so for ever, and nobody would hear of it."""
    await faulty.plan("XX000", 1000)
    with pytest.raises(asyncpg.InternalServerError):  # 500, which this transport raises
        await faulty.send("/variables/", {"name": "broken", "value": 1})
    assert await faulty.attempts() == 1


async def _all_of(faulty: Faulty, run_id: str) -> tuple[Any, ...]:
    """The run, its history and its events: everything that a transition writes."""
    query = "SELECT r.*, s.* FROM flow_run r JOIN flow_run_state s ON s.flow_run_id = r.id WHERE r.id = $1::uuid"
    rows = await faulty.db.fetch(query, run_id)
    events = await faulty.rooms.events(f"prefect.flow-run.{run_id}")
    return [dict(row) for row in rows], events


async def test_a_real_deadlock_is_repeated(rooms: Rooms, database: Database) -> None:
    db = rooms.scope.db
    await db.execute("CREATE TABLE pair (number int PRIMARY KEY, changes int NOT NULL)")
    await db.execute("INSERT INTO pair VALUES (1, 0), (2, 0)")
    other = await asyncpg.connect(database.url)
    try:
        # Ours is the one that waits for a second and is chosen; the other one waits longer.
        await other.execute("SET deadlock_timeout = '60s'")
        transaction = other.transaction()
        await transaction.start()
        await other.execute("UPDATE pair SET changes = changes + 1 WHERE number = 2")
        ours = asyncio.create_task(
            db.execute(
                "WITH one AS (UPDATE pair SET changes = changes + 1 WHERE number = 1 RETURNING number) "
                "UPDATE pair SET changes = pair.changes + 1 FROM one WHERE pair.number = one.number + 1"
            )
        )
        blocked = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
        await until(lambda: db.fetchval(blocked), "ours waits for the other")
        theirs = asyncio.create_task(other.execute("UPDATE pair SET changes = changes + 1 WHERE number = 1"))
        await theirs
        await transaction.commit()
        await ours
    finally:
        await other.close()
    assert [row["changes"] for row in await db.fetch("SELECT changes FROM pair ORDER BY number")] == [2, 2]
