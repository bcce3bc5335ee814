"""Carrying out actions, whatever dies or is slow meanwhile: none lost, none late, none ended twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from sempre.db.errors import DatabaseUnavailable
from sempre.server.actions import claims
from sempre.server.actions import runner as runner_module
from sempre.server.actions.invocation import Invocation
from sempre.server.actions.runner import Runner
from sempre.server.ids import new_id
from sempre.server.services.registry import SERVICES
from sempre.server.services.supervisor import Supervisor
from tests.integration.triggers.carrying import (
    ended,
    fire,
    lapse,
    outcomes,
    performing,
    rows_of,
    working,
)
from tests.support.rooms import Rooms, rooms
from tests.support.scopes import until

__all__ = ["rooms"]

_NOTHING = {"type": "do-nothing"}


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "_PAUSES", (0.0,))


# --- who is late ends nothing ------------------------------------------------------------------------------


async def test_who_finishes_after_the_claim_ran_out_finishes_nothing(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, begun = asyncio.Event(), asyncio.Event()
    attempts: list[int] = []

    async def slow_at_first(invocation: Invocation) -> None:
        attempts.append(invocation.attempts)
        if invocation.attempts == 1:
            begun.set()
            await go.wait()

    performing(monkeypatch, slow_at_first)
    await fire(rooms, _NOTHING)
    slow = asyncio.create_task(Runner(rooms.scope, new_id()).run_due())
    await begun.wait()
    await lapse(rooms)
    assert await Runner(rooms.scope, new_id()).run_due() == 1
    (row,) = await rows_of(rooms)
    assert row["status"] == "done"
    go.set()
    await slow
    assert attempts == [1, 2]
    assert len(await outcomes(rooms)) == 1


async def test_two_runners_share_and_each_action_ends_once(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[UUID] = []

    async def note(invocation: Invocation) -> None:
        done.append(invocation.id)

    performing(monkeypatch, note)
    runners = [Runner(rooms.scope, new_id(), at_once=5) for _ in range(2)]
    async with working(*runners):
        await fire(rooms, _NOTHING, _NOTHING, events=40)
        rooms.scope.doorbell.ring("actions")
        await until(lambda: ended(rooms, 80), "all have ended")
    assert len(done) == len(set(done)) == 80
    assert len(await outcomes(rooms)) == 80


# --- slow ones hold up nobody ------------------------------------------------------------------------------


async def test_slow_services_do_not_hold_up_other_actions(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do more of them than there are slots."""
    go = asyncio.Event()

    async def perform(invocation: Invocation) -> None:
        if invocation.action.type == "call-webhook":
            await go.wait()

    performing(monkeypatch, perform)
    webhook = {"type": "call-webhook", "block_document_id": str(new_id())}
    runner = Runner(rooms.scope, new_id(), at_once=3)
    await fire(rooms, webhook, events=5)
    async with working(runner):
        await until(lambda: _running(rooms, 3), "three are running")
        await fire(rooms, _NOTHING, events=10)
        rooms.scope.doorbell.ring("actions")
        await until(lambda: _done(rooms, "do-nothing", 10), "those inside are done")
        assert await _running(rooms, 3)
        go.set()
        await until(lambda: _done(rooms, "call-webhook", 15), "those outside are done")


async def _running(rooms: Rooms, count: int) -> bool:
    return len([row for row in await rows_of(rooms) if row["status"] == "running"]) == count


async def _done(rooms: Rooms, type: str, count: int) -> bool:
    rows = [row for row in await rows_of(rooms) if row["action"]["type"] == type]
    return len([row for row in rows if row["status"] == "done"]) == count


