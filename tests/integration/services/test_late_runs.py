"""Runs nobody picked up."""

from __future__ import annotations

from sempre.core.states import StateType
from sempre.core.transitions.model import Status
from sempre.server.flow_runs.orchestration import set_flow_run_state
from sempre.server.scope import Scope
from sempre.server.services import late_runs
from tests.integration.services.runs import PENDING, deployment, flow_run, history, message, move, scheduled, together


async def test_overdue_runs_become_late_once(scope: Scope, replica: Scope) -> None:
    overdue = [await flow_run(scope, scheduled(-16 - i)) for i in range(30)]
    soon = await flow_run(scope, scheduled(-5))
    retrying = await flow_run(scope, scheduled(-60, "AwaitingRetry"))
    await together(late_runs.run, scope, replica)
    for run in overdue:
        assert await history(scope, run) == ["Scheduled", "Late"]
    assert await history(scope, soon) == ["Scheduled"]
    assert await history(scope, retrying) == ["AwaitingRetry"]
    row = await scope.db.fetchrow(
        """
        SELECT next_scheduled_start_time, expected_start_time,
               (state_details->>'scheduled_time')::timestamptz AS scheduled_time,
               (SELECT count(*) FROM event e WHERE e.id = r.state_id AND e.event = 'prefect.flow-run.Late') AS events
        FROM flow_run r WHERE id = $1
        """,
        overdue[0],
    )
    assert row is not None
    assert row["next_scheduled_start_time"] == row["expected_start_time"] == row["scheduled_time"]
    assert row["events"] == 1
    await late_runs.run(scope)
    assert await history(scope, overdue[0]) == ["Scheduled", "Late"]


async def test_a_full_limit_cancels_the_new_run(scope: Scope, replica: Scope) -> None:
    holder = await flow_run(scope, scheduled(0))
    limited = await deployment(scope, holder, limit=1)
    taken = await set_flow_run_state(scope, holder, PENDING)
    assert taken.status is Status.ACCEPT
    waiting = await flow_run(scope, scheduled(-60), deployment_id=limited)
    await together(late_runs.run, scope, replica)
    assert await history(scope, waiting) == ["Scheduled", "Cancelled"]
    assert await message(scope, waiting) == "Deployment concurrency limit reached."
    await move(scope, holder, StateType.COMPLETED)


async def test_a_run_that_moved_on_is_left_alone(scope: Scope) -> None:
    run = await flow_run(scope, scheduled(-60))
    row = await scope.db.fetchrow("SELECT * FROM flow_run WHERE id = $1", run)
    assert row is not None
    await move(scope, run, StateType.PENDING)
    await late_runs._mark(scope, row)
    assert await history(scope, run) == ["Scheduled", "Pending"]
