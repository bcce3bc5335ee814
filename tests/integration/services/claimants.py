"""Workers and runners that claim runs, fall silent and come back."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sempre.core.states import Claimant, StateType
from sempre.core.transitions.model import Proposal, Status
from sempre.server.flow_runs.orchestration import set_flow_run_state
from sempre.server.heartbeats.presence import Present
from sempre.server.scope import Client, Scope
from sempre.server.work_pools.heartbeats import record_heartbeat
from tests.integration.services.runs import deployment, flow_run, queue, scheduled

T = StateType


def here(*, since: float = 86400.0, until: float = 0.0) -> Present:
    """Somebody was there from ``since`` seconds ago until ``until`` seconds ago."""
    now = datetime.now(UTC)
    return Present(now - timedelta(seconds=since), now - timedelta(seconds=until))


def as_worker(scope: Scope, name: str | None, id: UUID | None = None) -> Scope:
    worker = None if name is None else Claimant(name, None if id is None else str(id))
    return dataclasses.replace(scope, client=Client(version=(3, 8, 8), worker=worker))


async def propose(scope: Scope, run: UUID, type: StateType, name: str | None = None) -> Status:
    proposal = Proposal(type, name or type.value.capitalize())
    return (await set_flow_run_state(scope, run, proposal)).status


async def age(scope: Scope, run: UUID, seconds: float) -> None:
    """Everything that happened to the run happened so much earlier."""
    back = timedelta(seconds=seconds)
    await scope.db.execute(
        "UPDATE flow_run_state SET timestamp = timestamp - $2::interval WHERE flow_run_id = $1", run, back
    )
    await scope.db.execute(
        """
        UPDATE flow_run SET state_timestamp = state_timestamp - $2::interval, start_time = start_time - $2::interval,
            expected_start_time = expected_start_time - $2::interval, end_time = end_time - $2::interval,
            next_scheduled_start_time = next_scheduled_start_time - $2::interval, version = version + 1
        WHERE id = $1
        """,
        run,
        back,
    )


async def beat(scope: Scope, pool: UUID, name: str, ago: float, session: UUID | None = None) -> None:
    pool_name = await scope.db.fetchval("SELECT name FROM work_pool WHERE id = $1", pool)
    await record_heartbeat(scope, pool_name, name, 30, session_id=session)
    for table, key, value in (("worker", "name", name), ("worker_session", "id", session)):
        await scope.db.execute(
            f"UPDATE {table} SET last_heartbeat_time = now() - $3::interval WHERE work_pool_id = $1 AND {key} = $2",
            pool,
            value,
            timedelta(seconds=ago),
        )


async def in_pool(scope: Scope, pool_type: str = "process", pid: str | None = None, limit: int | None = None) -> Any:
    """A scheduled run of a deployment in a pool; ``(run, pool, deployment)``."""
    run = await flow_run(scope, scheduled(-1))
    deployed = await deployment(scope, run, limit)
    pool = await queue(scope, run, pool_type)
    await scope.db.execute("UPDATE flow_run SET infrastructure_pid = $2, version = version + 1 WHERE id = $1", run, pid)
    return run, pool, deployed


async def claimed(
    scope: Scope, *, name: str | None = "one", session: UUID | None = None, ago: float = 1000.0, **more: Any
) -> Any:
    """The same, claimed so many seconds ago."""
    run, pool, deployed = await in_pool(scope, **more)
    worker = as_worker(scope, name, session)
    assert await propose(worker, run, T.PENDING) is Status.ACCEPT
    assert await propose(worker, run, T.PENDING, "Submitting") is Status.ACCEPT
    await age(scope, run, ago)
    return run, pool, deployed


async def state(scope: Scope, run: UUID) -> Any:
    return await scope.db.fetchrow("SELECT * FROM flow_run WHERE id = $1", run)
