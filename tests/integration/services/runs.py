"""Runs in the states that services look for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sempre.core.states import StateDetails, StateType
from sempre.core.transitions.model import Policy, Proposal
from sempre.server.flow_runs.creation import NewRun, create_flow_run
from sempre.server.flow_runs.orchestration import set_flow_run_state
from sempre.server.flows.queries import create as create_flow
from sempre.server.scope import Scope
from sempre.server.task_runs.orchestration import set_task_run_state

PENDING = Proposal(StateType.PENDING, "Pending")


def at(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def scheduled(seconds: float, name: str = "Scheduled") -> Proposal:
    return Proposal(StateType.SCHEDULED, name, details=StateDetails(scheduled_time=at(seconds)))


async def flow_run(scope: Scope, proposal: Proposal = PENDING, **more: Any) -> UUID:
    flow = await create_flow(scope.db, scope.workspace_id, f"flow-{uuid4().hex}", [], {})
    assert flow is not None
    created, _ = await create_flow_run(scope, NewRun(flow_id=flow["id"], name="run", proposal=proposal, **more))
    return UUID(str(created["id"]))


async def task_run(scope: Scope, flow_run_id: UUID, state: StateType = StateType.RUNNING) -> UUID:
    id = uuid4()
    await scope.db.execute(
        """
        INSERT INTO task_run (workspace_id, id, name, flow_run_id, task_key, dynamic_key)
        VALUES ($1, $2, 'task', $3, 'task', $4)
        """,
        scope.workspace_id,
        id,
        flow_run_id,
        id.hex,
    )
    await set_task_run_state(scope, id, Proposal(state, state.value.capitalize()), Policy.FORCED)
    return id


async def move(scope: Scope, id: UUID, type: StateType, name: str | None = None, **more: Any) -> None:
    """Force a state."""
    await set_flow_run_state(scope, id, Proposal(type, name or type.value.capitalize(), **more), Policy.FORCED)


async def deployment(scope: Scope, flow_run_id: UUID, limit: int | None = None, strategy: str = "CANCEL_NEW") -> UUID:
    """A deployment for the run's flow, given to the run."""
    id, limit_id = uuid4(), None
    if limit is not None:
        limit_id = uuid4()
        await scope.db.execute(
            "INSERT INTO concurrency_limit (id, workspace_id, name, slot_limit) VALUES ($1, $2, $3, $4)",
            limit_id,
            scope.workspace_id,
            f"deployment:{id}",
            limit,
        )
    await scope.db.execute(
        """
        WITH made AS (
            INSERT INTO deployment (id, workspace_id, name, flow_id, concurrency_limit_id, concurrency_options)
            SELECT $1, workspace_id, 'd-' || $1::uuid::text, flow_id, $3, $4 FROM flow_run WHERE id = $2
        )
        UPDATE flow_run SET deployment_id = $1, version = version + 1 WHERE id = $2
        """,
        id,
        flow_run_id,
        limit_id,
        {"collision_strategy": strategy},
    )
    return id


async def queue(scope: Scope, flow_run_id: UUID, pool_type: str) -> UUID:
    """A work pool of this type whose queue the run is in; the pool's id."""
    pool_id, queue_id = uuid4(), uuid4()
    await scope.db.execute(
        "INSERT INTO work_pool (id, workspace_id, name, type) VALUES ($1, $2, $3, $4)",
        pool_id,
        scope.workspace_id,
        f"pool-{pool_id}",
        pool_type,
    )
    await scope.db.execute(
        "INSERT INTO work_queue (id, workspace_id, work_pool_id, name) VALUES ($1, $2, $3, 'default')",
        queue_id,
        scope.workspace_id,
        pool_id,
    )
    await scope.db.execute(
        "UPDATE flow_run SET work_queue_id = $1, infrastructure_pid = 'pid' WHERE id = $2", queue_id, flow_run_id
    )
    return pool_id


async def history(scope: Scope, id: UUID) -> list[str]:
    """Names of a flow run's states."""
    rows = await scope.db.fetch("SELECT name FROM flow_run_state WHERE flow_run_id = $1 ORDER BY timestamp", id)
    return [row["name"] for row in rows]


async def task_history(scope: Scope, id: UUID) -> list[str]:
    rows = await scope.db.fetch("SELECT name FROM task_run_state WHERE task_run_id = $1 ORDER BY timestamp", id)
    return [row["name"] for row in rows]


async def message(scope: Scope, id: UUID) -> str | None:
    text: str | None = await scope.db.fetchval("SELECT state_message FROM flow_run WHERE id = $1", id)
    return text


async def together(run: Callable[[Scope], Awaitable[None]], *scopes: Scope) -> None:
    """The same round, twice in every replica, at once."""
    await asyncio.gather(*(run(scope) for scope in scopes * 2))
