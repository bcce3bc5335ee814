"""A request that would wait longer than its deadline is given up whole, and the client that comes again finds out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from sempre.server.deadline import DeadlineMiddleware
from tests.conftest import _migrated
from tests.support.database import Database
from tests.support.rooms import Rooms, open_rooms, rooms
from tests.support.scopes import until
from tests.support.standby import Primary

__all__ = ["rooms"]

SECONDS = 0.7
LONG = 300  # what a request would wait for without its deadline
SOON = 60.0
ENVIRONMENT = {
    "SEMPRE_SERVER_API_REQUEST_DEADLINE_SECONDS": str(SECONDS),
    "SEMPRE_SERVER_DATABASE_STATEMENT_TIMEOUT_SECONDS": str(LONG),
    "SEMPRE_SERVER_DATABASE_CONNECT_TIMEOUT_SECONDS": str(LONG),
}


@pytest.fixture(scope="module")
def primary() -> Iterator[Primary]:
    node = Primary().start()
    yield node
    node.remove()


@pytest.fixture(scope="module")
def own(primary: Primary, workdir: Path) -> Database:
    """A database on a server that may be frozen."""
    return _migrated(primary, workdir / "migration-home")


@pytest.fixture
async def hasty(own: Database) -> AsyncIterator[Rooms]:
    async with open_rooms(own, ENVIRONMENT) as opened:
        yield opened


async def pending(rooms: Rooms) -> str:
    flow = await rooms.post("/flows/", {"name": f"flow-{uuid4()}"}, 201)
    run = await rooms.post("/flow_runs/", {"flow_id": flow["id"], "state": {"type": "PENDING"}}, 201)
    return str(run["id"])


def running() -> dict[str, Any]:
    return {"state": {"type": "RUNNING", "state_details": {"transition_id": str(uuid4())}}}


def given_up(answer: httpx.Response) -> bool:
    return answer.status_code == 503 and float(answer.headers["Retry-After"]) > 0


def done_already(outcome: dict[str, Any], body: dict[str, Any]) -> bool:
    """How the protocol says it: a rejection with the very state that was proposed, which the client adopts."""
    id = outcome["state"]["state_details"]["transition_id"]
    assert outcome["details"]["reason"] == "This run has already made this state transition."
    return bool(outcome["status"] == "REJECT" and id == body["state"]["state_details"]["transition_id"])


async def history(rooms: Rooms, run_id: str) -> list[str]:
    """States of the run; the run's own columns and its events tell the same, or this fails."""
    states = [state["type"] for state in await rooms.get(f"/flow_run_states/?flow_run_id={run_id}")]
    run = await rooms.get(f"/flow_runs/{run_id}")
    events = [event["event"] for event in await rooms.events(f"prefect.flow-run.{run_id}")]
    assert run["state_type"] == states[-1]
    assert [name.rpartition(".")[2].upper() for name in events] == states
    return states


async def test_a_request_that_waits_for_a_lock_is_given_up_and_its_statement_cancelled(
    hasty: Rooms, own: Database
) -> None:
    run = await pending(hasty)
    body = running()
    blocker = await asyncpg.connect(own.url)
    try:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("SELECT FROM flow_run WHERE id = $1 FOR UPDATE", run)
        began = time.monotonic()
        assert given_up(await hasty.http.post(f"/api/flow_runs/{run}/set_state", json=body))
        assert SECONDS <= time.monotonic() - began < SOON
        waiting = "SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        await until(lambda: blocker.fetchval(waiting), "nobody waits for the lock any more")
        await transaction.rollback()
    finally:
        await blocker.close()
    assert await history(hasty, run) == ["PENDING"]
    assert (await hasty.post(f"/flow_runs/{run}/set_state", body, 201))["status"] == "ACCEPT"
    assert await history(hasty, run) == ["PENDING", "RUNNING"]


async def test_a_commit_that_hangs_is_found_by_whoever_comes_again(hasty: Rooms, primary: Primary) -> None:
    """Commits wait for a standby that is not there. What is given up then has happened, though nobody was told."""
    runs = [await pending(hasty) for _ in range(6)]
    bodies = [running() for _ in runs]
    key = {"flow_id": (await hasty.get(f"/flow_runs/{runs[0]}"))["flow_id"], "idempotency_key": str(uuid4())}
    await asyncio.to_thread(primary.synchronous, True)
    try:
        began = time.monotonic()
        transitions = [(f"/flow_runs/{run}/set_state", body) for run, body in zip(runs, bodies, strict=True)]
        creations = [("/flow_runs/", key), ("/variables/", {"name": "hung", "value": 1})]
        answers = await asyncio.gather(
            *(hasty.http.post(f"/api{path}", json=body) for path, body in [*transitions, *creations])
        )
        assert all(given_up(answer) for answer in answers)
        assert time.monotonic() - began < SOON
    finally:
        await asyncio.to_thread(_no_standby, primary)
    for run, body in zip(runs, bodies, strict=True):
        assert done_already(await hasty.post(f"/flow_runs/{run}/set_state", body), body)
        assert await history(hasty, run) == ["PENDING", "RUNNING"]
    made = await hasty.post("/flow_runs/", key, status=200)
    assert await hasty.post("/flow_runs/filter", {"flow_runs": {"idempotency_key": {"any_": [key["idempotency_key"]]}}})
    assert len(await history(hasty, made["id"])) == 1


def _no_standby(primary: Primary) -> None:
    primary.synchronous(False)


async def test_nothing_is_half_done_after_the_server_froze_under_load(hasty: Rooms, primary: Primary) -> None:
    runs = [await pending(hasty) for _ in range(24)]
    bodies = [running() for _ in runs]
    sent = [
        asyncio.create_task(hasty.http.post(f"/api/flow_runs/{run}/set_state", json=body))
        for run, body in zip(runs, bodies, strict=True)
    ]
    await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
    primary.pause()
    try:
        began = time.monotonic()
        answers = await asyncio.gather(*sent)
        assert time.monotonic() - began < SOON
    finally:
        primary.resume()
    assert any(given_up(answer) for answer in answers)
    for run, body, answer in zip(runs, bodies, answers, strict=True):
        if not given_up(answer):
            assert answer.json()["status"] == "ACCEPT"

        async def accepted(run: str = run, body: dict[str, Any] = body) -> bool:
            again = await hasty.http.post(f"/api/flow_runs/{run}/set_state", json=body)
            if given_up(again):
                return False
            assert again.json()["status"] == "ACCEPT" or done_already(again.json(), body)
            return True

        await until(accepted, "the client's repetition is answered")
        assert await history(hasty, run) == ["PENDING", "RUNNING"]


async def test_an_answer_that_has_begun_may_take_its_time() -> None:
    """Downloads: the client decides how fast it reads."""
    sent: list[Message] = []
    late = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        asyncio.get_running_loop().call_later(0.2, late.set)
        await late.wait()
        await send({"type": "http.response.body", "body": b"all"})

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    await DeadlineMiddleware(app, seconds=0.05)({"type": "http"}, receive, send)
    assert [message.get("status", message.get("body")) for message in sent] == [200, b"all"]


async def test_websockets_have_no_deadline_and_other_cancellations_are_not_answered() -> None:
    late = asyncio.Event()
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await late.wait()

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    bounded = DeadlineMiddleware(app, seconds=0.05)
    socket = asyncio.create_task(bounded({"type": "websocket"}, receive, send))
    asyncio.get_running_loop().call_later(0.2, late.set)
    await socket
    late.clear()
    request = asyncio.create_task(DeadlineMiddleware(app, seconds=60)({"type": "http"}, receive, send))
    await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert sent == []
