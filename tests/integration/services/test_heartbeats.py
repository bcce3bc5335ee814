"""Runs whose heartbeats stopped: found, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from sempre.core.states import StateType
from sempre.core.transitions.model import FlowRunPolicy, Proposal, Status
from sempre.schemas.events import Event
from sempre.server.events.append import encode
from sempre.server.events.writer import EventWriter
from sempre.server.flow_runs.orchestration import set_flow_run_state
from sempre.server.heartbeats import silence
from sempre.server.heartbeats.presence import Presence, present
from sempre.server.heartbeats.recording import consumer
from sempre.server.scope import Scope
from sempre.server.services import heartbeats, leftovers
from tests.integration.services.runs import (
    deployment,
    flow_run,
    history,
    message,
    move,
    scheduled,
    task_history,
    task_run,
)
from tests.integration.triggers.conftest import database  # noqa: F401 - the log and its cursors are the test's own
from tests.integration.triggers.engine import send
from tests.support.database import Database
from tests.support.events import an_event
from tests.support.scopes import open_scope
from tests.support.wait import WaitTimeout

# Three heartbeats, 180 s apart as long as nothing else is known.
_PATIENCE = 3 * 180


@pytest.fixture
async def replicas(database: Database) -> AsyncIterator[list[Scope]]:  # noqa: F811
    async with AsyncExitStack() as stack:
        scopes = [
            await stack.enter_async_context(
                open_scope(database, {"SEMPRE_SERVER_SERVICES_COORDINATION_ENABLED": "false"})
            )
            for _ in range(3)
        ]
        await consumer(scopes[0], leased=False).drain()  # from now on
        yield scopes


@pytest.fixture
def scope(replicas: list[Scope]) -> Scope:
    return replicas[0]


async def running(scope: Scope, **more: Any) -> UUID:
    run = await flow_run(scope, **more)
    await set_flow_run_state(scope, run, Proposal(StateType.RUNNING, "Running"))
    return run


async def heartbeat(scope: Scope, run: UUID, ago: float, *, received_ago: float | None = None) -> None:
    """A heartbeat that was sent, and came in, so many seconds ago; the run's states are as old at least."""
    sent = datetime.now(UTC) - timedelta(seconds=ago)
    event = an_event("prefect.flow-run.heartbeat", f"prefect.flow-run.{run}", occurred=sent.isoformat())
    await send(scope, event)
    received = datetime.now(UTC) - timedelta(seconds=ago if received_ago is None else received_ago)
    await scope.db.execute("UPDATE event SET received = $2 WHERE id = $1", UUID(event["id"]), received)


async def age(scope: Scope, run: UUID, seconds: float) -> None:
    """Everything that happened to the run so far happened that long ago."""
    back = timedelta(seconds=seconds)
    await scope.db.execute(
        "UPDATE flow_run_state SET timestamp = timestamp - $2::interval WHERE flow_run_id = $1", run, back
    )
    await scope.db.execute(
        "UPDATE flow_run SET state_timestamp = state_timestamp - $2::interval, version = version + 1 WHERE id = $1",
        run,
        back,
    )


async def here(scope: Scope, *, since: float, seen: float = 0.0) -> None:
    """Somebody has been taking events in, from and to so many seconds ago."""
    now = datetime.now(UTC)
    await scope.db.execute(
        """
        INSERT INTO presence VALUES ('events', $1, $2)
        ON CONFLICT (kind) DO UPDATE SET since = excluded.since, seen = excluded.seen
        """,
        now - timedelta(seconds=since),
        now - timedelta(seconds=seen),
    )


async def judge(*scopes: Scope) -> None:
    """A look at all there is, in every replica at once."""

    async def one(scope: Scope) -> None:
        listening = consumer(scope, leased=False)
        await listening.drain()
        await heartbeats.judge(scope, listening)

    await asyncio.gather(*(one(scope) for scope in scopes))


async def state_of(scope: Scope, run: UUID) -> str:
    return (await history(scope, run))[-1]


async def test_a_run_that_fell_silent_is_crashed_once(replicas: list[Scope]) -> None:
    scope = replicas[0]
    await here(scope, since=10_000)
    runs = [await running(scope) for _ in range(20)]
    alive = await running(scope)
    for run in runs:
        await age(scope, run, 1000)
        await heartbeat(scope, run, _PATIENCE + 5)
    await age(scope, alive, 1000)
    await heartbeat(scope, alive, _PATIENCE - 20)
    await judge(*replicas, *replicas)
    for run in runs:
        assert await history(scope, run) == ["Pending", "Running", "Crashed"]
        assert "No heartbeat came since" in str(await message(scope, run))
    assert await state_of(scope, alive) == "Running"
    told = await scope.db.fetchval("SELECT count(*) FROM event WHERE event = 'prefect.flow-run.Crashed'")
    assert told == len(runs)


