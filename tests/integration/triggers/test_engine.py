"""The engine beside the machines: what it knows, what it has lost, who works which shard, and what it leaves behind."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from sempre.db.pool import Executor, Record
from sempre.server.events.consumer import Consumer, Work, take_share
from sempre.server.ids import new_id
from sempre.server.scope import Scope
from sempre.server.services import db_vacuum
from sempre.server.services import triggers as service
from sempre.server.triggers import shard as shards
from sempre.server.triggers.definitions import CONSUMER, SHARDS
from sempre.server.triggers.known import KnownAutomations
from tests.integration.triggers.engine import Engine, automate, firings, send
from tests.support.database import Database
from tests.support.events import an_event
from tests.support.scopes import open_scope, until

_ANY = {"type": "event", "posture": "Reactive", "expect": ["it.happened"], "threshold": 1, "within": 0}
_STUCK = {
    "type": "event",
    "posture": "Proactive",
    "after": ["it.began"],
    "expect": ["it.ended"],
    "for_each": ["prefect.resource.id"],
    "threshold": 1,
}


class _Time(datetime):
    at: datetime

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return cls.at


async def test_an_alarm_tells_of_its_event_though_the_log_has_lost_it(
    scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "datetime", _Time)
    _Time.at = datetime.now(UTC)
    engine = Engine(scope)
    await engine.drain()
    id = await automate(scope, {**_STUCK, "within": 5 * 86400})
    event = an_event("it.began")
    await send(scope, event)
    await engine.drain()
    await engine.look()
    await scope.db.execute("DELETE FROM event WHERE id = $1", UUID(event["id"]))
    _Time.at += timedelta(days=6)
    await engine.look()
    (fired,) = await firings(scope, id)
    assert fired["triggering_event"]["id"] == event["id"]
    assert fired["triggering_event"]["event"] == "it.began"


async def test_followers_that_the_log_has_lost_are_waited_for_no_more(scope: Scope) -> None:
    engine = Engine(scope)
    await engine.drain()
    id = await automate(scope, _ANY)
    lost = an_event(follows=str(new_id()))
    leader = str(new_id())
    await send(scope, lost, an_event(resource="kept", follows=leader))
    await engine.drain()
    count = "SELECT count(*) FROM automation_waiting_event"
    assert await scope.db.fetchval(count) == 2
    await scope.db.execute("DELETE FROM event WHERE id = $1", UUID(lost["id"]))
    await engine.look()
    assert await scope.db.fetchval(count) == 1
    await send(scope, an_event(resource="leader", id=leader))
    await engine.drain()
    assert await scope.db.fetchval(count) == 0
    resources = [one["triggering_event"]["resource"]["prefect.resource.id"] for one in await firings(scope, id)]
    assert resources == ["leader", "kept"]


async def test_a_leader_that_commits_late_still_comes_first(scope: Scope) -> None:
    """Its number is below those that were read; the follower must not take it for one that was looked at."""
    engine = Engine(scope)
    await engine.drain()
    id = await automate(scope, _ANY)
    leader, follower = an_event(resource="leader"), an_event(resource="follower")
    follower["follows"] = leader["id"]
    async with scope.db.transaction() as tx:
        await send(scope, leader, db=tx)
        await send(scope, follower, an_event(resource="other"))
        await engine.drain()
        assert len(await firings(scope, id)) == 1
    await engine.drain()
    resources = [one["triggering_event"]["resource"]["prefect.resource.id"] for one in await firings(scope, id)]
    assert resources == ["other", "leader", "follower"]


async def test_what_is_committed_behind_a_batch_is_not_taken_for_seen(scope: Scope) -> None:
    """The leader appears between the reading of a batch and the question whether it has been seen."""
    engine = Engine(scope)
    await engine.drain()
    id = await automate(scope, _ANY)
    leader, follower = an_event(resource="leader"), an_event(resource="follower")
    follower["follows"] = leader["id"]
    begun, ended = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        async with scope.db.transaction() as tx:
            await send(scope, leader, db=tx)
            begun.set()
            await ended.wait()

    committing = asyncio.create_task(late())
    await begun.wait()
    await send(scope, follower)
    (shard,) = [shard for shard in engine.shards if shard.number == id.int % SHARDS]
    handle = shard.consumer.handler

    async def handled(rows: list[Record]) -> Work:
        ended.set()
        await committing
        return await handle(rows)

    shard.consumer.handler = handled  # type: ignore[assignment]
    await engine.drain()
    await engine.drain()
    resources = [one["triggering_event"]["resource"]["prefect.resource.id"] for one in await firings(scope, id)]
    assert resources == ["leader", "follower"]


async def test_known_automations_follow_the_table(scope: Scope) -> None:
    known = KnownAutomations()
    await known.refresh(scope.db)
    assert all(known.view(shard).is_empty for shard in range(SHARDS))
    ids = [await automate(scope, _ANY) for _ in range(9)]
    await known.refresh(scope.db)

    def all_known() -> set[UUID]:
        return {id for shard in range(SHARDS) for id in known.view(shard).index.automations}

    assert all_known() == set(ids)
    await scope.db.execute("UPDATE automation SET enabled = false, updated = now() WHERE id = $1", ids[0])
    await scope.db.execute("DELETE FROM automation WHERE id = $1", ids[1])
    await known.refresh(scope.db)
    assert all_known() == set(ids[2:])
    # One that cannot be read must not take the others with it, and counts again once it can.
    broken = "UPDATE automation SET trigger = $2, updated = now() WHERE id = $1"
    whole = await scope.db.fetchval("SELECT trigger FROM automation WHERE id = $1", ids[2])
    await scope.db.execute(broken, ids[2], {"type": "nonsense"})
    for _ in range(2):
        await known.refresh(scope.db)
        assert all_known() == set(ids[3:])
    await scope.db.execute(broken, ids[2], whole)
    await known.refresh(scope.db)
    assert all_known() == set(ids[2:])


async def test_a_look_that_finds_nothing_new_is_cheap(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    """And none of them misses a change, whoever made it: of one row, back in time, or instead of another."""
    known = KnownAutomations()
    ids = [await automate(scope, _ANY) for _ in range(3)]
    await known.refresh(scope.db)
    read = 0
    whole = known._read

    async def counted(db: Executor) -> None:
        nonlocal read
        read += 1
        await whole(db)

    monkeypatch.setattr(known, "_read", counted)
    await known.refresh(scope.db)
    assert read == 0
    changes = [
        ("UPDATE automation SET updated = updated - interval '1 hour' WHERE id = $1", ids[0]),
        ("DELETE FROM automation WHERE id = $1", ids[1]),
        ("UPDATE automation SET enabled = false WHERE id = $1", ids[2]),
    ]
    for number, (change, id) in enumerate(changes, 1):
        await scope.db.execute(change, id)
        await known.refresh(scope.db)
        assert read == number
    await known.refresh(scope.db)
    assert read == len(changes)


async def test_a_view_stays_as_it_was(scope: Scope) -> None:
    """An automation deleted while events are evaluated for it is evaluated to the end."""
    known = KnownAutomations()
    id = await automate(scope, _ANY)
    await known.refresh(scope.db)
    view = known.view(id.int % SHARDS)
    await scope.db.execute("DELETE FROM automation")
    await known.refresh(scope.db)
    assert view.definition(id).automation.id == id
    assert known.view(id.int % SHARDS).is_empty


async def test_processes_share_the_shards(scope: Scope) -> None:
    async def nothing(_: object) -> Work:
        return Work()

    owners = [new_id() for _ in range(3)]

    def consumers(owner: UUID) -> list[Consumer]:
        return [Consumer(scope.db, scope.doorbell, "shared", nothing, shard=n, owner=owner) for n in range(4)]

    async def shares() -> list[int]:
        rows = await scope.db.fetch("SELECT owner, count(*) FROM event_consumer WHERE name = 'shared' GROUP BY owner")
        held = {row["owner"]: row["count"] for row in rows}
        return [held.get(owner, 0) for owner in owners]

    for consumer in consumers(owners[0]):
        assert await consumer._hold_lease()
    assert not await take_share(scope.db, "shared", owners[0])
    assert await take_share(scope.db, "shared", owners[1])
    assert await shares() == [3, 1, 0]
    taken = await asyncio.gather(*(take_share(scope.db, "shared", owner) for owner in owners[1:] * 3))
    assert sum(taken) >= 1
    assert sorted(await shares()) == [1, 1, 2]
    assert not any([await take_share(scope.db, "shared", owner) for owner in owners])
    # Nobody is asked to share by one that is dead: its shards are free when their time is over.
    await scope.db.execute("UPDATE event_consumer SET lease_until = now() - interval '1 s' WHERE owner = $1", owners[0])
    free = [consumer for consumer in consumers(owners[1]) if await consumer._hold_lease()]
    assert len(free) == 4 - (await shares())[2]


async def test_two_services_share_the_work(database: Database) -> None:
    """The second takes shards over from the first, which stops; whatever is sent meanwhile counts once."""
    env = {"SEMPRE_SERVER_SERVICES_TRIGGERS_LOOP_SECONDS": "0.1"}
    async with open_scope(database, env) as one, open_scope(database, env) as other:
        owner = new_id()
        engines = [service._Engine(one), service._Engine(other)]
        for shard in engines[1]._shards:
            shard.consumer.owner = owner
        await engines[0]._pass_over_idle()
        ids = [await automate(one, _ANY) for _ in range(24)]
        stopped = asyncio.Event()

        async def work(engine: service._Engine, owner: UUID | None) -> None:
            while not stopped.is_set():
                if owner is not None:
                    await take_share(one.db, CONSUMER, owner)
                await engine.round(0.1)

        tasks = [asyncio.create_task(work(engine, by)) for engine, by in zip(engines, (None, owner), strict=True)]
        held = "SELECT count(*) FROM event_consumer WHERE name = 'triggers' AND owner = $1"

        async def shared() -> bool:
            await send(one, an_event())
            one.doorbell.ring("events")
            return bool(await one.db.fetchval(held, owner) == SHARDS // 2)

        await until(shared, "the shards are shared")
        sent = await one.db.fetchval("SELECT count(*) FROM event WHERE event = 'it.happened'")

        async def fired() -> bool:
            return bool(await one.db.fetchval("SELECT count(*) FROM automation_firing") >= sent * len(ids))

        await until(fired, "everything is evaluated")
        stopped.set()
        await asyncio.gather(*tasks)
        for id in ids:
            assert len(await firings(one, id)) == sent


async def test_without_automations_the_log_is_passed_over(scope: Scope) -> None:
    engine = service._Engine(scope)
    await engine._pass_over_idle()
    await send(scope, *(an_event() for _ in range(50)))
    engine._looked = 0.0
    await engine._pass_over_idle()
    end = await scope.db.fetchval("SELECT max(seq) FROM event")
    rows = await scope.db.fetch("SELECT position, holes FROM event_consumer WHERE name = 'triggers'")
    assert [(row["position"], row["holes"]) for row in rows] == [(end, [])] * SHARDS
    # What comes after the first automation is seen, although nobody has heard of that yet.
    id = await automate(scope, _ANY)
    await send(scope, an_event())
    engine._looked = 0.0
    await engine._pass_over_idle()
    await engine.round(0.05)
    assert len(await firings(scope, id)) == 1


async def test_what_automations_did_is_forgotten_with_the_events(scope: Scope) -> None:
    engine = Engine(scope)
    await engine.drain()
    id = await automate(scope, _ANY, {"type": "do-nothing"}, {"type": "do-nothing"})
    await send(scope, *(an_event() for _ in range(3)))
    await engine.drain()
    old, owing, _young = [UUID(firing["id"]) for firing in await firings(scope, id)]
    await scope.db.execute("UPDATE automation_action SET status = 'done'")
    await scope.db.execute(
        "UPDATE automation_action SET status = 'ready' WHERE firing_id = $1 AND action_index = 1", owing
    )
    await scope.db.execute(
        "UPDATE automation_firing SET fired_at = now() - interval '8 days' WHERE id = ANY($1)", [old, owing]
    )
    await db_vacuum.run(scope)
    left = {UUID(firing["id"]) for firing in await firings(scope, id)}
    assert left == {owing, _young}
    rows = await scope.db.fetch("SELECT DISTINCT firing_id FROM automation_action")
    assert {row["firing_id"] for row in rows} == left


async def test_no_count_is_swept_for_what_nobody_could_send(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that ended a minute ago is swept, unless nobody took events in meanwhile: they may be on their way."""
    monkeypatch.setattr(shards, "datetime", _Time)
    _Time.at = datetime.now(UTC)
    say = """
    INSERT INTO presence (kind, since, seen) VALUES ('events', $1, $2)
    ON CONFLICT (kind) DO UPDATE SET since = excluded.since, seen = excluded.seen
    """
    engine = Engine(scope)
    await engine.drain()
    id = await automate(scope, {**_ANY, "threshold": 2})
    began = _Time.at

    async def happens(after: float, heard_since: float, heard_until: float) -> int:
        """An event, and whether anything is counted still at ``after``. All in seconds since the beginning."""
        _Time.at = began
        await send(scope, an_event("it.happened"))
        await engine.drain()
        _Time.at = began + timedelta(seconds=after)
        await scope.db.execute(say, *(began + timedelta(seconds=at) for at in (heard_since, heard_until)))
        await engine.look()
        return int(await scope.db.fetchval("SELECT count(*) FROM automation_bucket"))

    assert await happens(70, heard_since=-100, heard_until=30) == 1, "nobody has been there for 40 seconds"
    assert await happens(70, heard_since=65, heard_until=70) == 0, "the second event has come all the same"
    assert len(await firings(scope, id)) == 1
    assert await happens(70, heard_since=65, heard_until=70) == 1, "somebody is there, but not for long"
    assert await happens(0, heard_since=65, heard_until=70) == 0
    assert len(await firings(scope, id)) == 2
    assert await happens(70, heard_since=-100, heard_until=69) == 0, "a minute in which nothing came"
    assert len(await firings(scope, id)) == 2
