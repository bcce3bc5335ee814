"""Runs whose worker, runner, script or process is gone: found, and nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from sempre.core.states import Claimant, StateDetails, StateType
from sempre.core.transitions.model import FlowRunPolicy, Status
from sempre.server import states
from sempre.server.scope import Scope
from sempre.server.services import abandoned_runs, claims, leftovers
from tests.integration.services.claimants import age, as_worker, beat, claimed, here, propose, state
from tests.integration.services.runs import (
    deployment,
    flow_run,
    history,
    message,
    move,
    scheduled,
    task_history,
    task_run,
    together,
)
from tests.support.database import Database
from tests.support.rooms import open_rooms

T = StateType
PATIENCE = 90.0  # three heartbeats, 30 s apart
INFRASTRUCTURE = 900.0
RUNNER = 180.0


@pytest.mark.parametrize(
    ("since_claim", "since_beat", "present", "pool_type", "pid", "taken"),
    [
        (100, 100, {}, "process", None, True),
        (100, 85, {}, "process", None, False),  # it is heard of
        (85, 1000, {}, "process", None, False),  # the claim itself was a sign of life
        (1000, 1000, {"since": 85}, "process", None, False),  # the API was away until then
        (1000, 1000, {"until": 950}, "process", None, False),  # and since then
        (1000, 1000, {"since": 95}, "process", None, True),
        (100, 100, {}, "process", "4711", True),  # a process of that machine would have come up
        (100, 100, {}, "kubernetes", None, True),  # nothing was started that could
        (800, 800, {}, "kubernetes", "ns:job", False),  # a slow image outlives the worker
        (1000, 1000, {}, "kubernetes", "ns:job", True),
        (3500, 1, {}, "kubernetes", None, False),
        (3700, 1, {}, "kubernetes", None, True),  # the living worker has forgotten it
        (90000, 1, {}, "kubernetes", "ns:job", False),  # a cluster that is full for a day
    ],
)
async def test_whose_claims_are_taken_back(
    scope: Scope, since_claim: float, since_beat: float, present: Any, pool_type: str, pid: str | None, taken: bool
) -> None:
    run, pool, _ = await claimed(scope, ago=since_claim, pool_type=pool_type, pid=pid)
    await beat(scope, pool, "one", since_beat)
    await claims.take_back(scope, here(**present))
    row = await state(scope, run)
    assert row["state_type"] == ("SCHEDULED" if taken else "PENDING")
    assert (row["infrastructure_pid"] is None) == (taken or pid is None)


async def test_a_run_goes_back_to_the_queue_with_everything_it_held(scope: Scope, replica: Scope) -> None:
    run, pool, _ = await claimed(scope, pool_type="kubernetes", pid="ns:job", limit=1)
    slots = "SELECT count(*) FROM concurrency_slot WHERE run_id = $1"
    assert await scope.db.fetchval(slots, run) == 1
    await together(lambda each: claims.take_back(each, here()), scope, replica)
    row = await state(scope, run)
    assert (row["state_type"], row["state_name"]) == ("SCHEDULED", "Scheduled")
    assert row["next_scheduled_start_time"] <= datetime.now(UTC)
    assert await history(scope, run) == ["Scheduled", "Pending", "Submitting", "Scheduled"], "once"
    assert await message(scope, run) == "Worker 'one' claimed this run and is not heard of any more."
    assert await scope.db.fetchval(slots, run) == 0
    events = "SELECT count(*) FROM event WHERE id = $1"
    assert await scope.db.fetchval(events, row["state_id"]) == 1
    torn_down = await scope.db.fetch("SELECT kind, target FROM worker_cleanup WHERE work_pool_id = $1", pool)
    assert [(each["kind"], each["target"]) for each in torn_down] == [
        ("pending_claim_teardown.v1", {"flow_run_id": str(run), "infrastructure_pid": "ns:job"})
    ]
    # another one takes it, and the first one comes back
    one, two = as_worker(scope, "one"), as_worker(scope, "two")
    assert await propose(one, run, T.RUNNING) is Status.ABORT
    assert await propose(two, run, T.PENDING) is Status.ACCEPT
    assert await propose(one, run, T.PENDING, "Submitting") is Status.ABORT
    assert await propose(one, run, T.RUNNING) is Status.ABORT
    assert await propose(two, run, T.RUNNING) is Status.ACCEPT
    assert await propose(one, run, T.RUNNING) is Status.ABORT
    assert await propose(one, run, T.CRASHED) is Status.ABORT
    assert await propose(two, run, T.COMPLETED) is Status.ACCEPT
    assert await propose(one, run, T.RUNNING) is Status.ABORT


async def test_a_name_that_came_back_in_another_process_does_not_speak_for_the_first(scope: Scope) -> None:
    first, second = uuid4(), uuid4()
    run, pool, _ = await claimed(scope, session=first)
    await beat(scope, pool, "one", 200, first)
    await beat(scope, pool, "one", 1, second)
    alive, its_pool, _ = await claimed(scope, session=second)
    await beat(scope, its_pool, "one", 1)  # it was cut off its channel, and sends its heartbeats the other way
    await claims.take_back(scope, here())
    assert (await state(scope, run))["state_type"] == "SCHEDULED"
    assert (await state(scope, alive))["state_type"] == "PENDING"
    again = as_worker(scope, "one", second)
    assert await propose(again, run, T.PENDING) is Status.ACCEPT
    assert await propose(as_worker(scope, "one", first), run, T.RUNNING) is Status.ABORT
    assert await propose(again, run, T.RUNNING) is Status.ACCEPT


@pytest.mark.parametrize(("polled", "ago", "taken"), [(170, 1000, False), (190, 170, False), (190, 190, True)])
async def test_runners_are_judged_by_their_polls(scope: Scope, polled: float, ago: float, taken: bool) -> None:
    run = await flow_run(scope, scheduled(-1))
    deployed = await deployment(scope, run)
    assert await propose(as_worker(scope, None), run, T.PENDING) is Status.ACCEPT
    await age(scope, run, ago)
    await scope.db.execute(
        "UPDATE deployment SET last_polled = now() - $2::interval WHERE id = $1", deployed, timedelta(seconds=polled)
    )
    await claims.take_back(scope, here())
    assert (await state(scope, run))["state_type"] == ("SCHEDULED" if taken else "PENDING")
    if taken:
        assert await propose(scope, run, T.RUNNING) is Status.ABORT, "the runner's process comes up after all"
        assert await propose(scope, run, T.PENDING) is Status.ACCEPT
        assert await propose(scope, run, T.RUNNING) is Status.ACCEPT
        assert await propose(scope, run, T.RUNNING) is Status.ABORT, "one of both"


async def test_a_run_that_nobody_can_take_any_more_is_crashed(scope: Scope) -> None:
    run = await flow_run(scope, scheduled(-1))
    deployed = await deployment(scope, run)
    assert await propose(scope, run, T.PENDING) is Status.ACCEPT
    await age(scope, run, 1000)
    await scope.db.execute("DELETE FROM deployment WHERE id = $1", deployed)
    await claims.take_back(scope, here())
    assert (await state(scope, run))["state_type"] == "CRASHED"


async def test_a_worker_without_heartbeats_has_time_to_start_something(scope: Scope) -> None:
    soon, _, _ = await claimed(scope, ago=800)
    late, _, _ = await claimed(scope, ago=1000)
    await claims.take_back(scope, here())
    assert (await state(scope, soon))["state_type"] == "PENDING"
    assert (await state(scope, late))["state_type"] == "SCHEDULED"


@pytest.mark.parametrize(("ago", "taken"), [(800, False), (1000, True)])
async def test_a_worker_that_runs_once_polls_no_more(scope: Scope, ago: float, taken: bool) -> None:
    """And does not say its name: it is not taken for a dead runner while it pulls an image."""
    run, pool, _ = await claimed(scope, name=None, ago=ago)
    await beat(scope, pool, "another", 1)
    await claims.take_back(scope, here())
    assert (await state(scope, run))["state_type"] == ("SCHEDULED" if taken else "PENDING")


async def test_pending_runs_of_scripts(scope: Scope) -> None:
    left, fresh = await flow_run(scope), await flow_run(scope)
    parent, ended = await flow_run(scope), await flow_run(scope)
    await move(scope, parent, T.RUNNING)
    await move(scope, ended, T.COMPLETED)
    child = await flow_run(scope, parent_task_run_id=await task_run(scope, parent, T.PENDING))
    orphan = await flow_run(scope, parent_task_run_id=await task_run(scope, ended, T.PENDING))
    for run in (left, child, orphan):
        await age(scope, run, 3700)
    await claims.end_waiting_for_nobody(scope, here(since=3500))
    assert (await state(scope, left))["state_type"] == "PENDING", "the API was away in between"
    await claims.end_waiting_for_nobody(scope, here())
    types = [(await state(scope, run))["state_type"] for run in (left, fresh, child, orphan)]
    assert types == ["CRASHED", "PENDING", "PENDING", "CRASHED"]


@pytest.mark.parametrize(("deployed", "expected"), [(True, "AwaitingRetry"), (False, "Crashed")])
async def test_a_retry_whose_process_died_while_it_waited(scope: Scope, deployed: bool, expected: str) -> None:
    run = await flow_run(scope, policy=FlowRunPolicy(retries=2, retry_delay=5))
    if deployed:
        await deployment(scope, run)
    await move(scope, run, T.RUNNING)
    await propose(scope, run, T.FAILED)
    before = await state(scope, run)
    assert (before["state_name"], before["empirical_policy"]["retry_type"]) == ("AwaitingRetry", "in_process")
    await age(scope, run, 800)
    await claims.end_waiting_for_nobody(scope, here())
    assert (await state(scope, run))["state_id"] == before["state_id"]
    await age(scope, run, 200)
    await claims.end_waiting_for_nobody(scope, here())
    after = await state(scope, run)
    assert after["state_name"] == expected
    assert after["state_id"] != before["state_id"]
    if deployed:
        assert after["empirical_policy"]["retry_type"] == "reschedule"


@pytest.mark.parametrize(
    ("since_beat", "since_cancelling", "pulse", "ended"),
    [(100, 100, None, True), (10, 250, None, False), (100, 50, None, False), (100, 100, 60, False)],
)
async def test_cancellations_of_a_dead_worker(
    scope: Scope, since_beat: float, since_cancelling: float, pulse: float | None, ended: bool
) -> None:
    run, pool, _ = await claimed(scope, ago=0)
    await propose(as_worker(scope, "one"), run, T.RUNNING)
    await move(scope, run, T.CANCELLING)
    await age(scope, run, since_cancelling)
    await beat(scope, pool, "one", since_beat)
    if pulse is not None:
        await scope.db.execute(
            "INSERT INTO flow_run_heartbeat VALUES ($1, $2, now(), now(), 60, now() + $3::interval)",
            run,
            scope.workspace_id,
            timedelta(seconds=pulse),
        )
    await claims.end_cancellations(scope, here())
    assert (await state(scope, run))["state_type"] == ("CANCELLED" if ended else "CANCELLING")


async def test_what_a_crashed_run_leaves_behind(scope: Scope, replica: Scope) -> None:
    run, elsewhere = await flow_run(scope), await flow_run(scope)
    await move(scope, run, T.RUNNING)
    await move(scope, elsewhere, T.RUNNING)
    lone, done, background = [await task_run(scope, run, type) for type in (T.RUNNING, T.COMPLETED, T.SCHEDULED)]
    await scope.db.execute(
        "UPDATE task_run_state SET details = details || '{\"deferred\": true}' WHERE task_run_id = $1", background
    )
    other = await task_run(scope, elsewhere)
    inside, outside = await task_run(scope, run), await task_run(scope, run)
    child = await flow_run(scope, parent_task_run_id=inside)
    deployed = await flow_run(scope, parent_task_run_id=outside)
    await deployment(scope, deployed)
    for subflow in (child, deployed):
        await move(scope, subflow, T.RUNNING)
    lease = "INSERT INTO concurrency_lease (id, workspace_id, expires_at, slots, limit_ids, holder_type, holder_id)"
    held = {holder: uuid4() for holder in (run, lone, elsewhere)}
    limit = uuid4()
    await scope.db.execute(
        "INSERT INTO concurrency_limit (id, workspace_id, name, slot_limit) VALUES ($1, $2, $3, 9)",
        limit,
        scope.workspace_id,
        limit.hex,
    )
    for number, (holder, id) in enumerate(held.items(), start=1):
        kind = "task_run" if holder == lone else "flow_run"
        await scope.db.execute(
            f"{lease} VALUES ($1, $2, now() + interval '1 year', 1, ARRAY[$3::uuid], $4, $5)",
            id,
            scope.workspace_id,
            limit,
            kind,
            holder,
        )
        await scope.db.execute(
            "INSERT INTO concurrency_slot (limit_id, slot, workspace_id, lease_id) VALUES ($1, $2, $3, $4)",
            limit,
            number,
            scope.workspace_id,
            id,
        )
    await move(scope, run, T.CRASHED)
    await together(leftovers.end_all, scope, replica)
    assert await task_history(scope, lone) == ["Running"], "its last words may still be on their way"
    await age(scope, run, 61)
    await together(leftovers.end_all, scope, replica)
    assert await task_history(scope, lone) == ["Running", "Crashed"]
    assert await task_history(scope, done) == ["Completed"]
    assert await task_history(scope, background) == ["Scheduled"]
    assert await task_history(scope, other) == ["Running"]
    assert (await state(scope, child))["state_type"] == "CRASHED"
    assert (await task_history(scope, inside))[-1] == "Crashed", "it shows its subflow's state"
    assert (await state(scope, deployed))["state_type"] == "RUNNING", "it runs by itself"
    assert (await task_history(scope, outside))[-1] == "Running"
    await scope.db.execute(
        "UPDATE task_run SET state_timestamp = state_timestamp - interval '61 s' WHERE id = $1", lone
    )
    await leftovers.end_all(scope)
    left = await scope.db.fetch("SELECT lease_id FROM concurrency_slot WHERE limit_id = $1", limit)
    assert [row["lease_id"] for row in left] == [held[elsewhere]]


async def test_what_a_crashed_attempt_left_though_the_run_was_run_again(scope: Scope) -> None:
    run = await flow_run(scope)
    await deployment(scope, run)
    await move(scope, run, T.RUNNING)
    begun, waiting = await task_run(scope, run), await task_run(scope, run, T.PENDING)
    await move(scope, run, T.CRASHED)
    await move(scope, run, T.SCHEDULED)
    await move(scope, run, T.PENDING)
    await move(scope, run, T.RUNNING)
    later, not_ready = await task_run(scope, run), await task_run(scope, run, T.PENDING)
    await scope.db.execute("UPDATE task_run SET flow_run_run_count = 2 WHERE id = $1", later)
    await scope.db.execute("UPDATE task_run SET flow_run_run_count = 1 WHERE id = $1", begun)
    for end in (T.RUNNING, T.COMPLETED):
        if end is T.COMPLETED:
            await move(scope, run, end)
        await leftovers.end_all(scope)
    assert await task_history(scope, begun) == ["Running"], "its last words may still be on their way"
    await scope.db.execute(
        "UPDATE flow_run SET state_timestamp = state_timestamp - interval '61 s', version = version + 1 WHERE id = $1",
        run,
    )
    await leftovers.end_all(scope)
    assert await task_history(scope, begun) == ["Running", "Crashed"]
    assert await task_history(scope, waiting) == ["Pending", "Crashed"]
    assert await task_history(scope, later) == ["Running"], "it is of the attempt that did not crash"
    assert await task_history(scope, not_ready) == ["Pending"]


async def test_what_a_killed_subflow_left_that_went_on_in_its_parents_next_process(scope: Scope) -> None:
    run = await flow_run(scope)
    await move(scope, run, T.RUNNING)
    begun, waiting = await task_run(scope, run), await task_run(scope, run, T.PENDING)
    await scope.db.execute("UPDATE task_run SET flow_run_run_count = 1 WHERE id = $1", begun)
    await move(scope, run, T.RUNNING)
    await move(scope, run, T.COMPLETED)
    await age(scope, run, 61)
    await scope.db.execute(
        "UPDATE task_run SET state_timestamp = state_timestamp - interval '61 s' WHERE id = ANY($1)", [begun, waiting]
    )
    await leftovers.end_all(scope)
    assert (await task_history(scope, begun))[-1] == "Crashed"
    assert await task_history(scope, waiting) == ["Pending"]


async def test_subflows_of_a_parent_that_ended_in_order(scope: Scope) -> None:
    parent = await flow_run(scope)
    await move(scope, parent, T.RUNNING)
    child = await flow_run(scope, parent_task_run_id=await task_run(scope, parent))
    await move(scope, child, T.RUNNING)
    await move(scope, parent, T.COMPLETED)
    await age(scope, parent, 500)
    await leftovers.end_all(scope)
    assert (await state(scope, child))["state_type"] == "RUNNING"
    await age(scope, parent, 200)
    await leftovers.end_all(scope)
    assert (await state(scope, child))["state_type"] == "CRASHED"


async def test_nothing_is_judged_where_nobody_ever_listened(scope: Scope) -> None:
    run, pool, _ = await claimed(scope)
    await beat(scope, pool, "one", 1000)
    await scope.db.execute("DELETE FROM presence")
    await abandoned_runs.run(scope)
    assert (await state(scope, run))["state_type"] == "PENDING"
    await scope.db.execute("INSERT INTO presence VALUES ('requests', now() - interval '1 day', now())")
    await abandoned_runs.run(scope)
    assert (await state(scope, run))["state_type"] == "SCHEDULED"


def test_details_of_a_claim_are_not_shown() -> None:
    row: Any = {
        "id": uuid4(),
        "type": "PENDING",
        "name": "Pending",
        "timestamp": datetime.now(UTC),
        "message": None,
        "data": None,
        "details": StateDetails(claim=Claimant("one"), taken_back=(Claimant(),)).to_json(),
    }
    wire = states.row_to_wire(row)
    assert wire is not None
    assert not {"claim", "taken_back"} & wire["state_details"].keys()


async def test_what_a_frozen_worker_starts_is_not_the_runs(database: Database) -> None:
    async with open_rooms(database) as rooms:
        scope = rooms.scope
        run, pool, _ = await claimed(scope)
        await beat(scope, pool, "one", 1000)
        await claims.take_back(scope, here())
        await propose(as_worker(scope, "two"), run, T.PENDING)
        for name in ("two", "one"):
            rooms.http.headers["X-Prefect-Worker-Name"] = name
            await rooms.patch(f"/flow_runs/{run}", {"infrastructure_pid": f"of {name}"})
        shown = await rooms.get(f"/flow_runs/{run}")
        assert shown["infrastructure_pid"] == "of two"
        assert not {"claim", "taken_back"} & shown["state"]["state_details"].keys()


async def test_looks_cost_what_is_in_flight(scope: Scope) -> None:
    """Every look that this service takes, with ten thousand runs that have ended."""
    flow = await scope.db.fetchval("SELECT flow_id FROM flow_run WHERE id = $1", await flow_run(scope))
    await scope.db.execute(
        """
        INSERT INTO flow_run (id, workspace_id, name, flow_id, state_id, state_type, state_name, state_timestamp,
            expected_start_time, start_time, end_time, empirical_policy)
        SELECT gen_random_uuid(), $1, 'old', $2, gen_random_uuid(), 'COMPLETED', 'Completed',
            ago, ago, ago, ago, '{}'
        FROM generate_series(1, 10000) AS n CROSS JOIN LATERAL (SELECT now() - n * interval '1 s' AS ago) times
        """,
        scope.workspace_id,
        flow,
    )
    await scope.db.execute("ANALYZE flow_run")
    now = here()
    claimant = (now.since, now.until, 3.0, 30.0, 180.0, 900.0)
    looks = [
        (claims._LOST, (*claimant, 3600.0)),
        (claims._CANCELLING, (*claimant, 60.0)),
        (claims._UNHEARD, (*claimant, 540.0)),
        (claims._AD_HOC, (now.since, now.until, 3600.0)),
        (claims._UNRETRIED, (now.since, now.until, 900.0)),
        (leftovers._TASK_RUNS, (60.0,)),
        (leftovers._SUBFLOWS, (60.0, 600.0)),
        (leftovers._LEASES, (60.0, 600.0)),
    ]
    for sql, arguments in looks:
        plan = await scope.db.fetch(f"EXPLAIN {sql}", 200, *arguments)
        text = "\n".join(row[0] for row in plan)
        assert "Seq Scan on flow_run " not in text, text
    await scope.db.execute("DELETE FROM flow_run WHERE name = 'old'")
    await scope.db.execute("ANALYZE flow_run")
