"""Creating task runs: get-or-create by natural key, the run and its first state in one statement."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg

from sempre.core.transitions import decide_task_run
from sempre.core.transitions.model import Policy, Proposal, TaskRun, TaskRunFacts, TaskRunWrite
from sempre.db.pool import Executor, Record
from sempre.db.statement import Statement
from sempre.schemas.task_runs import TaskRunCreate
from sempre.server import states
from sempre.server.errors import INTEGRITY, Conflict, Unprocessable
from sempre.server.ids import new_id
from sempre.server.orchestration import MAX_ATTEMPTS, attempt, gave_up, inputs_at, result_parameters
from sempre.server.responses import dumps
from sempre.server.scope import Scope
from sempre.server.task_runs import rows
from sempre.server.task_runs.orchestration import run_parameters
from sempre.server.task_runs.queries import find_by_key
from sempre.server.task_runs.statements import create_run

__all__ = ["MAX_MESSAGE_BYTES", "create_task_run"]

# What the websockets of task workers take in one message.
MAX_MESSAGE_BYTES = 1024 * 1024

# What a new run's labels and first state are made of.
_SURROUNDINGS = Statement("""
SELECT clock_timestamp() AS now, r.id AS found_flow_run_id, r.labels AS flow_run_labels,
       r.run_count AS parent_run_count
FROM (SELECT :flow_run_id::uuid AS id) asked
    LEFT JOIN flow_run r ON r.id = asked.id AND r.workspace_id = :workspace_id::uuid
""")


async def create_task_run(scope: Scope, run: TaskRunCreate, proposal: Proposal) -> tuple[dict[str, Any], bool]:
    """``(task run on the wire, whether it is new)``.

    A run with the same natural key is returned as it is, whatever else was asked for. Raises Conflict for an unknown
    flow run or an id that another run has, Unprocessable for a background run that no task worker could receive.
    """
    db, workspace_id = scope.db, scope.workspace_id
    for _ in range(MAX_ATTEMPTS):
        around = await db.fetchrow(
            _SURROUNDINGS.sql, *_SURROUNDINGS.bind(flow_run_id=run.flow_run_id, workspace_id=workspace_id)
        )
        if around is None or (run.flow_run_id is not None and around["found_flow_run_id"] is None):
            raise Conflict(INTEGRITY)
        taken = False
        try:
            created = await _insert(scope, run, proposal, around)
        except asyncpg.UniqueViolationError:
            # The id is taken: by the same run, if its creation was sent twice at once, or by another one.
            created, taken = None, True
        if created is not None:
            return created, True
        existing = await find_by_key(db, workspace_id, run.flow_run_id, run.task_key, run.dynamic_key)
        if existing is not None:
            return rows.to_wire(existing), False
        if taken:
            raise Conflict(INTEGRITY)
    raise gave_up("task run of", run.task_key)


async def _insert(scope: Scope, run: TaskRunCreate, proposal: Proposal, around: Record) -> dict[str, Any] | None:
    blank = TaskRun(
        id=run.id or new_id(),
        state=None,
        policy=run.empirical_policy.to_core(),
        flow_run_id=run.flow_run_id,
        task_key=run.task_key,
        tags=tuple(run.tags),
    )
    facts = TaskRunFacts(
        flow_run_exists=around["found_flow_run_id"] is not None,
        flow_run_run_count=around["parent_run_count"] or 0,
        max_cache_key_length=scope.settings.tasks.max_cache_key_length,
    )
    write = decide_task_run(blank, proposal, facts, inputs_at(around["now"]), Policy.FORCED).write
    assert write is not None  # nothing stands in the way of a first state
    result = states.result_of(write.state)
    parameters = {
        **_columns(run, around),
        "workspace_id": scope.workspace_id,
        "now": around["now"],
        **run_parameters(write.run),
        **states.columns(write.state, result),
        **(result_parameters(result) if result is not None else {}),
    }
    wire = _wire(parameters)
    if write.enqueue:
        _check_size(wire)
    if not await _attempt(scope.db, parameters, write):
        return None
    if write.enqueue:
        scope.doorbell.ring("background_tasks")
    return wire


async def _attempt(db: Executor, parameters: dict[str, Any], write: TaskRunWrite) -> bool:
    if write.cache is not None:
        parameters["written_cache_key"], parameters["written_cache_expiration"] = write.cache
    statement = create_run(
        in_flow_run=write.run.flow_run_id is not None,
        result="artifact_id" in parameters,
        cache_result=write.cache is not None,
        enqueue=write.enqueue,
    )
    return await attempt(db, statement, parameters)


def _columns(run: TaskRunCreate, around: Record) -> dict[str, Any]:
    return {
        "name": run.name,
        "flow_run_id": run.flow_run_id,
        "task_key": run.task_key,
        "dynamic_key": run.dynamic_key,
        "cache_key": run.cache_key,
        "cache_expiration": run.cache_expiration,
        "task_version": run.task_version,
        "policy": run.empirical_policy.model_dump(mode="json"),
        "tags": run.tags,
        "labels": _labels(around["found_flow_run_id"], around["flow_run_labels"], run.labels),
        "task_inputs": {
            name: [given.model_dump(mode="json") for given in inputs] for name, inputs in run.task_inputs.items()
        },
    }


def _labels(
    flow_run_id: UUID | None, inherited: Mapping[str, Any] | None, own: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The flow run's, then the system's, then the user's; the later wins."""
    system = {"prefect.flow-run.id": str(flow_run_id)} if flow_run_id is not None else {}
    return {**(inherited or {}), **system, **(own or {})}


def _wire(parameters: dict[str, Any]) -> dict[str, Any]:
    """The created run as a later read would show it."""
    columns = {
        **parameters,
        "created": parameters["now"],
        "updated": parameters["now"],
        "empirical_policy": parameters["policy"],
        "state_data": parameters["stored_data"],
    }
    return rows.to_wire(columns)


def _check_size(wire: dict[str, Any]) -> None:
    """Refuse here, where somebody sees it, what could never be delivered."""
    size = len(dumps(wire))
    if size > MAX_MESSAGE_BYTES:
        raise Unprocessable(
            f"A background task run must be less than {MAX_MESSAGE_BYTES:,} bytes when serialized (got {size:,} "
            "bytes): task workers accept no larger messages. Persist large inputs and pass references to them."
        )
