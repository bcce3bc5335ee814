"""What cancelled runs leave behind, and cancellations nobody carries out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from sempre.core.states import StateType
from sempre.server.scope import Scope
from sempre.server.services import cancellation_cleanup
from sempre.server.worker_channel import cleanup
from tests.integration.services.runs import (
    deployment,
    flow_run,
    history,
    message,
    move,
    queue,
    task_history,
    task_run,
    together,
)

PARENT = "The parent flow run was cancelled."
TIMED_OUT = "Flow run cancellation timed out; marked this flow run as Cancelled."


async def cancelling(scope: Scope, seconds: float) -> UUID:
    """A running run whose cancellation was asked for so long ago."""
    run = await flow_run(scope)
    await move(scope, run, StateType.RUNNING)
    await move(scope, run, StateType.CANCELLING)
    await scope.db.execute(
        "UPDATE flow_run SET state_timestamp = state_timestamp - make_interval(secs => $2) WHERE id = $1", run, seconds
    )
    return run


async def messages(scope: Scope, run: UUID) -> list[dict[str, Any]]:
    rows = await scope.db.fetch("SELECT * FROM worker_cleanup WHERE target->>'flow_run_id' = $1", str(run))
    return [dict(row) for row in rows]


async def test_task_runs_of_cancelled_runs(scope: Scope, replica: Scope) -> None:
    run, other = await flow_run(scope), await flow_run(scope)
    live = [await task_run(scope, run, state) for state in (StateType.RUNNING, StateType.PENDING, StateType.PAUSED)]
    done = await task_run(scope, run, StateType.COMPLETED)
    elsewhere = await task_run(scope, other)
    await move(scope, run, StateType.CANCELLED)
    await together(cancellation_cleanup.run, scope, replica)
    for task in live:
        names = await task_history(scope, task)
        assert names[1:] == ["Cancelled"], names
    assert await task_history(scope, done) == ["Completed"]
    assert await task_history(scope, elsewhere) == ["Running"]
    text = await scope.db.fetchval("SELECT state_message FROM task_run WHERE id = $1", live[0])
    assert text == PARENT


async def test_subflows_of_cancelled_runs(scope: Scope, replica: Scope) -> None:
    parent, healthy = await flow_run(scope), await flow_run(scope)
    stands_for = [await task_run(scope, owner) for owner in (parent, parent, healthy)]
    plain, deployed, safe = [await flow_run(scope, parent_task_run_id=task) for task in stands_for]
    await deployment(scope, deployed)
    for run in (plain, deployed, safe):
        await move(scope, run, StateType.RUNNING)
    await scope.db.execute("UPDATE flow_run SET infrastructure_pid = 'pid' WHERE id = $1", deployed)
    await move(scope, parent, StateType.CANCELLED)
    await together(cancellation_cleanup.run, scope, replica)
    assert await history(scope, plain) == ["Pending", "Running", "Cancelled"]
    assert await message(scope, plain) == PARENT
    assert await history(scope, deployed) == ["Pending", "Running", "Cancelling"]
    assert await history(scope, safe) == ["Pending", "Running"]
    assert (await task_history(scope, stands_for[0])).count("Cancelled") == 1
    # The task run of a subflow that still stops ends with the subflow, not before.
    assert (await task_history(scope, stands_for[1]))[-1] == "Cancelling"
    await move(scope, deployed, StateType.CANCELLED)
    await together(cancellation_cleanup.run, scope, replica)
    assert (await task_history(scope, stands_for[1])).count("Cancelled") == 1


async def test_cancellations_time_out_once(scope: Scope, replica: Scope) -> None:
    overdue = [await cancelling(scope, 301) for _ in range(10)]
    pool = await queue(scope, overdue[0], "process")
    await queue(scope, overdue[1], "cloud-run:push")
    await queue(scope, overdue[2], "prefect:managed")
    recent = await cancelling(scope, 290)
    await together(cancellation_cleanup.run, scope, replica)
    for run in overdue:
        assert await history(scope, run) == ["Pending", "Running", "Cancelling", "Cancelled"]
    assert await message(scope, overdue[0]) == TIMED_OUT
    assert await history(scope, recent) == ["Pending", "Running", "Cancelling"]
    told = [await messages(scope, run) for run in overdue]
    assert [len(each) for each in told] == [1, *[0] * 9]
    sent = told[0][0]
    assert (sent["work_pool_id"], sent["kind"]) == (pool, cleanup.TIMED_OUT)
    assert sent["target"] == {"flow_run_id": str(overdue[0]), "infrastructure_pid": "pid"}


async def test_a_crash_before_the_message_loses_nothing(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await cancelling(scope, 301)
    await queue(scope, run, "process")

    async def killed(*_: Any, **__: Any) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(cleanup, "enqueue", killed)
        await cancellation_cleanup.run(scope)
    assert (await history(scope, run))[-1] == "Cancelled"
    assert await messages(scope, run) == []
    await cancellation_cleanup.run(scope)
    assert len(await messages(scope, run)) == 1
    # Neither does finishing it bring it back.
    await scope.db.execute("UPDATE worker_cleanup SET status = 'done'")
    await cancellation_cleanup.run(scope)
    assert [each["status"] for each in await messages(scope, run)] == ["done"]
