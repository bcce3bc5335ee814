"""The websocket out: the past, then the present, nothing twice and nothing missing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest
import websockets

from sempre.server.ids import new_id
from sempre.server.scope import DEFAULT_WORKSPACE
from tests.support.database import Database
from tests.support.events import Json, Live, an_event, serving
from tests.support.scopes import until

FUTURE = (datetime.now(UTC) + timedelta(days=365)).isoformat()


def live_filter(**criteria: Any) -> Json:
    """As clients send it."""
    since = (datetime.now(UTC) - timedelta(seconds=60)).isoformat()
    return {"occurred": {"since": since, "until": FUTURE}, "id": {"id": []}, "order": "DESC", **criteria}


async def ask(socket: websockets.ClientConnection, filter: Any, **more: Any) -> None:
    await socket.send(orjson.dumps({"type": "filter", "filter": filter, **more}).decode())


async def receive(socket: websockets.ClientConnection, count: int) -> list[Json]:
    messages = [orjson.loads(await asyncio.wait_for(socket.recv(), 60)) for _ in range(count)]
    assert all(set(message) == {"type", "event"} and message["type"] == "event" for message in messages)
    return [message["event"] for message in messages]


def ids(events: list[Json]) -> list[str]:
    return [event["id"] for event in events]


async def test_backfill_then_live(live: Live) -> None:
    past = [an_event() for _ in range(3)]
    await live.post("/events", past)
    async with live.authenticated("/events/out") as socket:
        await ask(socket, live_filter())
        assert ids(await receive(socket, 3)) == ids(past)
        now = an_event(related=[{"prefect.resource.id": "r", "prefect.resource.role": "x"}], payload={"a": 1})
        await live.post("/events", [now])
        [event] = await receive(socket, 1)
        assert list(event) == ["occurred", "event", "resource", "related", "payload", "id", "follows", "received"]
        assert {k: event[k] for k in ("id", "related", "payload")} == {k: now[k] for k in ("id", "related", "payload")}


async def test_neither_gap_nor_repeat_while_events_pour_in(live: Live) -> None:
    sent: list[str] = []
    stop = False

    async def pour() -> None:
        while not stop:
            events = [an_event() for _ in range(20)]
            await live.post("/events", events)
            sent.extend(ids(events))

    pouring = asyncio.create_task(pour())
    await until(lambda: len(sent) > 600, "some past to backfill in pages")

    async def subscriber() -> list[str]:
        nonlocal stop
        async with live.authenticated("/events/out") as socket:
            await ask(socket, live_filter())
            got = ids(await receive(socket, len(sent) + 300))
            stop = True
            await pouring
            while len(got) < len(sent):
                got.extend(ids(await receive(socket, 1)))
            return got

    for got in await asyncio.gather(subscriber(), subscriber(), subscriber()):
        assert len(got) == len(set(got)) == len(sent)
        assert set(got) == set(sent)


async def test_without_backfill_only_the_present(live: Live) -> None:
    await live.post("/events", [an_event()])
    async with live.authenticated("/events/out") as socket:
        await ask(socket, live_filter(), backfill=False)
        await until(lambda: live.runtime.event_tail._subscriptions, "the subscription is in place")
        await until(lambda: live.runtime.event_tail._started.done(), "the tail is in place")  # type: ignore[union-attr]
        event = an_event()
        await live.post("/events", [event])
        assert ids(await receive(socket, 1)) == [event["id"]]


async def test_live_events_are_filtered_like_stored_ones(live: Live) -> None:
    related = [{"prefect.resource.id": "prefect.flow-run.1", "prefect.resource.role": "flow-run"}]
    async with live.authenticated("/events/out") as socket:
        await ask(socket, live_filter(event={"prefix": ["x."]}, related={"id": ["prefect.flow-run.1"]}))
        await live.post("/events", [an_event("x.a")])
        await live.post("/events", [an_event("y.a", related=related)])
        wanted = an_event("x.b", related=related)
        await live.post("/events", [wanted])
        assert ids(await receive(socket, 1)) == [wanted["id"]]


async def test_the_past_is_bounded(live: Live) -> None:
    old = an_event(occurred=(datetime.now(UTC) - timedelta(minutes=16)).isoformat())
    new = an_event(occurred=(datetime.now(UTC) - timedelta(minutes=14)).isoformat())
    await live.post("/events", [old, new])
    async with live.authenticated("/events/out") as socket:
        await ask(socket, live_filter(occurred={"since": "2026-01-01T00:00:00Z", "until": FUTURE}))
        assert ids(await receive(socket, 1)) == [new["id"]]


async def test_an_event_that_commits_late_comes_live(live: Live, database: Database) -> None:
    late = await asyncpg.connect(database.url)
    transaction = late.transaction()
    await transaction.start()
    id = new_id()
    await late.execute(
        """
        INSERT INTO event (occurred, workspace_id, id, event, resource_id, resource, resource_ids)
        VALUES (now(), $1, $2, 'late', 'r', '{"prefect.resource.id": "r"}', '{r}')
        """,
        DEFAULT_WORKSPACE,
        id,
    )
    await live.post("/events", [early := an_event()])
    async with live.authenticated("/events/out") as socket:
        await ask(socket, live_filter())
        assert ids(await receive(socket, 1)) == [early["id"]]
        await transaction.commit()
        assert ids(await receive(socket, 1)) == [str(id)]
    await late.close()


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('{"type": "other"}', "Expected 'filter' message"),
        ('{"type": "filter"}', "Invalid filter: 'filter'"),
        ('{"type": "filter", "filter": {"nonsense": 1}}', "Invalid filter: 1 validation error for EventFilter"),
        ("nonsense", "Expected 'filter' message"),
    ],
)
async def test_a_bad_filter_closes_with_1002(live: Live, message: str, reason: str) -> None:
    async with live.authenticated("/events/out") as socket:
        await socket.send(message)
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1002
        assert (socket.close_reason or "").startswith(reason)
        assert len((socket.close_reason or "").encode()) <= 123


async def test_too_large_a_message_is_left_out(live: Live) -> None:
    async with live.authenticated("/events/out") as socket:
        await ask(socket, live_filter())
        await live.post("/events", [an_event(payload={"x": "y" * 1_100_000})])
        await live.post("/events", [small := an_event()])
        assert ids(await receive(socket, 1)) == [small["id"]]


async def test_a_slow_reader_is_told_to_come_back(database: Database) -> None:
    async with (
        serving(database, {"SEMPRE_SERVER_API_MAX_SUBSCRIBER_QUEUE": "5"}) as live,
        live.connect("/events/out", max_queue=1) as socket,
    ):
        await socket.send('{"type":"auth","token":null}')
        await socket.recv()
        await ask(socket, live_filter())
        await until(lambda: live.runtime.event_tail._subscriptions, "the subscription is in place")
        for _ in range(60):
            await live.post("/events", [an_event(payload={"x": "y" * 900_000})])

        async def read_on() -> None:
            while True:
                await asyncio.wait_for(socket.recv(), 60)

        with pytest.raises(websockets.ConnectionClosed):
            await read_on()
        assert socket.close_code == 1013


async def test_the_tail_rests_without_subscribers(live: Live) -> None:
    async with live.authenticated("/events/out") as socket:
        await ask(socket, live_filter())
        await until(lambda: live.runtime.event_tail._task is not None, "the tail runs")
    await until(lambda: live.runtime.event_tail._task is None, "the tail rests")


async def test_the_feed_goes_on_after_an_outage(live: Live, database: Database) -> None:
    async with live.authenticated("/events/out") as socket:
        await ask(socket, live_filter())
        await live.post("/events", [first := an_event()])
        assert ids(await receive(socket, 1)) == [first["id"]]
        admin = await asyncpg.connect(Database("postgres", database.socket_dir).url)
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database.name)
        await admin.close()
        second = an_event()

        async def accepted() -> bool:
            return (await live.post("/events", [second])).status_code == 204

        await until(accepted, "events are taken in again")
        assert ids(await receive(socket, 1)) == [second["id"]]