async def test_a_slot_is_filled_as_soon_as_it_is_free(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the other slot is still taken."""
    go = asyncio.Event()
    first: list[UUID] = []

    async def perform(invocation: Invocation) -> None:
        if not first:
            first.append(invocation.id)
            await go.wait()

    performing(monkeypatch, perform)
    await fire(rooms, _NOTHING, events=10)
    async with working(Runner(rooms.scope, new_id(), at_once=2)):
        await until(lambda: ended(rooms, 9), "nine have ended")
        go.set()
        await until(lambda: ended(rooms, 10), "the slow one has ended, too")


async def test_actions_of_a_firing_are_carried_out_in_order(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[int] = []

    async def perform(invocation: Invocation) -> None:
        await asyncio.sleep(0.02 * (3 - invocation.index))
        order.append(invocation.index)

    performing(monkeypatch, perform)
    await fire(rooms, _NOTHING, _NOTHING, _NOTHING)
    await Runner(rooms.scope, new_id()).run_due()
    assert order == [0, 1, 2]


async def test_a_slow_action_holds_up_those_after_it_for_a_while_only(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_PATIENCE_SECONDS", 0.05)
    go = asyncio.Event()

    async def perform(invocation: Invocation) -> None:
        if invocation.index == 0:
            await go.wait()

    performing(monkeypatch, perform)
    await fire(rooms, _NOTHING, _NOTHING)
    async with working(Runner(rooms.scope, new_id())):
        await until(lambda: ended(rooms, 1), "the first has ended")
        go.set()
        await until(lambda: ended(rooms, 2), "the second has ended")


# --- stopping ----------------------------------------------------------------------------------------------


async def test_who_stops_lets_go(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()

    async def for_ever(_: Invocation) -> None:
        begun.set()
        await asyncio.Event().wait()

    performing(monkeypatch, for_ever)
    await fire(rooms, _NOTHING, _NOTHING)
    runner = Runner(rooms.scope, new_id())
    round = asyncio.create_task(runner.run_for(60))
    await begun.wait()
    round.cancel()
    await asyncio.gather(round, return_exceptions=True)
    await runner.stop(0.05)
    rows = await rows_of(rooms)
    assert [(row["status"], row["claimed_by"]) for row in rows] == [("ready", None)] * 2
    assert [row["attempts"] for row in rows] == [1, 0], "what was begun may have had its effect"
    monkeypatch.undo()
    assert await Runner(rooms.scope, new_id()).run_due() == 2, "nobody waits for a claim to run out"


async def test_the_service_goes_on_between_rounds_and_lets_go_when_it_stops(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, begun = asyncio.Event(), asyncio.Event()

    async def perform(_: Invocation) -> None:
        begun.set()
        await go.wait()

    performing(monkeypatch, perform)
    settings = rooms.scope.settings
    triggers = replace(settings.services.triggers, loop_seconds=0.05)
    services = replace(settings.services, triggers=triggers, drain_seconds=0.05)
    scope = replace(rooms.scope, settings=replace(settings, services=services))
    supervisor = Supervisor(scope, [service for service in SERVICES if service.name == "actions"])
    await fire(rooms, _NOTHING)
    supervisor.start()
    await begun.wait()
    await until(_goes_round(supervisor), "the service goes round")
    assert await _running(rooms, 1)
    await supervisor.stop()
    (row,) = await rows_of(rooms)
    assert (row["status"], row["claimed_by"]) == ("ready", None)


def _goes_round(supervisor: Supervisor) -> Callable[[], bool]:
    """Whether a round has ended since the last look: what is told of it has become younger."""
    ages = [supervisor.ages()["actions"]]

    def look() -> bool:
        ages.append(supervisor.ages()["actions"])
        return ages[-1] < ages[-2]

    return look


async def test_who_stops_lets_what_is_quick_end(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def quick(_: Invocation) -> None:
        begun.set()
        await go.wait()

    performing(monkeypatch, quick)
    await fire(rooms, _NOTHING)
    runner = Runner(rooms.scope, new_id())
    await runner._fill()
    await begun.wait()
    stopping = asyncio.create_task(runner.stop(20))
    await asyncio.sleep(0)
    go.set()
    await stopping
    assert await ended(rooms, 1)


# --- what fails and may pass -------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_pauses")
async def test_an_action_is_tried_four_times_and_then_told_to_have_failed(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []

    async def fail(invocation: Invocation) -> None:
        attempts.append(invocation.attempts)
        raise RuntimeError("on fire")

    performing(monkeypatch, fail)
    await fire(rooms, _NOTHING)
    while await Runner(rooms.scope, new_id()).run_due():
        pass
    assert attempts == [1, 2, 3, 4]
    (outcome,) = await outcomes(rooms)
    assert outcome["event"] == "prefect.automation.action.failed"
    assert outcome["payload"]["reason"] == "RuntimeError: on fire"


async def test_the_pauses_between_attempts_grow(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: Invocation) -> None:
        raise RuntimeError

    performing(monkeypatch, fail)
    await fire(rooms, _NOTHING)
    pauses = []
    for _ in range(3):
        assert await Runner(rooms.scope, new_id()).run_due() == 1
        pauses.append(
            await rooms.scope.db.fetchval("SELECT extract(epoch FROM due - now())::float FROM automation_action")
        )
        await rooms.scope.db.execute("UPDATE automation_action SET due = now()")
    assert [round(pause) for pause in pauses] == [1, 5, 20]


async def test_an_action_that_takes_too_long_is_cut(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "_LONGEST_SECONDS", 0.05)

    async def for_ever(_: Invocation) -> None:
        await asyncio.Event().wait()

    performing(monkeypatch, for_ever)
    await fire(rooms, _NOTHING)
    assert await Runner(rooms.scope, new_id()).run_due() == 1
    (row,) = await rows_of(rooms)
    assert (row["status"], row["attempts"]) == ("ready", 1)


async def test_an_action_that_kills_does_not_kill_for_ever(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: Invocation) -> None:
        raise AssertionError("begun once more")

    performing(monkeypatch, never)
    await fire(rooms, _NOTHING)
    await rooms.scope.db.execute("UPDATE automation_action SET attempts = 20")
    await Runner(rooms.scope, new_id()).run_due()
    (outcome,) = await outcomes(rooms)
    assert outcome["payload"]["reason"] == "The action was begun 20 times and never ended."


# --- the database goes away --------------------------------------------------------------------------------


async def test_the_database_goes_away_before_the_end_is_written(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """The effect is not repeated: its end is written when the database is back."""
    monkeypatch.setattr(runner_module, "_AWAY_SECONDS", 0.01)
    performed: list[UUID] = []
    failures = [DatabaseUnavailable("away"), DatabaseUnavailable("still away")]
    finish = claims.finish

    async def note(invocation: Invocation) -> None:
        performed.append(invocation.id)

    async def away_at_first(*given: Any, **named: Any) -> bool:
        if failures:
            raise failures.pop()
        return await finish(*given, **named)

    performing(monkeypatch, note)
    monkeypatch.setattr(claims, "finish", away_at_first)
    await fire(rooms, _NOTHING)
    assert await Runner(rooms.scope, new_id()).run_due() == 1
    assert len(performed) == 1
    assert len(await outcomes(rooms)) == 1


async def test_the_database_goes_away_in_the_middle(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """The action is tried again as soon as it is back; that is no failure of the action."""

    async def away_at_first(invocation: Invocation) -> None:
        if invocation.attempts < 6:
            raise DatabaseUnavailable("away")

    performing(monkeypatch, away_at_first)
    await fire(rooms, _NOTHING)
    for _ in range(6):
        assert await Runner(rooms.scope, new_id()).run_due() == 1
    (outcome,) = await outcomes(rooms)
    assert outcome["event"] == "prefect.automation.action.executed"
