"""Moving flow runs: read, decide (:mod:`sempre.core.transitions`), write if nothing moved meanwhile."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any, NamedTuple
from uuid import UUID

from sempre.core.states import State, StateType
from sempre.core.transitions import decide_flow_run, mirror_write
from sempre.core.transitions.model import (
    Decision,
    DeploymentLimit,
    FlowRun,
    FlowRunFacts,
    FlowRunPolicy,
    FlowRunWrite,
    Policy,
    Proposal,
    Status,
)
from sempre.db.pool import Executor
from sempre.server import states
from sempre.server.errors import ObjectNotFound
from sempre.server.flow_runs.state_events import event_parameters
from sempre.server.flow_runs.statements import KNOWN_TRANSITIONS, LOAD, write_transition
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
from sempre.server.recall import Row
from sempre.server.scope import Scope
from sempre.server.task_runs.orchestration import mirror_parameters, read_for_mirror

__all__ = [
    "Answer",
    "facts_of",
    "mirror_of",
    "policy_to_json",
    "remember",
    "run_of",
    "run_parameters",
    "set_flow_run_state",
]


class Answer(NamedTuple):
    """An input to store for a run with the state that lets it look for it."""

    key: str
    value: str


async def set_flow_run_state(
    scope: Scope,
    id: UUID,
    proposal: Proposal,
    policy: Policy = Policy.CORE,
    *,
    only_from: UUID | None = None,
    answer: Answer | None = None,
    lets_go: bool = False,
) -> Outcome:
    """Propose a state for a flow run, and persist what the rules make of it.

    At most two statements, whatever happens in them; a run this process remembers needs only the second. Lost races
    are decided again on what won. ``only_from``: do nothing
    (ABORT) unless this is still the current state's id, for sweeps that act on what they saw. ``answer``: stored if
    the proposal is accepted, in the same commit. ``lets_go``: if the run now waits for another process, the
    infrastructure it was given is no longer its, and is torn down.

    Raises ObjectNotFound for an unknown run, DatabaseUnavailable if the database is away.
    """
    for attempts in range(MAX_ATTEMPTS):
        remembered = _remembered(scope, id) if attempts == 0 and only_from is None else None
        row = remembered or await _load(scope, id)
        run = run_of(row)
        if only_from is not None and (run.state is None or run.state.id != only_from):
            return Outcome(Status.ABORT, run.state, "The run has moved on.")
        decision = decide_flow_run(run, proposal, facts_of(row, scope), inputs_at(row["now"]), policy)
        if decision.write is None:
            if remembered is not None:
                continue  # no write proves what was remembered: look again
            return Outcome(decision.status, run.state, decision.reason, decision.delay_seconds)
        given = answer if decision.status is Status.ACCEPT else None
        if await _write(scope.db, scope.workspace_id, row, run, proposal, decision, given, lets_go):
            remember(scope, row, decision.write, row["version"] + 1)
            _announce(scope, row, decision.write.state)
            return Outcome(decision.status, decision.write.state, decision.reason, written=True)
        scope.recall.flow_runs.forget(scope.workspace_id, id)
        await lost_race(attempts)
    raise gave_up("flow run", id)


async def _load(scope: Scope, id: UUID) -> Row:
    row: Row | None = await scope.db.fetchrow(LOAD.sql, *LOAD.bind(id=id, workspace_id=scope.workspace_id))
    if row is None:
        raise ObjectNotFound(f"Flow run with id {id} not found")
    scope.recall.clock.observe(row["now"])
    return row


def _remembered(scope: Scope, id: UUID) -> Row | None:
    row = scope.recall.flow_runs.get(scope.workspace_id, id)
    return None if row is None else {**row, "now": scope.recall.clock.now()}


def remember(scope: Scope, row: Row, write: FlowRunWrite, version: int) -> None:
    """Keep a run as it is after a write, unless limits or queues have a say in what comes next.

    ``row`` has the columns of ``LOAD``.
    """
    if row["deployment_id"] is not None or row["work_queue_id"] is not None:
        return
    result = states.result_of(write.state)
    columns = {**run_parameters(write.run), **states.columns(write.state, result), "version": version}
    columns.update(state_data=columns["stored_data"], empirical_policy=columns["policy"])
    if write.state.details.transition_id is not None:
        made = [str(write.state.details.transition_id), *row["transition_ids"]]
        columns["transition_ids"] = made[:KNOWN_TRANSITIONS]
    scope.recall.flow_runs.keep(scope.workspace_id, write.run.id, {**row, **columns})


def run_of(row: Row) -> FlowRun:
    """The decision's view of a ``flow_run`` row."""
    return FlowRun(
        id=row["id"],
        state=states.from_row(row),
        policy=policy_from_json(row["empirical_policy"]),
        deployment_id=row["deployment_id"],
        parent_task_run_id=row["parent_task_run_id"],
        infrastructure_pid=row["infrastructure_pid"],
        run_count=row["run_count"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        expected_start_time=row["expected_start_time"],
        next_scheduled_start_time=row["next_scheduled_start_time"],
        total_run_time=row["total_run_time"],
    )


def policy_from_json(stored: Mapping[str, Any]) -> FlowRunPolicy:
    return FlowRunPolicy(
        max_retries=stored.get("max_retries", 0),
        retry_delay_seconds=stored.get("retry_delay_seconds", 0.0),
        retries=stored.get("retries"),
        retry_delay=stored.get("retry_delay"),
        pause_keys=tuple(stored.get("pause_keys") or ()),
        resuming=stored.get("resuming", False),
        retry_type=stored.get("retry_type"),
    )


def policy_to_json(policy: FlowRunPolicy) -> dict[str, Any]:
    return {
        "max_retries": policy.max_retries,
        "retry_delay_seconds": policy.retry_delay_seconds,
        "retries": policy.retries,
        "retry_delay": policy.retry_delay,
        "pause_keys": list(policy.pause_keys),
        "resuming": policy.resuming,
        "retry_type": policy.retry_type,
    }


def facts_of(row: Row, scope: Scope) -> FlowRunFacts:
    limit = None
    if row["limit_id"] is not None:
        options = row["concurrency_options"] or {}
        limit = DeploymentLimit(
            id=row["limit_id"],
            limit=row["slot_limit"],
            active=row["limit_active"],
            in_use=row["slots_in_use"],
            strategy=options.get("collision_strategy", "ENQUEUE"),
            grace_seconds=options.get("grace_period_seconds")
            or scope.settings.concurrency.initial_deployment_lease_seconds,
        )
    return FlowRunFacts(
        deployment_exists=row["found_deployment_id"] is not None,
        limit=limit,
        holds_slot=row["holds_slot"],
        held_lease_id=row["held_lease_id"],
        proposer=scope.client.worker,
        client_version=scope.client.version,
        client_prerelease=scope.client.version_text,
        api_version=scope.client.api_version,
        slot_wait_seconds=scope.settings.deployments.concurrency_slot_wait_seconds,
        transitions_made=frozenset(row["transition_ids"]),
    )


def run_parameters(run: FlowRun) -> dict[str, Any]:
    """Statement parameters for the columns a transition derives."""
    return {
        "id": run.id,
        "policy": policy_to_json(run.policy),
        "run_count": run.run_count,
        "start_time": run.start_time,
        "end_time": run.end_time,
        "expected_start_time": run.expected_start_time,
        "next_scheduled_start_time": run.next_scheduled_start_time,
        "total_run_time": run.total_run_time,
    }


async def _write(
    db: Executor,
    workspace_id: UUID,
    row: Row,
    run: FlowRun,
    proposal: Proposal,
    decision: Decision[FlowRunWrite],
    answer: Answer | None,
    lets_go: bool,
) -> bool:
    write = decision.write
    assert write is not None
    take, result = write.take, states.result_of(write.state)
    parameters: dict[str, Any] = {
        "workspace_id": workspace_id,
        "version": row["version"],
        **run_parameters(write.run),
        **states.columns(write.state, result),
        **event_parameters(row, old=run.state, new=write.state, intended=proposal.type, run_count=write.run.run_count),
        **slot_parameters(take, "flow_run"),
    }
    if result is not None:
        parameters.update(result_parameters(result))
    if answer is not None:
        parameters.update(answer_id=new_id(), answer_key=answer.key, answer_value=answer.value)
    lets_go = lets_go and write.state.type is StateType.SCHEDULED
    torn_down = lets_go and row["infrastructure_pid"] is not None and row["work_queue_id"] is not None
    if torn_down:
        parameters.update(cleanup_id=new_id(), run_queue_id=row["work_queue_id"], old_pid=row["infrastructure_pid"])
    mirror = await mirror_of(db, workspace_id, write)
    parameters.update(mirror or {})
    statement = write_transition(
        result=result is not None,
        take=take is not None and not take.renew_only,
        renew=take is not None and take.renew_only and take.ttl_seconds is not None,
        hold=take is not None and take.renew_only and take.ttl_seconds is None,
        free=write.release and row["holds_any_slot"],
        mirror=mirror is not None,
        answer=answer is not None,
        let_go=lets_go,
        tear_down=torn_down,
    )
    return await attempt(db, statement, parameters)


async def mirror_of(db: Executor, workspace_id: UUID, write: FlowRunWrite) -> dict[str, Any] | None:
    """What the subflow's state does to the task run that stands for it in its parent; ``None`` if there is none."""
    if write.mirror is None or write.run.parent_task_run_id is None:
        return None
    read = await read_for_mirror(db, workspace_id, write.run.parent_task_run_id)
    if read is None:
        return None
    version, parent = read
    return mirror_parameters(version, mirror_write(parent, write.mirror))


def _announce(scope: Scope, row: Row, state: State) -> None:
    topics = ["events"]
    if row["work_pool_id"] is not None and state.type.value == "SCHEDULED":
        due = state.details.scheduled_time
        if due is None or due.astimezone(UTC) <= row["now"].astimezone(UTC):
            topics.append(f"work:{row['work_pool_id']}")
    scope.doorbell.ring(*topics)
