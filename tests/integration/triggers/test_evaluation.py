"""Events counted once, whatever happens between two steps."""

from __future__ import annotations

import asyncio

from sempre.server.scope import Scope
from tests.integration.triggers.engine import Engine, automate, firings, send
from tests.support.events import an_event

_ANY = {"type": "event", "posture": "Reactive", "expect": ["it.happened"], "threshold": 1, "within": 0}


async def test_every_event_fires_once(scope: Scope) -> None:
    engine = Engine(scope)
    await engine.drain()
    id = await automate(scope, _ANY, {"type": "do-nothing"})
    await send(scope, *(an_event(resource=f"thing.{number}") for number in range(20)))
    await engine.drain()
    await engine.drain()
    fired = await firings(scope, id)
    assert len(fired) == 20
    assert {firing["triggering_event"]["resource"]["prefect.resource.id"] for firing in fired} == {
        f"thing.{number}" for number in range(20)
    }
    told = await scope.db.fetch("SELECT event FROM event WHERE event = 'prefect.automation.triggered'")
    assert len(told) == 20
    owed = await scope.db.fetch("SELECT action, action_index, status FROM automation_action")
    assert [dict(row) for row in owed] == [
        {"action": {"type": "do-nothing"}, "action_index": 0, "status": "ready"}
    ] * 20


async def test_two_engines_at_once_count_every_event_once(scope: Scope) -> None:
    engines = [Engine(scope), Engine(scope)]
    await engines[0].drain()
    ids = [await automate(scope, {**_ANY, "threshold": 10}) for _ in range(8)]
    for _ in range(10):
        await send(scope, *(an_event(resource=f"thing.{number}") for number in range(20)))
        await asyncio.gather(*(engine.drain() for engine in engines))
    for id in ids:
        assert len(await firings(scope, id)) == 20


async def test_sequence(scope: Scope) -> None:
    engine = Engine(scope)
    await engine.drain()
    children = [{**_ANY, "expect": [name]} for name in ("a", "b", "c")]
    id = await automate(scope, {"type": "sequence", "triggers": children, "within": 60})
    for name in "bac":
        await send(scope, an_event(name))
        await engine.drain()
    assert await firings(scope, id) == []
    await send(scope, *(an_event(name) for name in "abc"))
    await engine.drain()
    (fired,) = await firings(scope, id)
    assert fired["triggering_event"]["event"] == "c"
    assert [child["triggering_event"]["event"] for child in fired["triggering_firings"]] == ["a", "b", "c"]


async def test_a_follower_waits_for_the_one_it_follows(scope: Scope) -> None:
    engine = Engine(scope)
    await engine.drain()
    id = await automate(scope, _ANY)
    leader = an_event(resource="leader")
    await send(scope, an_event(resource="follower", follows=leader["id"]))
    await engine.drain()
    assert await firings(scope, id) == []
    await send(scope, leader)
    await engine.drain()
    assert [firing["triggering_event"]["resource"]["prefect.resource.id"] for firing in await firings(scope, id)] == [
        "leader",
        "follower",
    ]
    assert await scope.db.fetchval("SELECT count(*) FROM automation_waiting_event") == 0