async def test_its_slot_is_free_again(scope: Scope) -> None:
    await here(scope, since=10_000)
    first = await flow_run(scope, scheduled(0))
    limited = await deployment(scope, first, limit=1)
    for state in (StateType.PENDING, StateType.RUNNING):
        await set_flow_run_state(scope, first, Proposal(state, state.value.capitalize()))
    await age(scope, first, 1000)
    await heartbeat(scope, first, _PATIENCE + 5)
    second = await flow_run(scope, scheduled(0), deployment_id=limited)
    refused = await set_flow_run_state(scope, second, Proposal(StateType.PENDING, "Pending"))
    assert refused.state is None or refused.state.type is not StateType.PENDING
    await judge(scope)
    assert await state_of(scope, first) == "Crashed"
    third = await flow_run(scope, scheduled(0), deployment_id=limited)
    await set_flow_run_state(scope, third, Proposal(StateType.PENDING, "Pending"))
    assert await state_of(scope, third) == "Pending"


async def test_a_run_that_never_sent_any_is_not_judged(scope: Scope) -> None:
    await here(scope, since=100_000)
    run = await running(scope)
    await age(scope, run, 100_000)
    await judge(scope)
    assert await state_of(scope, run) == "Running"


async def test_the_pulse_of_a_run_decides(scope: Scope) -> None:
    await here(scope, since=100_000)
    quick, slow = await running(scope), await running(scope)
    for run in (quick, slow):
        await age(scope, run, 90_000)
    for number in range(20, 0, -1):
        await heartbeat(scope, quick, 100 + 30 * number)
        await heartbeat(scope, slow, 100 + 3600 * number)
    await judge(scope)
    assert await state_of(scope, quick) == "Crashed"
    assert await state_of(scope, slow) == "Running"


async def test_services_that_were_away_hear_first_what_they_missed(replicas: list[Scope]) -> None:
    """An hour of heartbeats came in while nobody listened; judging before all of it is read would end a healthy run."""
    scope = replicas[0]
    await here(scope, since=10_000)
    healthy, gone = await running(scope), await running(scope)
    for run in (healthy, gone):
        await age(scope, run, 9000)
        await heartbeat(scope, run, 3700)
    await consumer(scope, leased=False).drain()  # the last thing they did
    await send(scope, *(an_event() for _ in range(1200)))
    for ago in range(3600, 0, -180):
        await heartbeat(scope, healthy, ago)
    fresh = consumer(scope, leased=False)
    await heartbeats.judge(scope, fresh)  # one batch is not everything
    assert await state_of(scope, healthy) == await state_of(scope, gone) == "Running"
    await judge(*replicas)
    assert await state_of(scope, healthy) == "Running"
    assert await state_of(scope, gone) == "Crashed"


async def test_silence_nobody_listened_to_does_not_count(replicas: list[Scope]) -> None:
    """The API was away for an hour and is back for a minute."""
    scope = replicas[0]
    run = await running(scope)
    await age(scope, run, 9000)
    await heartbeat(scope, run, 3660)
    await here(scope, since=60)
    await judge(*replicas)
    assert await state_of(scope, run) == "Running"
    due = await scope.db.fetchval("SELECT due - now() FROM flow_run_heartbeat")
    assert timedelta(seconds=_PATIENCE - 70) < due < timedelta(seconds=_PATIENCE - 50)
    await here(scope, since=_PATIENCE + 1)
    await scope.db.execute("UPDATE flow_run_heartbeat SET due = now() - interval '1 minute'")  # time goes by
    await judge(*replicas)
    assert await state_of(scope, run) == "Crashed"


async def test_nobody_is_judged_while_the_api_is_away(scope: Scope) -> None:
    run = await running(scope)
    await age(scope, run, 9000)
    await heartbeat(scope, run, _PATIENCE + 60)
    await judge(scope)  # it was never there
    await here(scope, since=10_000, seen=100)
    await judge(scope)
    assert await state_of(scope, run) == "Running"
    await here(scope, since=10_000, seen=20)
    await judge(scope)
    assert await state_of(scope, run) == "Crashed", "it was silent for long enough before the API went away"


async def test_late_heartbeats_are_signs_of_life(scope: Scope) -> None:
    """They waited in the client's buffer, and came in all together."""
    await here(scope, since=10_000)
    run = await running(scope)
    await age(scope, run, 9000)
    for ago in range(5000, 1000, -180):
        await heartbeat(scope, run, ago, received_ago=10)
    await judge(scope)
    assert await state_of(scope, run) == "Running"


