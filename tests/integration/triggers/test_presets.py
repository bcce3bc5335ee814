"""Automations that come with the server: made once, left to their users, and what they tell."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest

from sempre.core.states import StateType
from sempre.core.transitions.model import Policy, Proposal
from sempre.server.actions.runner import Runner
from sempre.server.automations.presets import apply_presets
from sempre.server.flow_runs.orchestration import set_flow_run_state
from sempre.server.ids import new_id
from sempre.server.services import presets
from tests.integration.services.runs import flow_run
from tests.integration.triggers.engine import Engine
from tests.integration.triggers.test_messages import _block
from tests.support.database import Database
from tests.support.receiver import Receiver, receiving
from tests.support.rooms import Rooms, open_rooms

Json = dict[str, Any]
_NOTIFY = "SEMPRE_SERVER_SERVICES_PRESETS_NOTIFY"


class Replicas:
    """Processes of one installation, each with settings of its own."""

    def __init__(self, database: Database, stack: AsyncExitStack) -> None:
        self._database = database
        self._stack = stack

    async def start(self, notify: str | None = "custom-webhook/b", **more: str) -> Rooms:
        env = {_NOTIFY: notify, **more} if notify else more
        return await self._stack.enter_async_context(open_rooms(self._database, env))


@pytest.fixture
async def replicas(database: Database) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        yield Replicas(database, stack)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


async def block(rooms: Rooms, receiver: Receiver, slug: str = "custom-webhook") -> str:
    data: Json = {"url": f"{receiver.url}/hook", "method": "POST"}
    if slug == "custom-webhook":
        data |= {"name": "b", "json_data": {"subject": "{{subject}}", "body": "{{body}}"}}
    return await _block(rooms, slug, data)


async def automations(rooms: Rooms) -> dict[str, Json]:
    found: list[Json] = await rooms.post("/automations/filter", {})
    return {automation["name"]: automation for automation in found}


CRASHED, STUCK = "Crashed and zombie runs", "Runs stuck in Pending or Late"


async def test_they_are_off_by_default(replicas: Replicas) -> None:
    rooms = await replicas.start(notify=None)
    assert await apply_presets(rooms.scope)
    assert await automations(rooms) == {}


async def test_every_replica_makes_them_together_once(replicas: Replicas, receiver: Receiver) -> None:
    started = [await replicas.start() for _ in range(4)]
    id = await block(started[0], receiver)
    await asyncio.gather(*(apply_presets(rooms.scope) for rooms in started * 2))
    made = await automations(started[0])
    assert sorted(made) == [CRASHED, STUCK]
    for automation in made.values():
        assert automation["enabled"]
        assert automation["tags"] == ["preset"]
        assert automation["actions"][0]["block_document_id"] == id
        told = await started[0].events(f"prefect.automation.{automation['id']}")
        assert [event["event"] for event in told] == ["prefect.automation.created"]


async def test_they_wait_for_the_block(
    replicas: Replicas, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    rooms = await replicas.start()
    await presets.run(rooms.scope)
    await presets.run(rooms.scope)
    assert await automations(rooms) == {}
    assert caplog.text.count("custom-webhook/b") == 1
    await block(rooms, receiver)
    await presets.run(rooms.scope)
    assert len(await automations(rooms)) == 2


async def test_they_belong_to_their_users(replicas: Replicas, receiver: Receiver) -> None:
    rooms = await replicas.start()
    await block(rooms, receiver)
    await apply_presets(rooms.scope)
    made = await automations(rooms)
    await rooms.delete(f"/automations/{made[STUCK]['id']}")
    await rooms.patch(f"/automations/{made[CRASHED]['id']}", {"enabled": False})
    changed = {key: made[CRASHED][key] for key in ("trigger", "actions")}
    await rooms.put(f"/automations/{made[CRASHED]['id']}", {**changed, "name": "ours", "enabled": False}, 204)
    again = await replicas.start()
    await apply_presets(again.scope)
    assert {name: one["enabled"] for name, one in (await automations(again)).items()} == {"ours": False}


async def test_the_switch(replicas: Replicas, receiver: Receiver) -> None:
    rooms = await replicas.start()
    await block(rooms, receiver)
    await apply_presets(rooms.scope)
    before = await automations(rooms)
    off = await replicas.start(notify=None)
    await apply_presets(off.scope)
    assert {name: one["enabled"] for name, one in (await automations(off)).items()} == {CRASHED: False, STUCK: False}
    await rooms.delete(f"/automations/{before[CRASHED]['id']}")
    one = await replicas.start(
        SEMPRE_SERVER_SERVICES_PRESETS_AUTOMATIONS="stuck-runs", SEMPRE_SERVER_SERVICES_PRESETS_STUCK_AFTER_SECONDS="60"
    )
    await apply_presets(one.scope)
    (stuck,) = (await automations(one)).values()
    assert (stuck["name"], stuck["enabled"], stuck["id"]) == (STUCK, True, before[STUCK]["id"])
    assert stuck["trigger"]["within"] == 60
    assert stuck["trigger"]["id"] != before[STUCK]["trigger"]["id"]
    both = await replicas.start(SEMPRE_SERVER_SERVICES_PRESETS_STUCK_AFTER_SECONDS="60")
    await apply_presets(both.scope)
    assert sorted(await automations(both)) == [CRASHED, STUCK], "one that was deleted is made again when switched on"


async def test_replicas_of_different_settings_do_not_fight(replicas: Replicas, receiver: Receiver) -> None:
    old, new = await replicas.start(notify=None), await replicas.start()
    await block(new, receiver)
    for _ in range(3):
        await presets.run(old.scope)
        await presets.run(new.scope)
    (crashed, _) = (await automations(new)).values()
    assert crashed["enabled"]
    assert len(await new.events(f"prefect.automation.{crashed['id']}")) == 1


async def crash(rooms: Rooms) -> UUID:
    run = await flow_run(rooms.scope)
    crashed = Proposal(StateType.CRASHED, "Crashed", 'it said "no"')
    await set_flow_run_state(rooms.scope, run, crashed, Policy.FORCED)
    return run


@pytest.mark.parametrize("slug", ["custom-webhook", "webhook"])
async def test_a_crashed_run_is_told_of(replicas: Replicas, receiver: Receiver, slug: str) -> None:
    rooms = await replicas.start(f"{slug}/b")
    await block(rooms, receiver, slug)
    await apply_presets(rooms.scope)
    engine = Engine(rooms.scope)
    await engine.drain()
    run = await crash(rooms)
    await engine.drain()
    await Runner(rooms.scope, new_id()).run_due()
    (request,) = receiver.requests
    told = json.loads(request.body)
    if slug == "webhook":
        assert told["flow_run_id"] == str(run)
        assert (told["state"], told["message"]) == ("Crashed", 'it said "no"')
        assert str(run) in told["url"]
    else:
        assert told["subject"] == "Flow run run crashed"
        assert 'Message: it said "no"' in told["body"]
        assert str(run) in told["body"]
        assert "Deployment" not in told["body"]


async def test_a_stuck_run_is_told_of_and_one_that_went_on_is_not(replicas: Replicas, receiver: Receiver) -> None:
    rooms = await replicas.start()
    await block(rooms, receiver)
    await apply_presets(rooms.scope)
    engine = Engine(rooms.scope)
    await engine.drain()
    stuck, went_on = await flow_run(rooms.scope), await flow_run(rooms.scope)
    await set_flow_run_state(rooms.scope, went_on, Proposal(StateType.RUNNING, "Running"))
    await engine.drain()
    await engine.look()
    await Runner(rooms.scope, new_id()).run_due()
    assert receiver.requests == []
    await rooms.scope.db.execute("UPDATE automation_bucket SET window_end = now() - interval '10 minutes'")
    await rooms.scope.db.execute("UPDATE automation_watch SET due = now()")
    await engine.look()
    await Runner(rooms.scope, new_id()).run_due()
    (request,) = receiver.requests
    told = json.loads(request.body)
    assert told["subject"] == "Flow run run is stuck in Pending"
    assert str(stuck) in told["body"]
