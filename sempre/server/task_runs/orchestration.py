"""Moving task runs over REST: the same read, decide, write-if-unchanged as for flow runs.

Tasks that the client orchestrates itself never pass here; their states arrive as events (the task-run recorder).
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sempre.core.states import State, StateDetails, StateType
from sempre.core.transitions import decide_task_run
from sempre.core.transitions.model import (
    CachedState,
    Policy,
    Proposal,
    Status,
    TagLimit,
    TaskRun,
    TaskRunFacts,
    TaskRunPolicy,
    TaskRunWrite,
)
from sempre.db.pool import Executor, Record
from sempre.server import states
from sempre.server.errors import ObjectNotFound
from sempre.server.ids import new_id
from sempre.server.orchestration import (
    MAX_ATTEMPTS,
    Outcome,
    attempt,
    gave_up,
    inputs_at,
    lost_race,
    result_parameters,
    slot_parameters,
)
from sempre.server.scope import Scope
from sempre.server.task_runs.statements import LOAD, LOAD_TAG_LIMITS, write_transition

__all__ = ["mirror_parameters", "policy_from_json", "read_for_mirror", "run_of", "run_parameters", "set_task_run_state"]


async def set_task_run_state(
    scope: Scope, id: UUID, proposal: Proposal, policy: Policy = Policy.CORE, *, only_from: UUID | None = None
) -> Outcome:
    """Propose a state for a task run, and persist what the rules make of it.

    ``only_from``: do nothing (ABORT) unless this is still the current state's id, for sweeps that act on what they saw.

    Raises ObjectNotFound for an unknown run, DatabaseUnavailable if the database is away.
    """
    for attempts in range(MAX_ATTEMPTS):
        row = await scope.db.fetchrow(
            LOAD.sql, *LOAD.bind(id=id, workspace_id=scope.workspace_id, cache_key=proposal.details.cache_key)
        )
        if row is None:
            raise ObjectNotFound(f"Task run with id {id} not found")
        run = run_of(row)
        if only_from is not None and (run.state is None or run.state.id != only_from):
            return Outcome(Status.ABORT, run.state, "The run has moved on.")
        facts = await _facts(scope, row, run)
        decision = decide_task_run(run, proposal, facts, inputs_at(row["now"]), policy)
        if decision.write is None:
            return Outcome(decision.status, run.state, decision.reason, decision.delay_seconds)
        if await _write(scope, row, decision.write):
            if decision.write.enqueue:
                scope.doorbell.ring("background_tasks")
            return Outcome(decision.status, decision.write.state, decision.reason, written=True)
        await lost_race(attempts)
    raise gave_up("task run", id)


def run_of(row: Record) -> TaskRun:
    """The decision's view of a ``task_run`` row."""
    return TaskRun(
        id=row["id"],
        state=states.from_row(row),
        policy=policy_from_json(row["empirical_policy"]),
        flow_run_id=row["flow_run_id"],
        task_key=row["task_key"],
        tags=tuple(row["tags"]),
        run_count=row["run_count"],
        flow_run_run_count=row["flow_run_run_count"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        expected_start_time=row["expected_start_time"],
        next_scheduled_start_time=row["next_scheduled_start_time"],
        total_run_time=row["total_run_time"],
    )


def policy_from_json(stored: Mapping[str, Any]) -> TaskRunPolicy:
    delay = stored.get("retry_delay")
    return TaskRunPolicy(
        max_retries=stored.get("max_retries", 0),
        retry_delay_seconds=stored.get("retry_delay_seconds", 0.0),
        retries=stored.get("retries"),
        retry_delay=tuple(delay) if isinstance(delay, list) else delay,
        retry_jitter_factor=stored.get("retry_jitter_factor"),
    )


def run_parameters(run: TaskRun, prefix: str = "") -> dict[str, Any]:
    """Statement parameters for the columns a transition derives."""
    return {
        prefix + "id": run.id,
        prefix + "run_count": run.run_count,
        prefix + "flow_run_run_count": run.flow_run_run_count,
        prefix + "start_time": run.start_time,
        prefix + "end_time": run.end_time,
        prefix + "expected_start_time": run.expected_start_time,
        prefix + "next_scheduled_start_time": run.next_scheduled_start_time,
        prefix + "total_run_time": run.total_run_time,
    }


async def read_for_mirror(db: Executor, workspace_id: UUID, id: UUID) -> tuple[int, TaskRun] | None:
    """The task run that stands for a subflow, with the version to write against."""
    row = await db.fetchrow("SELECT * FROM task_run WHERE workspace_id = $1 AND id = $2", workspace_id, id)
    return None if row is None else (row["version"], run_of(row))


def mirror_parameters(version: int, write: TaskRunWrite) -> dict[str, Any]:
    """Parameters of ``MIRROR_STATE`` and ``MIRROR_RESULT``."""
    return {
        "m_version": version,
        "m_artifact_id": new_id(),
        **run_parameters(write.run, "m_"),
        **states.columns(write.state, states.result_of(write.state), "m_"),
    }


async def _facts(scope: Scope, row: Record, run: TaskRun) -> TaskRunFacts:
    limits: tuple[TagLimit, ...] = ()
    if row["has_tag_limits"]:
        found = await scope.db.fetch(
            LOAD_TAG_LIMITS.sql,
            *LOAD_TAG_LIMITS.bind(id=run.id, workspace_id=scope.workspace_id, names=[f"tag:{tag}" for tag in run.tags]),
        )
        limits = tuple(
            TagLimit(
                id=limit["id"],
                tag=limit["tag"],
                limit=limit["slot_limit"],
                active=limit["active"],
                in_use=limit["in_use"],
                held=limit["held"],
                avg_slot_occupancy_seconds=limit["avg_slot_occupancy_seconds"],
            )
            for limit in found
        )
    cached = None
    if row["cached_name"] is not None:
        cached = CachedState(
            name=row["cached_name"],
            message=row["cached_message"],
            data=row["cached_data"],
            details=StateDetails.from_json(row["cached_details"]),
        )
    return TaskRunFacts(
        flow_run_exists=row["found_flow_run_id"] is not None,
        flow_run_run_count=row["parent_run_count"] or 0,
        flow_run_state=_flow_run_state(row),
        tag_limits=limits,
        cached=cached,
        max_cache_key_length=scope.settings.tasks.max_cache_key_length,
        tag_slot_wait_seconds=scope.settings.tasks.tag_slot_wait_seconds,
        client_version=scope.client.version,
    )


def _flow_run_state(row: Record) -> State | None:
    if row["parent_state_id"] is None:
        return None
    return State(
        id=row["parent_state_id"],
        type=StateType(row["parent_state_type"]),
        name=row["parent_state_name"],
        timestamp=row["parent_state_timestamp"],
        details=StateDetails.from_json(row["parent_state_details"]),
    )


async def _write(scope: Scope, row: Record, write: TaskRunWrite) -> bool:
    result = states.result_of(write.state)
    parameters: dict[str, Any] = {
        "workspace_id": scope.workspace_id,
        "version": row["version"],
        **run_parameters(write.run),
        **states.columns(write.state, result),
        **slot_parameters(write.take, "task_run"),
    }
    if result is not None:
        parameters.update(result_parameters(result))
    if write.cache is not None:
        parameters["written_cache_key"], parameters["written_cache_expiration"] = write.cache
    statement = write_transition(
        result=result is not None,
        take=write.take is not None and not write.take.renew_only,
        renew=write.take is not None and write.take.renew_only,
        free=write.release and row["holds_any_slot"],
        cache_result=write.cache is not None,
        enqueue=write.enqueue,
    )
    return await attempt(scope.db, statement, parameters)
