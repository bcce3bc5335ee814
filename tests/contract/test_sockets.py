"""Frames that break the protocol of the websockets: each connection ends as the protocol says, and the server lives."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from sempre.server.runtime import Runtime
from tests.contract.fuzz import SEED
from tests.integration.work_pools.channel_client import serving
from tests.support.database import Database
from tests.support.rooms import Rooms, open_rooms

AUTH = '{"type": "auth", "token": null}'
FEEDS = ["/events/out", "/logs/out"]
PATHS = [*FEEDS, "/events/in", "/task_runs/subscriptions/scheduled", "/work_pools/p/workers/connect"]
ENDS = {1000, 1002, 1003, 1007, 1008, 1009, 1011}  # 1006 is a connection that broke
DEEP = "[" * 100_000 + "]" * 100_000
MALFORMED: list[str | bytes] = [
    "", " ", "{", "null", "7", '"text"', "[]", "{}", b"\xff\xfe", b"\x00" * 100, "\x00", DEEP, '{"type": ' + DEEP + "}",
    '{"type": null}', '{"type": 7}', '{"type": ["auth"]}', '{"type": "\\ud800"}', '{"type": "auth", "type": "nope"}',
    '{"type": "nope", "payload": {}}', '{"type": "filter"}', "{'type': 'auth'}", '{"type": "auth"} {"type": "auth"}',
    '{"type": NaN}', "\ufeff" + AUTH,
]  # fmt: skip
MANY = [f"n{number}" for number in range(10_001)]
WRONG: list[Any] = [
    None, 0, -1, 2**63, 10**30, 1.5, True, "", "\x00", "x" * 70_000, [], {}, [None], {"a": None}, {"": {}}, [[]],
    MANY, {name: name for name in MANY}, "not-a-uuid", str(uuid4()),
    "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
]  # fmt: skip
FILTERS: dict[str, dict[str, Any]] = {
    "/events/out": {
        "occurred": {"since": "2026-01-01T00:00:00Z"}, "event": {"prefix": ["x"], "name": ["x"]},
        "resource": {"id": ["x"], "labels": {"a": "b"}}, "related": [{"id": ["x"], "role": ["y"]}],
        "any_resource": {"id_prefix": ["x"]}, "id": {"id": []}, "text": {"query": "x"}, "order": "ASC",
    },
    "/logs/out": {
        "level": {"ge_": 0, "le_": 50}, "timestamp": {"before_": "2030-01-01T00:00:00Z"},
        "flow_run_id": {"any_": []}, "task_run_id": {"any_": [], "is_null_": True}, "text": {"query": "x"},
    },
}  # fmt: skip


@pytest.fixture
async def rooms(database: Database) -> AsyncIterator[Rooms]:
    async with open_rooms(database) as opened:
        runtime = opened.app.state.runtime = Runtime(opened.scope)
        await runtime.start()
        opened.scope.doorbell.start()
        await opened.http.post("/api/work_pools/", json={"name": "p", "type": "process"})
        yield opened
        await runtime.stop()
        await opened.scope.doorbell.stop()


@pytest.fixture
async def url(rooms: Rooms, caplog: pytest.LogCaptureFixture) -> AsyncIterator[str]:
    """The address of a server. No connection may have ended by an exception that nobody expected."""
    with caplog.at_level(logging.ERROR):
        async with serving(rooms.app) as served:
            yield served
            await _check_still_serves(served)
    failures = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert not failures, failures[:3]


def _open(address: str, *, compression: str | None = None) -> connect:
    return connect(address, subprotocols=[Subprotocol("prefect")], compression=compression, max_size=None)


async def _talk(address: str, *messages: str | bytes, answers: int = 0) -> tuple[int | None, list[Any]]:
    """The code the server closed with, None where it did not, and what it had said before; at least ``answers``."""
    said: list[Any] = []
    async with _open(address) as socket:
        try:
            for message in messages:
                await socket.send(message)
            # Whoever is still there answers a ping after everything sent before it.
            pong = await socket.ping()
            async with asyncio.timeout(60):
                await pong
                while True:
                    async with asyncio.timeout(0.05 if len(said) >= answers else 60):
                        said.append(await socket.recv())
        except TimeoutError:
            return None, said
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006, said


async def _check_still_serves(url: str) -> None:
    for path in FEEDS:
        code, said = await _talk(url + path, AUTH, '{"type": "filter", "filter": {}}', answers=1)
        assert code is None
        assert json.loads(said[0]) == {"type": "auth_success"}


@pytest.mark.parametrize("path", PATHS)
async def test_frames_that_are_no_messages(url: str, path: str) -> None:
    for message in MALFORMED:
        if path != "/events/in":
            first, _ = await _talk(url + path, message)
            assert first in (1002, 1007, 1008), (message[:40], first)
        second, _ = await _talk(url + path, AUTH, message)
        expected = {None} if path == "/events/in" else ENDS
        assert second in expected, (message[:40], second)


@pytest.mark.parametrize("path", FEEDS)
async def test_filters_with_something_wrong_in_each_place(url: str, path: str) -> None:
    """Each is refused by 1002 with a reason, or understood."""
    choose = random.Random(SEED)
    ends = set()
    for member, right in FILTERS[path].items():
        places: list[str | None] = [None, *(right if isinstance(right, dict) else ())]
        for place in places:
            for wrong in choose.sample(WRONG, 21):
                value = wrong if place is None else {**right, place: wrong}
                message = json.dumps({"type": "filter", "filter": {**FILTERS[path], member: value}})
                code, _ = await _talk(url + path, AUTH, message)
                assert code in (None, 1002), (member, place, str(wrong)[:40], code)
                ends.add(code)
    for wrong in (None, 7, "x", [], {"nope": 1}):
        code, _ = await _talk(url + path, AUTH, json.dumps({"type": "filter", "filter": wrong}))
        assert code in (None, 1002)
    assert ends == {None, 1002}


async def test_events_that_are_none_cost_nothing_but_themselves(url: str, rooms: Rooms) -> None:
    event = {
        "id": str(uuid4()), "occurred": datetime.now(UTC).isoformat(), "event": "good", "payload": {}, "related": [],
        "resource": {"prefect.resource.id": "r"},
    }  # fmt: skip
    messages: list[str | bytes] = [*MALFORMED]
    for key in event:
        messages.extend(json.dumps({**event, "event": "bad", "id": str(uuid4()), key: wrong}) for wrong in WRONG)
    messages.append(json.dumps({**event, "event": "".join(random.Random(1).choices("abcdefghij" * 9, k=6_000))}))
    random.Random(SEED).shuffle(messages)
    code, _ = await _talk(url + "/events/in", AUTH, *messages, json.dumps(event))
    assert code is None
    stored = await rooms.scope.db.fetchval("SELECT count(*) FROM event WHERE event = 'good'")
    assert stored == 1


async def test_subscriptions_of_task_workers(url: str) -> None:
    path = url + "/task_runs/subscriptions/scheduled"
    for wrong in WRONG:
        for message in (
            {"type": "subscribe", "keys": wrong, "client_id": "c"},
            {"type": "subscribe", "keys": [wrong], "client_id": "c"},
            {"type": "subscribe", "keys": ["k"], "client_id": wrong},
            {"type": wrong, "keys": ["k"], "client_id": "c"},
        ):
            code, _ = await _talk(path, AUTH, json.dumps(message))
            assert code in (None, 1008), (str(message)[:60], code)


def _frame(payload: Any, changes: dict[str, Any] | None = None) -> str:
    now = datetime.now(UTC).isoformat()
    frame = {"type": "worker.hello.v1", "id": str(uuid4()), "sent_at": now, "payload": payload}
    return json.dumps({**frame, **(changes or {})})


async def test_worker_channels(url: str) -> None:
    path = url + "/work_pools/p/workers/connect"
    hello = {
        "consumer_id": str(uuid4()), "worker_name": "w", "worker_type": "process", "heartbeat_interval_seconds": 30,
        "supported_channel_versions": ["work_pool_worker_channel.v1"],
        "requested_capabilities": ["worker_heartbeat.v1", "work_pool_snapshot.v1"],
        "work_queue_names": ["default"], "worker_metadata": {"a": 1}, "default_base_job_template": {},
    }  # fmt: skip
    code, said = await _talk(path, AUTH, _frame(hello), answers=2)
    assert (code, json.loads(said[1])["type"]) == (None, "worker.ready.v1")
    for place in hello:
        for wrong in WRONG:
            code, _ = await _talk(path, AUTH, _frame({**hello, place: wrong}))
            assert code in (None, 1002, 1008), (place, str(wrong)[:40], code)
    for envelope in ("id", "sent_at", "payload", "type"):
        for wrong in WRONG[:12]:
            code, _ = await _talk(path, AUTH, _frame(hello), _frame({}, {envelope: wrong}))
            assert code == 1002, (envelope, str(wrong)[:40], code)


async def test_silence_and_sudden_ends(url: str) -> None:
    """Connections that break at every point of the conversation leave nothing behind that fails."""
    sockets: list[ClientConnection] = []
    for path in PATHS:
        for messages in ((), (AUTH,), (AUTH, '{"type": "filter", "filter": {}}')):
            socket = await _open(url + path)
            sockets.append(socket)
            for message in messages:
                await socket.send(message)
    for socket in sockets:
        socket.transport.abort()
    await asyncio.gather(*(socket.wait_closed() for socket in sockets))
    codes = {socket.close_code for socket in sockets}
    assert 1006 in codes, "they broke off"
    assert codes <= {1006, 1008}, "where they had not been refused before"
    await _check_still_serves(url)
