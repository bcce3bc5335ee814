"""SIGTERM on an API server: who notices what, and that nothing is lost on the way."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.lifecycle.conftest import Dial, an_event, locked, somebody_waits, wait_draining
from tests.support.database import Database
from tests.support.net import LOOPBACK
from tests.support.servers import SempreServer
from tests.support.wait import eventually

KINDS = (
    "/events/in",
    "/events/out",
    "/logs/out",
    "/task_runs/subscriptions/scheduled",
    "/work_pools/p/workers/connect",
)


@pytest.fixture
def stopping(database: Database, workdir: Path, request: pytest.FixtureRequest) -> Iterator[SempreServer]:
    env = {f"SEMPRE_SERVER_API_SHUTDOWN_{name}_SECONDS": value for name, value in request.param.items()}
    server = SempreServer(workdir, database=database, services=False, env=env, name=request.node.name.partition("[")[0])
    server.start()
    yield server
    server.stop()


with_drain = pytest.mark.parametrize("stopping", [{"DRAIN": "2"}], indirect=True)
at_once = pytest.mark.parametrize("stopping", [{"DRAIN": "0"}], indirect=True)
impatient = pytest.mark.parametrize("stopping", [{"GRACE": "1"}], indirect=True)


class InBackground(threading.Thread):
    """A request that waits."""

    def __init__(self, method: str, url: str, body: Any) -> None:
        super().__init__(daemon=True)
        self._asked = method, url, body
        self.answer: httpx.Response | None = None
        self.start()

    def run(self) -> None:
        method, url, body = self._asked
        self.answer = httpx.request(method, url, json=body, timeout=60)

    def end(self) -> httpx.Response:
        self.join(60)
        assert self.answer is not None
        return self.answer


@with_drain
def test_what_is_seen_of_a_stop(stopping: SempreServer, dial: Dial) -> None:
    api = stopping.api_url
    with httpx.Client(base_url=api) as kept:
        assert "connection" not in kept.post("/flows/filter", json={}).headers
        early = [dial(stopping).open(kind) for kind in KINDS]
        stopping.process.signal(signal.SIGTERM)
        wait_draining(stopping)
        answer = kept.post("/flows/filter", json={})
        assert (answer.status_code, answer.headers["connection"]) == (200, "close"), "served, and sent elsewhere"
        assert kept.get("/ready").status_code == 503
        assert kept.get("/health").status_code == 200
        late = [dial(stopping).open(kind) for kind in KINDS]
    for kind, each in zip(KINDS * 2, early + late, strict=True):
        assert each.hear_close() == 1012, kind
        each.answer_close()
        assert each.is_ended()
    assert stopping.process.wait(60) == 0


@at_once
@pytest.mark.parametrize("kind", ["/events/in", "/logs/out"])
def test_an_upgrade_that_comes_last_is_accepted_before_it_is_closed(
    stopping: SempreServer, dial: Dial, kind: str
) -> None:
    """Clients come back after a close, and lose what they hold after a refused upgrade."""
    holding = dial(stopping).open("/events/out")  # keeps the stop from being over before the upgrade comes
    connected = dial(stopping)
    stopping.process.signal(signal.SIGTERM)
    eventually(lambda: not _listens(stopping.port), "it listens no more", interval=0.01)
    assert connected.upgrade(kind).endswith("101 Switching Protocols")
    assert connected.hear_close() == 1012
    connected.answer_close()
    assert holding.hear_close() == 1012
    holding.answer_close()
    assert stopping.process.wait(60) == 0


def _listens(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), 1).close()
    except OSError:
        return False
    return True


@at_once
def test_what_clients_say_before_they_read_the_close_counts(
    stopping: SempreServer, dial: Dial, database: Database
) -> None:
    """A task run that was acknowledged in that moment is not offered again, and events of that moment are kept."""
    scheduled = {"type": "SCHEDULED", "state_details": {"deferred": True}}
    body = {"task_key": "acknowledged", "dynamic_key": "0", "state": scheduled}
    given = httpx.post(f"{stopping.api_url}/task_runs/", json=body).json()["id"]
    body = {"task_key": "unread", "dynamic_key": "0", "state": scheduled}
    httpx.post(f"{stopping.api_url}/task_runs/", json=body)
    workers = {}
    for key in ("acknowledged", "unread"):
        workers[key] = dial(stopping).open("/task_runs/subscriptions/scheduled")
        workers[key].say({"type": "subscribe", "keys": [key], "client_id": key})
        assert workers[key].hear()["task_key"] == key
    emitter = dial(stopping).open("/events/in")
    before, after = str(uuid4()), str(uuid4())
    emitter.say(an_event("before", before))
    stopping.process.signal(signal.SIGTERM)
    sockets = (emitter, *workers.values())
    assert [each.hear_close() for each in sockets] == [1012] * 3
    emitter.say(an_event("after", after))
    workers["acknowledged"].say({"type": "ack"})
    for each in sockets:
        each.answer_close()
    assert stopping.process.wait(60) == 0
    kept = database.fetch("SELECT id::text FROM event WHERE id = ANY($1::uuid[])", [before, after])
    assert {row["id"] for row in kept} == {before, after}
    queue = {row["task_key"]: row["claimed_by"] for row in database.fetch("SELECT * FROM background_task")}
    assert queue == {"unread": None}, f"{given} was taken, the other is free at once"


@impatient
def test_a_request_that_outlasts_the_grace_is_told_to_come_again(stopping: SempreServer, database: Database) -> None:
    with locked(database, "variable"):
        waiting = InBackground("POST", f"{stopping.api_url}/variables/", {"name": "slow", "value": 1})
        eventually(lambda: somebody_waits(database, "variable"), "the request has arrived")
        stopping.process.signal(signal.SIGTERM)
        answer = waiting.end()
        assert answer.status_code == 503
        assert float(answer.headers["retry-after"]) > 0
        assert answer.headers["prefect-maintenance"] == "true"
        assert stopping.process.wait(60) == 0
    assert database.fetch("SELECT FROM variable WHERE name = 'slow'") == []


@impatient
def test_a_client_that_never_answers_does_not_hold_the_stop(stopping: SempreServer, dial: Dial) -> None:
    dial(stopping).open("/events/out")
    dial(stopping)
    stopping.process.signal(signal.SIGTERM)
    assert stopping.process.wait(60) == 0


@pytest.mark.parametrize("stopping", [{"DRAIN": "600"}], indirect=True)
def test_a_second_signal_does_not_wait(stopping: SempreServer, dial: Dial) -> None:
    dial(stopping).open("/events/out")
    stopping.process.signal(signal.SIGTERM)
    wait_draining(stopping)

    def is_over() -> bool:
        stopping.process.signal(signal.SIGTERM)  # one in the same moment is the first one's echo
        return not stopping.process.running()

    eventually(is_over, "the end")
