"""What runs leave behind that ended without putting things in order: task runs, subflows in their process, leases."""

import dataclasses
from collections import defaultdict
from uuid import UUID

from sempre.core.states import StateType
from sempre.core.transitions.model import Policy, Proposal
from sempre.db.pool import Record
from sempre.server.concurrency.leases import release
from sempre.server.flow_runs.orchestration import set_flow_run_state
from sempre.server.scope import Scope
from sempre.server.services.sweeps import sweep
from sempre.server.task_runs.orchestration import set_task_run_state

__all__ = ["end_all"]

_BATCH = 500
_MOST_BATCHES = 100
_LIVE = "('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING')"
# A process may finish a subflow, or give back a slot, after the flow that it belongs to.
_PATIENCE_FACTOR = 10.0

# `OFFSET 0`: from what is in flight to its run by the run's key, however many runs the planner thinks there are.

# Those of a crashed run, those of the attempt before the one that a run was taken back for, and those of an attempt
# that crashed, was taken back or was followed by another, whatever became of the run since: it may have been run again,
# and be over, before anybody looked. (What was Pending may stay so for ever: NotReady. An attempt that follows another
# in one process may find that one's tasks at work.) Background tasks run elsewhere, and one that stands for a live run
# of a deployment ends with that.
_TASK_RUNS = f"""
SELECT t.id, t.workspace_id, t.state_id FROM task_run t CROSS JOIN LATERAL (
    SELECT f.* FROM flow_run f WHERE f.id = t.flow_run_id AND f.workspace_id = t.workspace_id OFFSET 0
) r
WHERE t.state_type IN {_LIVE} AND r.state_timestamp <= now() - make_interval(secs => $2::float8)
    AND (r.state_type = 'CRASHED' OR r.state_details ? 'taken_back' AND r.run_count > 0 AND (
        r.state_type IN ('SCHEDULED', 'PENDING') AND r.empirical_policy->>'retry_type' IS DISTINCT FROM 'in_process'
        OR r.state_type = 'RUNNING' AND t.flow_run_run_count < r.run_count
    ) OR t.flow_run_run_count < r.run_count AND EXISTS (
        SELECT FROM flow_run_state s
        WHERE s.flow_run_id = r.id AND s.timestamp > t.state_timestamp
            AND (s.type = 'CRASHED' OR s.type = 'SCHEDULED' AND s.details ? 'taken_back' AND NOT s.details ? 'claim'
                OR s.type = 'RUNNING' AND t.state_type <> 'PENDING'
                AND r.empirical_policy->>'retry_type' IS DISTINCT FROM 'in_process')
    ))
    AND NOT EXISTS (
        SELECT FROM task_run_state s
        WHERE s.workspace_id = t.workspace_id AND s.task_run_id = t.id AND s.details->>'deferred' = 'true'
    )
    AND NOT EXISTS (SELECT FROM flow_run c WHERE c.parent_task_run_id = t.id AND c.state_type IN {_LIVE})
LIMIT $1
"""

# $3: where the parent ended in order, its process may still be there.
_SUBFLOWS = f"""
SELECT c.id, c.workspace_id, c.state_id, c.state_type FROM flow_run c
    JOIN task_run t ON t.workspace_id = c.workspace_id AND t.id = c.parent_task_run_id
    JOIN flow_run p ON p.id = t.flow_run_id AND p.workspace_id = t.workspace_id
WHERE c.parent_task_run_id IS NOT NULL AND c.state_type IN {_LIVE} AND c.deployment_id IS NULL
    AND p.state_type IN ('CRASHED', 'COMPLETED', 'FAILED') AND p.state_timestamp <= now() - make_interval(
        secs => CASE p.state_type WHEN 'CRASHED' THEN $2::float8 ELSE $3::float8 END
    )
    AND NOT EXISTS (
        SELECT FROM flow_run_heartbeat h
        WHERE h.flow_run_id = c.id AND h.workspace_id = c.workspace_id AND h.due > clock_timestamp()
    )
ORDER BY c.id LIMIT $1
"""

_LEASES = """
SELECT e.id, e.workspace_id FROM concurrency_lease e CROSS JOIN LATERAL (
    SELECT r.state_type, r.state_timestamp FROM flow_run r
    WHERE e.holder_type = 'flow_run' AND r.id = e.holder_id AND r.workspace_id = e.workspace_id
    UNION ALL
    SELECT t.state_type, t.state_timestamp FROM task_run t
    WHERE e.holder_type = 'task_run' AND t.id = e.holder_id AND t.workspace_id = e.workspace_id
    OFFSET 0
) holder
WHERE e.holder_id IS NOT NULL AND holder.state_type IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED')
    AND holder.state_timestamp <= now() - make_interval(
        secs => CASE holder.state_type WHEN 'CRASHED' THEN $2::float8 ELSE $3::float8 END
    )
ORDER BY e.id LIMIT $1
"""


async def end_all(scope: Scope) -> None:
    seconds = scope.settings.services.abandoned_runs.leftover_seconds
    await sweep(scope, _SUBFLOWS, _end_subflow, seconds, _PATIENCE_FACTOR * seconds)
    await sweep(scope, _TASK_RUNS, _end_task_run, seconds)
    await _end_leases(scope, seconds)


async def _end_task_run(scope: Scope, row: Record) -> bool:
    proposal = Proposal(StateType.CRASHED, "Crashed", "The flow run that this task was part of crashed.")
    return (await set_task_run_state(scope, row["id"], proposal, Policy.FORCED, only_from=row["state_id"])).written


async def _end_subflow(scope: Scope, row: Record) -> bool:
    message = "The flow run that this one was part of has ended."
    proposal = Proposal(StateType.CRASHED, "Crashed", message)
    if row["state_type"] == "CANCELLING":
        proposal = Proposal(StateType.CANCELLED, "Cancelled", message)
    return (await set_flow_run_state(scope, row["id"], proposal, Policy.FORCED, only_from=row["state_id"])).written


async def _end_leases(scope: Scope, seconds: float) -> None:
    for _ in range(_MOST_BATCHES):
        rows = await scope.db.fetch(_LEASES, _BATCH, seconds, _PATIENCE_FACTOR * seconds)
        by_workspace: dict[UUID, list[UUID]] = defaultdict(list)
        for row in rows:
            by_workspace[row["workspace_id"]].append(row["id"])
        for workspace_id, ids in by_workspace.items():
            await release(dataclasses.replace(scope, workspace_id=workspace_id), ids)
        if len(rows) < _BATCH:
            return