async def test_a_run_that_ended_meanwhile_stays_as_it_is(scope: Scope) -> None:
    await here(scope, since=10_000)
    ended, deleted, raced = [await running(scope) for _ in range(3)]
    for run in (ended, deleted, raced):
        await age(scope, run, 9000)
        await heartbeat(scope, run, 5000)
    await move(scope, ended, StateType.COMPLETED)
    await scope.db.execute("DELETE FROM flow_run WHERE id = $1", deleted)
    row = await scope.db.fetchrow(
        "SELECT id, workspace_id, state_id, now() AS heard FROM flow_run WHERE id = $1", raced
    )
    assert row is not None
    await move(scope, raced, StateType.COMPLETED)
    assert not await silence._crash(scope, row)
    await judge(scope)
    assert await state_of(scope, ended) == await state_of(scope, raced) == "Completed"
    assert await scope.db.fetchval("SELECT count(*) FROM flow_run_heartbeat") == 0, "what is over is forgotten"


async def test_a_run_that_was_scheduled_anew_is_judged_by_heartbeats_since(scope: Scope) -> None:
    """The process that has it now may send none."""
    await here(scope, since=10_000)
    mute, speaking = await running(scope), await running(scope)
    for run in (mute, speaking):
        await age(scope, run, 1000)
        await heartbeat(scope, run, 8000)
        await move(scope, run, StateType.SCHEDULED, "AwaitingRetry")
    await judge(scope)
    assert await state_of(scope, mute) == "AwaitingRetry"
    for run in (mute, speaking):
        await age(scope, run, 1000)
        await move(scope, run, StateType.PENDING)
        await move(scope, run, StateType.RUNNING)
        await age(scope, run, 6000)
    await heartbeat(scope, speaking, 6100)
    await judge(scope)
    assert await state_of(scope, mute) == "Running"
    assert await state_of(scope, speaking) == "Crashed"


async def test_a_paused_run_is_judged_when_it_goes_on(scope: Scope) -> None:
    await here(scope, since=100_000)
    run = await running(scope)
    await heartbeat(scope, run, 8000)
    await move(scope, run, StateType.PAUSED)
    await age(scope, run, 9000)
    await judge(scope)
    assert await state_of(scope, run) == "Paused"
    await move(scope, run, StateType.RUNNING)
    await scope.db.execute("UPDATE flow_run_heartbeat SET due = now() - interval '1 minute'")
    await judge(scope)
    assert await state_of(scope, run) == "Running", "whoever resumed it was alive"
    await age(scope, run, 1000)
    await scope.db.execute("UPDATE flow_run_heartbeat SET due = now() - interval '1 minute'")
    await judge(scope)
    assert await state_of(scope, run) == "Crashed"


async def test_one_look_costs_what_is_due(scope: Scope) -> None:
    """With thousands of runs alive, and hundreds to forget."""
    await scope.db.execute(
        """
        INSERT INTO flow_run_heartbeat
        SELECT gen_random_uuid(), $1, now(), now(), 30, now() + interval '90 seconds' FROM generate_series(1, 20000)
        """,
        scope.workspace_id,
    )
    await scope.db.execute(
        """
        INSERT INTO flow_run_heartbeat
        SELECT gen_random_uuid(), $1, now(), now(), 30, now() - interval '1 second' FROM generate_series(1, 700)
        """,
        scope.workspace_id,
    )
    await scope.db.execute("ANALYZE flow_run_heartbeat")
    await here(scope, since=10_000)
    listening = await present(scope.db)
    assert listening is not None
    await silence.crash_silent_runs(scope, listening)
    assert await scope.db.fetchval("SELECT count(*) FROM flow_run_heartbeat") == 20000
    plan = await scope.db.fetch("EXPLAIN SELECT * FROM flow_run_heartbeat WHERE due <= now() ORDER BY due LIMIT 200")
    assert any("flow_run_heartbeat_due" in row["QUERY PLAN"] for row in plan)


async def test_what_is_no_heartbeat_of_a_run_is_passed_over(scope: Scope) -> None:
    await send(
        scope,
        an_event("prefect.flow-run.heartbeat", "prefect.flow-run.not-an-id"),
        an_event("prefect.flow-run.heartbeat", "something.else"),
        an_event("prefect.flow-run.Running", f"prefect.flow-run.{uuid4()}"),
    )
    await judge(scope)
    assert await scope.db.fetchval("SELECT count(*) FROM flow_run_heartbeat") == 0
    assert await scope.db.fetchval("SELECT count(*) FROM event_dead_letter") == 0


