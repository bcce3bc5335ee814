"""Creating flow runs: the run, its first state and the event in one statement."""

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sempre.core.states import State, StateType
from sempre.core.transitions import decide_flow_run
from sempre.core.transitions.model import FlowRun, FlowRunFacts, FlowRunPolicy, Policy, Proposal
from sempre.db.pool import Executor, Record
from sempre.db.statement import Statement
from sempre.server import states
from sempre.server.errors import INTEGRITY, Conflict
from sempre.server.flow_runs import rows
from sempre.server.flow_runs.orchestration import mirror_of, remember, run_parameters
from sempre.server.flow_runs.queries import find
from sempre.server.flow_runs.state_events import event_parameters
from sempre.server.flow_runs.statements import create_run
from sempre.server.ids import new_id
from sempre.server.orchestration import MAX_ATTEMPTS, attempt, gave_up, inputs_at, result_parameters
from sempre.server.recall import Row
from sempre.server.scope import Scope

__all__ = ["NewRun", "create_flow_run"]

# What a new run's labels and first event are made of. A queue or deployment named in a request must be the workspace's.
_SURROUNDINGS = Statement("""
SELECT clock_timestamp() AS now, f.id AS flow_id, f.name AS flow_name, f.tags AS flow_tags, f.labels AS flow_labels,
       d.id AS found_deployment_id, d.name AS deployment_name, d.tags AS deployment_tags,
       d.labels AS deployment_labels, q.name AS queue_name, p.id AS work_pool_id, p.name AS work_pool_name,
       p.type AS work_pool_type, b.id AS found_document_id, t.id AS found_parent_id, t.name AS parent_task_run_name,
       t.tags AS parent_task_run_tags
FROM flow f
    LEFT JOIN deployment d ON d.id = :deployment_id::uuid AND d.workspace_id = f.workspace_id
    LEFT JOIN work_queue q ON q.id = :work_queue_id::uuid AND q.workspace_id = f.workspace_id
    LEFT JOIN work_pool p ON p.id = q.work_pool_id
    LEFT JOIN block_document b ON b.id = :infrastructure_document_id::uuid AND b.workspace_id = f.workspace_id
    LEFT JOIN task_run t ON t.workspace_id = f.workspace_id AND t.id = :parent_task_run_id::uuid
WHERE f.id = :flow_id::uuid AND f.workspace_id = :workspace_id::uuid
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A flow run to create, with everything that was inherited already merged in."""

    flow_id: UUID
    name: str
    proposal: Proposal
    policy: FlowRunPolicy = field(default_factory=FlowRunPolicy)
    parameters: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    labels: dict[str, Any] = field(default_factory=dict)  # the user's own
    idempotency_key: str | None = None
    flow_version: str | None = None
    deployment_id: UUID | None = None
    deployment_version: str | None = None
    work_queue_id: UUID | None = None
    work_queue_name: str | None = None
    parent_task_run_id: UUID | None = None
    infrastructure_document_id: UUID | None = None
    job_variables: dict[str, Any] | None = None
    created_by: dict[str, Any] | None = None


# What a fresh read would say of limits, workers and history. Only runs that neither has a say in are remembered.
_NO_LIMIT: dict[str, Any] = {
    "infrastructure_pid": None,
    "limit_id": None,
    "holds_slot": False,
    "held_lease_id": None,
    "holds_any_slot": False,
    "transition_ids": (),
}


async def create_flow_run(scope: Scope, run: NewRun) -> tuple[dict[str, Any], bool]:
    """``(flow run on the wire, whether it is new)``.

    A run with the same idempotency key is returned as it is. Raises Conflict for an unknown flow or parent task run.
    """
    for _ in range(MAX_ATTEMPTS):
        around = _remembered(scope, run) or await _look_around(scope, run)
        created = await _insert(scope, run, around)
        if created is not None:
            _announce(scope, run, around)
            return created, True
        scope.recall.flows.forget(scope.workspace_id, run.flow_id)
        existing = await _existing(scope.db, scope.workspace_id, run)
        if existing is not None:
            return rows.to_wire(existing), False
    raise gave_up("flow", run.flow_id)


async def _look_around(scope: Scope, run: NewRun) -> Row:
    around: Row | None = await scope.db.fetchrow(
        _SURROUNDINGS.sql,
        *_SURROUNDINGS.bind(
            deployment_id=run.deployment_id,
            work_queue_id=run.work_queue_id,
            infrastructure_document_id=run.infrastructure_document_id,
            parent_task_run_id=run.parent_task_run_id,
            flow_id=run.flow_id,
            workspace_id=scope.workspace_id,
        ),
    )
    if around is None:
        raise Conflict(INTEGRITY)
    asked = (run.parent_task_run_id, run.infrastructure_document_id)
    if asked != (around["found_parent_id"], around["found_document_id"]):
        raise Conflict(INTEGRITY)
    scope.recall.clock.observe(around["now"])
    if _is_plain(run):
        scope.recall.flows.keep(scope.workspace_id, run.flow_id, dict(around))
    return around


def _remembered(scope: Scope, run: NewRun) -> Row | None:
    """The flow as it was a moment ago; the insert itself checks that it is still there."""
    around = scope.recall.flows.get(scope.workspace_id, run.flow_id) if _is_plain(run) else None
    return None if around is None else {**around, "now": scope.recall.clock.now()}


def _is_plain(run: NewRun) -> bool:
    others = (run.deployment_id, run.work_queue_id, run.parent_task_run_id, run.infrastructure_document_id)
    return all(other is None for other in others)


async def _insert(scope: Scope, run: NewRun, around: Row) -> dict[str, Any] | None:
    id = new_id()
    blank = FlowRun(
        id=id,
        state=None,
        policy=run.policy,
        deployment_id=run.deployment_id,
        parent_task_run_id=run.parent_task_run_id,
    )
    decision = decide_flow_run(blank, run.proposal, FlowRunFacts(), inputs_at(around["now"]), Policy.FORCED)
    write = decision.write
    assert write is not None  # nothing stands in the way of a first state
    row = {**dict(around), **_columns(run, id), "labels": _labels(run, around)}
    result = states.result_of(write.state)
    mirror = await mirror_of(scope.db, scope.workspace_id, write)
    parameters = {
        **row,
        "workspace_id": scope.workspace_id,
        **run_parameters(write.run),
        **states.columns(write.state, result),
        **event_parameters(row, old=None, new=write.state, intended=run.proposal.type, run_count=write.run.run_count),
        **(result_parameters(result) if result is not None else {}),
        **(mirror or {}),
    }
    statement = create_run(result=result is not None, mirror=mirror is not None)
    if not await attempt(scope.db, statement, parameters):
        return None
    remember(scope, {**_NO_LIMIT, **row}, write, 0)
    return _wire(parameters, row, write.state)


def _columns(run: NewRun, id: UUID) -> dict[str, Any]:
    return {
        "id": id,
        "name": run.name,
        "flow_id": run.flow_id,
        "flow_version": run.flow_version,
        "parameters": run.parameters,
        "context": run.context,
        "tags": run.tags,
        "idempotency_key": run.idempotency_key,
        "deployment_id": run.deployment_id,
        "deployment_version": run.deployment_version,
        "work_queue_id": run.work_queue_id,
        "work_queue_name": run.work_queue_name,
        "parent_task_run_id": run.parent_task_run_id,
        "infrastructure_document_id": run.infrastructure_document_id,
        # The protocol's own distinction: no variables read back as null where a key was given, else as {}.
        "job_variables": {} if run.job_variables is None and run.idempotency_key is None else run.job_variables,
        "created_by": run.created_by,
    }


def _labels(run: NewRun, around: Row) -> dict[str, Any]:
    """Inherited, then the system's, then the user's; the later wins."""
    if around["found_deployment_id"] is not None:
        inherited = around["deployment_labels"]
        system = {"prefect.flow.id": str(run.flow_id), "prefect.deployment.id": str(run.deployment_id)}
    else:
        inherited = around["flow_labels"]
        system = {"prefect.flow.id": str(run.flow_id)}
    return {**inherited, **system, **run.labels}


def _wire(parameters: dict[str, Any], row: dict[str, Any], state: State) -> dict[str, Any]:
    """The created run as a later read would show it."""
    columns = {
        **row,
        **parameters,
        "created": row["now"],
        "updated": row["now"],
        "empirical_policy": parameters["policy"],
        "auto_scheduled": False,
        "infrastructure_pid": None,
        "state_data": parameters["stored_data"],
    }
    wire = rows.to_wire(columns)
    wire["state"] = states.to_wire(replace(state, data=parameters["stored_data"]))
    return wire


async def _existing(db: Executor, workspace_id: UUID, run: NewRun) -> Record | None:
    if run.idempotency_key is None:
        return None
    id = await db.fetchval(
        "SELECT id FROM flow_run WHERE flow_id = $1 AND idempotency_key = $2", run.flow_id, run.idempotency_key
    )
    return None if id is None else await find(db, workspace_id, id)


def _announce(scope: Scope, run: NewRun, around: Row) -> None:
    topics = ["events"]
    if around["work_pool_id"] is not None and run.proposal.type is StateType.SCHEDULED:
        topics.append(f"work:{around['work_pool_id']}")
    scope.doorbell.ring(*topics)
