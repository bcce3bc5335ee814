"""Taking events in, over HTTP and over the websocket."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import orjson
import pytest
import websockets

from sempre.db.errors import DatabaseUnavailable
from sempre.schemas.events import Event
from sempre.server.events.append import encode
from sempre.server.events.writer import EventWriter
from sempre.server.ids import new_id
from sempre.server.scope import DEFAULT_WORKSPACE, Scope
from tests.support.database import Database, Postgres
from tests.support.events import Live, an_event, serving
from tests.support.scopes import until

RELATED = {"prefect.resource.id": "r", "prefect.resource.role": "x"}


async def stored(scope: Scope, *ids: str) -> int:
    return int(await scope.db.fetchval("SELECT count(*) FROM event WHERE id = ANY($1)", list(ids)))


async def test_an_event_is_stored_as_it_was_sent(live: Live) -> None:
    sent = an_event(
        occurred="2026-11-02T03:04:05+01:00",
        resource={"prefect.resource.id": "a", "é": "ü"},
        related=[RELATED],
        payload={"big": 2**63, "list": [1, None, {"x": "y"}]},
        follows=str(new_id()),
        unknown="ignored",
        received="1999-01-01T00:00:00Z",
    )
    assert (await live.post("/events", [sent])).status_code == 204
    found = (await live.post("/events/filter", {"filter": {"id": {"id": [sent["id"]]}}})).json()
    [event] = found["events"]
    assert list(event) == ["occurred", "event", "resource", "related", "payload", "id", "follows", "received"]
    assert event["occurred"] == "2026-11-02T02:04:05Z"
    assert event["received"] > "2026"
    assert {k: event[k] for k in ("event", "resource", "related", "id", "follows")} == {
        k: sent[k] for k in ("event", "resource", "related", "id", "follows")
    }
    assert event["payload"] == sent["payload"]


async def test_repeats_are_absorbed_by_id(live: Live) -> None:
    event = an_event()
    await live.post("/events", [event, event])
    await live.post("/events", [event, {**event, "occurred": "2026-11-01T00:00:00Z"}])
    assert await stored(live.scope, event["id"]) == 1


async def test_an_empty_list_is_fine(live: Live) -> None:
    assert (await live.post("/events", [])).status_code == 204


@pytest.mark.parametrize(
    ("change", "location", "message"),
    [
        ({"resource": {}}, ["body", 1, "resource"], "Resources must include the prefect.resource.id label"),
        ({"resource": {"prefect.resource.id": ""}}, ["body", 1, "resource"],
         "The prefect.resource.id label must be non-empty"),
        ({"resource": {"prefect.resource.id": "a", **{str(n): "" for n in range(500)}}}, ["body", 1, "resource"],
         "The maximum number of labels per resource is 500"),
        ({"related": [{"prefect.resource.id": "a"}]}, ["body", 1, "related", 0],
         "Related Resources must include the prefect.resource.role label"),
        ({"related": [{"prefect.resource.id": "a", "prefect.resource.role": ""}]}, ["body", 1, "related", 0],
         "The prefect.resource.role label must be non-empty"),
        ({"related": [RELATED] * 101}, ["body", 1, "related"], "The maximum number of related resources is 100"),
        ({"name": "x" * 1025}, ["body", 1, "event"], "Event name must be at most 1024 characters"),
        ({"related": None}, ["body", 1, "related"], None),
        ({"payload": []}, ["body", 1, "payload"], None),
        ({"id": None}, ["body", 1, "id"], None),
    ],
)  # fmt: skip
async def test_one_bad_event_refuses_all(live: Live, change: Any, location: list[Any], message: str | None) -> None:
    good = an_event()
    answer = await live.post("/events", [good, an_event(**change)])
    assert answer.status_code == 422
    detail = answer.json()["exception_detail"][0]
    assert detail["loc"] == location
    assert message is None or detail["msg"] == f"Value error, {message}"
    assert await stored(live.scope, good["id"]) == 0


async def test_an_oversize_event_is_dropped_alone(live: Live) -> None:
    big, small = an_event(payload={"x": "y" * 1_600_000}), an_event()
    assert (await live.post("/events", [big, small])).status_code == 204
    assert await stored(live.scope, big["id"]) == 0
    assert await stored(live.scope, small["id"]) == 1


async def test_a_nul_character_does_not_cost_the_event(live: Live) -> None:
    event = an_event("with\x00nul", payload={"a\x00": ["b\x00"], "keep": "\\u0000"})
    assert (await live.post("/events", [event])).status_code == 204
    payload = await live.scope.db.fetchval("SELECT payload FROM event WHERE id = $1", event["id"])
    assert payload == {"a": ["b"], "keep": "\\u0000"}


async def test_a_pong_means_durable(live: Live, database: Database) -> None:
    blocker = await asyncpg.connect(database.url)
    event = an_event()
    async with live.authenticated("/events/in") as socket:
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE event IN SHARE MODE")
            await socket.send(orjson.dumps(event).decode())
            pong = asyncio.ensure_future(await socket.ping())
            await until(lambda: is_waiting_for_a_lock(live.scope), "the append waits for the lock")
            assert not pong.done()
        await asyncio.wait_for(pong, 60)
        assert await stored(live.scope, event["id"]) == 1
    await blocker.close()


async def is_waiting_for_a_lock(scope: Scope) -> bool:
    return bool(await scope.db.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))


async def test_pings_before_and_between_events_are_answered(live: Live) -> None:
    async with live.connect("/events/in") as socket:
        await asyncio.wait_for(await socket.ping(), 60)
        await socket.send('{"type":"auth","token":null}')
        await socket.recv()
        for _ in range(3):
            events = [an_event() for _ in range(50)]
            for event in events:
                await socket.send(orjson.dumps(event).decode())
            await asyncio.wait_for(await socket.ping(b"same"), 60)
            assert await stored(live.scope, *(event["id"] for event in events)) == 50


async def test_a_poison_message_leaves_the_socket_open(live: Live) -> None:
    good = an_event()
    async with live.authenticated("/events/in") as socket:
        for poison in ("nonsense", "[]", b"\x00\xff", orjson.dumps({**an_event(), "id": "x"}).decode()):
            await socket.send(poison)
        await socket.send(orjson.dumps(good).decode())
        await asyncio.wait_for(await socket.ping(), 60)
    assert await stored(live.scope, good["id"]) == 1


async def test_an_event_the_database_refuses_is_left_out_alone(live: Live) -> None:
    await live.scope.db.execute("ALTER TABLE event ADD CONSTRAINT no_poison CHECK (event <> 'poison')")
    events = [an_event("poison" if n == 70 else "fine") for n in range(200)]
    async with live.authenticated("/events/in") as socket:
        for event in events:
            await socket.send(orjson.dumps(event).decode())
        await asyncio.wait_for(await socket.ping(), 60)
    assert await stored(live.scope, *(event["id"] for event in events)) == 199
    assert live.runtime.events.quarantined == 1


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ({"type": "other"}, "Expected 'auth' message"),
        ("nonsense", "Expected 'auth' message"),
        ({"type": "auth", "token": None}, "Auth required but no token provided"),
        ({"type": "auth", "token": ""}, "Auth required but no token provided"),
        ({"type": "auth"}, "Auth required but no token provided"),
        ({"type": "auth", "token": "admin:wrong"}, "Invalid token"),
    ],
)
async def test_the_handshake_refuses(database: Database, first: Any, reason: str) -> None:
    async with serving(database, {"SEMPRE_SERVER_API_AUTH_STRING": "admin:pass"}) as live:
        for path in ("/events/in", "/events/out", "/logs/out"):
            async with live.connect(path) as socket:
                await socket.send(first if isinstance(first, str) else orjson.dumps(first).decode())
                with pytest.raises(websockets.ConnectionClosed):
                    await socket.recv()
                assert (socket.close_code, socket.close_reason) == (1008, reason)


async def test_the_handshake_accepts(database: Database, live: Live) -> None:
    async with live.connect("/events/in", subprotocol=None) as socket:  # the old way: the first message is an event
        event = an_event()
        await socket.send(orjson.dumps(event).decode())
        await asyncio.wait_for(await socket.ping(), 60)
        assert await stored(live.scope, event["id"]) == 1
    async with live.authenticated("/events/in", token="whatever") as socket:
        assert socket.subprotocol == "prefect"
    async with serving(database, {"SEMPRE_SERVER_API_AUTH_STRING": "admin:pass"}) as guarded:
        async with guarded.authenticated("/events/in", token="admin:pass"):
            pass
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with guarded.connect("/events/in", subprotocol=None):
                pass
        assert refused.value.response.status_code == 403


async def test_a_stop_says_come_back(database: Database) -> None:
    async with serving(database) as live:
        socket = await live.connect("/events/out")
        await socket.send('{"type":"auth","token":null}')
        await socket.recv()
    with pytest.raises(websockets.ConnectionClosed):
        await socket.recv()
    assert socket.close_code == 1012


async def test_an_outage_refuses_requests_and_keeps_what_sockets_sent(
    live: Live, database: Database, postgres: Postgres
) -> None:
    admin = await asyncpg.connect(Database("postgres", database.socket_dir).url)
    event = an_event()
    async with live.authenticated("/events/in") as socket:
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database.name)
        await admin.execute(f'ALTER DATABASE "{database.name}" RENAME TO "{database.name}_away"')
        await socket.send(orjson.dumps(event).decode())
        pong = asyncio.ensure_future(await socket.ping())
        answer = await live.post("/events", [an_event()])
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert not pong.done()
        await admin.execute(f'ALTER DATABASE "{database.name}_away" RENAME TO "{database.name}"')
        await asyncio.wait_for(pong, 60)
        assert await stored(live.scope, event["id"]) == 1
        assert (await live.post("/events", [an_event()])).status_code == 204
    await admin.close()


async def test_a_full_writer_refuses_requests(database: Database) -> None:
    async with serving(database, {"SEMPRE_SERVER_SERVICES_EVENT_PERSISTER_QUEUE_MAX_SIZE": "1"}) as live:
        blocker = await asyncpg.connect(database.url)
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE event IN SHARE MODE")
            first = asyncio.create_task(live.post("/events", [an_event()]))
            await until(lambda: is_waiting_for_a_lock(live.scope), "the append waits for the lock")
            assert (await live.post("/events", [an_event()])).status_code == 503
        assert (await first).status_code == 204
        await blocker.close()


async def test_a_stopped_writer_wrote_what_it_had(scope: Scope) -> None:
    writer = EventWriter(scope.db, scope.doorbell, scope.settings.services.event_persister)
    writer.start()
    event = encode(Event.model_validate(an_event()), DEFAULT_WORKSPACE, 10_000)
    assert event is not None
    await writer.put(event)
    await writer.stop()
    assert await stored(scope, str(event.id)) == 1
    with pytest.raises(DatabaseUnavailable):
        await writer.put(event)