async def test_presence_begins_anew_after_an_absence(scope: Scope) -> None:
    writer = EventWriter(scope.db, scope.doorbell, scope.settings.services.event_persister)
    presence = Presence(scope, writer)
    assert await present(scope.db) is None
    await presence.say()
    first = await present(scope.db)
    assert first is not None
    await scope.db.execute("UPDATE presence SET since = since - interval '1 hour', seen = seen - interval '10 seconds'")
    await presence.say()
    second = await present(scope.db)
    assert second is not None
    assert second.since < first.since, "ten seconds are no absence"
    await scope.db.execute("UPDATE presence SET seen = seen - interval '20 seconds'")
    await presence.say()
    third = await present(scope.db)
    assert third is not None
    assert third.since > first.since
    assert third.until - third.since < timedelta(seconds=1)


async def test_a_process_that_cannot_write_what_came_in_does_not_say_it_is_there(scope: Scope) -> None:
    writer = EventWriter(scope.db, scope.doorbell, scope.settings.services.event_persister)
    encoded = encode(Event.model_validate(an_event()), scope.workspace_id, scope.settings.events.maximum_size_bytes)
    assert encoded is not None
    await writer.put(encoded)  # it was not started: nothing is written
    saying = asyncio.create_task(Presence(scope, writer).say())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(saying), 0.2)
    assert await present(scope.db) is None
    writer.start()
    await saying
    assert await present(scope.db) is not None
    await writer.stop()


async def test_the_service_as_it_runs(replicas: list[Scope]) -> None:
    """Every replica at once, without taking turns, from the heartbeat to the crash."""
    scope = replicas[0]
    await here(scope, since=10_000)
    run = await running(scope)
    await age(scope, run, 9000)
    await heartbeat(scope, run, 5000)

    async def crashed() -> bool:
        return await state_of(scope, run) == "Crashed"

    deadline = asyncio.get_running_loop().time() + 20
    while not await crashed():
        if asyncio.get_running_loop().time() > deadline:
            raise WaitTimeout("the run was not found")
        await asyncio.gather(*(heartbeats.run(replica) for replica in replicas))
    assert (await history(scope, run)).count("Crashed") == 1


async def _silent(scope: Scope, retries: int) -> UUID:
    """A run of a deployment, executed once, that fell silent with a task under way."""
    run = await flow_run(scope, scheduled(0), policy=FlowRunPolicy(retries=retries))
    await deployment(scope, run, limit=1)
    for state in (StateType.PENDING, StateType.RUNNING):
        await set_flow_run_state(scope, run, Proposal(state, state.value.capitalize()))
    await task_run(scope, run)
    await age(scope, run, 1000)
    await heartbeat(scope, run, _PATIENCE + 5)
    return run


async def test_a_silent_run_is_run_again_as_often_as_its_policy_says(replicas: list[Scope]) -> None:
    scope = replicas[0]
    await here(scope, since=10_000)
    never, once = await _silent(scope, 0), await _silent(scope, 1)
    await judge(*replicas)
    assert await state_of(scope, never) == "Crashed"
    assert await history(scope, once) == ["Scheduled", "Pending", "Running", "AwaitingRetry"]
    assert await scope.db.fetchval("SELECT count(*) FROM concurrency_slot WHERE run_id = $1", once) == 0
    assert "No heartbeat came since" in str(await message(scope, once))
    zombie = Proposal(StateType.RUNNING, "Running")
    assert (await set_flow_run_state(scope, once, zombie)).status is Status.ABORT
    await age(scope, once, 1000)
    await leftovers.end_all(scope)
    (task,) = await scope.db.fetch("SELECT id FROM task_run WHERE flow_run_id = $1", once)
    assert await task_history(scope, task["id"]) == ["Running", "Crashed"]
    for state in (StateType.PENDING, StateType.RUNNING):
        await set_flow_run_state(scope, once, Proposal(state, state.value.capitalize()))
    again = await task_run(scope, once)
    await scope.db.execute("UPDATE task_run SET flow_run_run_count = 2 WHERE id = $1", again)
    await age(scope, once, 1000)
    await leftovers.end_all(scope)
    assert await task_history(scope, again) == ["Running"]
    await heartbeat(scope, once, _PATIENCE + 5)
    await judge(*replicas)
    assert await state_of(scope, once) == "Crashed", "it ends"


async def test_silent_runs_stay_crashed_if_nobody_wants_them_run_again(database: Database) -> None:  # noqa: F811
    off = {"SEMPRE_SERVER_SERVICES_HEARTBEATS_RETRY_CRASHED": "false"}
    async with open_scope(database, off) as scope:
        await consumer(scope, leased=False).drain()
        await here(scope, since=10_000)
        run = await _silent(scope, 3)
        await judge(scope)
        assert await state_of(scope, run) == "Crashed"
