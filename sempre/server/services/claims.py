"""Runs that were claimed, or are waited for, by somebody who is gone.

Who claimed a run is in its state (:mod:`sempre.core.transitions.claims`): a worker by its name and, where it has one,
by its process; a runner by nothing, and then the polls for the run's deployment and queue speak for it.
"""

from typing import Any

from sempre.core.states import Claimant, StateDetails, StateType
from sempre.core.transitions.model import Policy, Proposal
from sempre.db.pool import Record
from sempre.server.flow_runs.orchestration import set_flow_run_state
from sempre.server.heartbeats.presence import Present
from sempre.server.scope import Scope
from sempre.server.services.cancellation_cleanup import time_out
from sempre.server.services.sweeps import sweep

__all__ = ["crash_unheard", "end_cancellations", "end_waiting_for_nobody", "take_back"]

# Of the run `r`: whoever claimed it was last heard of at `heard`, and is dead if silent for `patience` after that. A
# name that came back in another process does not speak for the first one; one that nobody knows may be that of a worker
# which never sends heartbeats, and one that runs a single time does not say its name: $7 is for those. $2, $3: since
# and until when somebody listened.
_CLAIMANT = """
    LEFT JOIN deployment d ON d.id = r.deployment_id
    LEFT JOIN work_queue q ON q.id = r.work_queue_id
    LEFT JOIN work_pool p ON p.id = q.work_pool_id
    LEFT JOIN worker w ON w.work_pool_id = p.id AND w.name = r.state_details->'claim'->>'name'
    LEFT JOIN worker_session s ON s.work_pool_id = p.id AND s.id::text = r.state_details->'claim'->>'id'
    LEFT JOIN LATERAL (
        SELECT true AS replaced FROM worker_session other
        WHERE other.work_pool_id = s.work_pool_id AND other.name = s.name AND other.id <> s.id
            AND other.last_heartbeat_time > s.last_heartbeat_time
        LIMIT 1
    ) later ON true
    CROSS JOIN LATERAL (
        SELECT greatest(r.state_timestamp, $2, CASE
            WHEN r.state_details->'claim'->>'name' IS NULL THEN greatest(d.last_polled, q.last_polled)
            WHEN later.replaced THEN s.last_heartbeat_time
            ELSE greatest(w.last_heartbeat_time, s.last_heartbeat_time)
        END) AS heard, make_interval(secs => CASE
            WHEN r.state_details->'claim'->>'name' IS NULL AND p.id IS NULL THEN $6::float8
            WHEN w.id IS NULL AND s.id IS NULL THEN $7::float8
            ELSE $4::float8 * coalesce(s.heartbeat_interval_seconds, w.heartbeat_interval_seconds, $5::float8)
        END) AS patience
    ) claimant
"""

# A process that a dead worker started on its own machine has either come up by now or never will.
_LOST = f"""
SELECT r.id, r.workspace_id, r.state_id, r.state_details->'claim' AS claim, late.silent,
       d.id IS NOT NULL OR q.id IS NOT NULL AS wanted
FROM flow_run r {_CLAIMANT}
    CROSS JOIN LATERAL (
        SELECT claimant.heard + greatest(claimant.patience, CASE
            WHEN r.infrastructure_pid IS NOT NULL AND p.type <> 'process' THEN make_interval(secs => $7::float8)
            ELSE interval '0'
        END) <= $3 AS silent
    ) late
WHERE r.state_type = 'PENDING' AND (r.deployment_id IS NOT NULL OR r.work_queue_id IS NOT NULL) AND (
    late.silent
    OR r.infrastructure_pid IS NULL AND greatest(r.state_timestamp, $2) + make_interval(secs => $8::float8) <= $3
)
ORDER BY r.state_timestamp LIMIT $1
"""

_PULSE = """EXISTS (
    SELECT FROM flow_run_heartbeat h
    WHERE h.flow_run_id = r.id AND h.workspace_id = r.workspace_id AND h.due > $3
)"""

_CANCELLING = f"""
SELECT r.id, r.workspace_id, r.state_id FROM flow_run r {_CLAIMANT}
WHERE r.state_type = 'CANCELLING' AND r.state_details ? 'claim' AND claimant.heard + claimant.patience <= $3
    AND r.state_timestamp + make_interval(secs => $8::float8) <= $3 AND NOT {_PULSE}
ORDER BY r.state_timestamp LIMIT $1
"""

# A run whose process died before its first heartbeat arrived, and whoever started it too. That it would have sent some
# is told only by the heartbeats of its deployment's latest other runs: what else runs there may be set up differently.
# $8: how long; one of long ago was judged long ago.
_UNHEARD = f"""
SELECT r.id, r.workspace_id, r.state_id FROM flow_run r {_CLAIMANT}
WHERE r.state_type = 'RUNNING' AND r.state_details ? 'claim' AND claimant.heard + claimant.patience <= $3
    AND greatest(r.state_timestamp, $2) + make_interval(secs => $8::float8) <= $3
    AND r.state_timestamp > $3 - make_interval(secs => $8::float8) - interval '1 day'
    AND NOT EXISTS (
        SELECT FROM flow_run_heartbeat h WHERE h.flow_run_id = r.id AND h.workspace_id = r.workspace_id
    )
    AND NOT EXISTS (
        SELECT FROM event e WHERE e.workspace_id = r.workspace_id AND e.event = 'prefect.flow-run.heartbeat'
            AND e.resource_id = 'prefect.flow-run.' || r.id AND e.occurred > greatest(
                r.state_timestamp - interval '1 minute',
                (  -- what an earlier attempt said is no sign of this one
                    SELECT max(s.timestamp) FROM flow_run_state s
                    WHERE s.flow_run_id = r.id AND s.type = 'SCHEDULED' AND EXISTS (
                        SELECT FROM flow_run_state began WHERE began.flow_run_id = r.id AND began.type = 'RUNNING'
                            AND began.timestamp < s.timestamp
                    )
                )
            )
    )
    AND EXISTS (
        SELECT FROM (
            SELECT o.id FROM flow_run o
            WHERE o.deployment_id = r.deployment_id AND o.id <> r.id AND o.start_time IS NOT NULL
            ORDER BY coalesce(o.start_time, o.expected_start_time) DESC LIMIT 5
        ) other JOIN event e ON e.workspace_id = r.workspace_id AND e.event = 'prefect.flow-run.heartbeat'
            AND e.resource_id = 'prefect.flow-run.' || other.id
    )
ORDER BY r.state_timestamp LIMIT $1
"""

# Part of a run that goes on means: whoever called it is at work, and may be about to start it.
_AD_HOC = """
SELECT r.id, r.workspace_id, r.state_id FROM flow_run r
    LEFT JOIN task_run t ON t.workspace_id = r.workspace_id AND t.id = r.parent_task_run_id
    LEFT JOIN flow_run parent ON parent.id = t.flow_run_id AND parent.workspace_id = r.workspace_id
WHERE r.state_type = 'PENDING' AND r.deployment_id IS NULL AND r.work_queue_id IS NULL
    AND greatest(r.state_timestamp, $2) + make_interval(secs => $4::float8) <= $3
    AND (parent.id IS NULL OR parent.state_type IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED'))
ORDER BY r.state_timestamp LIMIT $1
"""

# Due in a process that would have said so. Found by an index on what waits; such a run was first due in the past.
_UNRETRIED = """
WITH waiting AS MATERIALIZED (
    SELECT id FROM flow_run
    WHERE state_type = 'SCHEDULED' AND state_name = 'AwaitingRetry' AND expected_start_time <= $3
)
SELECT r.id, r.workspace_id, r.state_id FROM waiting JOIN flow_run r USING (id)
WHERE r.state_type = 'SCHEDULED' AND r.empirical_policy->>'retry_type' = 'in_process'
    AND greatest(r.next_scheduled_start_time, r.state_timestamp, $2) + make_interval(secs => $4::float8) <= $3
ORDER BY r.id LIMIT $1
"""


def _patience(scope: Scope, here: Present) -> tuple[Any, ...]:
    """The parameters $2 to $7 of every statement about claimants."""
    foreman, settings = scope.settings.services.foreman, scope.settings.services.abandoned_runs
    return (
        here.since,
        here.until,
        float(foreman.inactivity_heartbeat_multiple),
        foreman.fallback_heartbeat_interval_seconds,
        settings.runner_silence_seconds,
        settings.infrastructure_patience_seconds,
    )


async def take_back(scope: Scope, here: Present) -> None:
    """Pending runs of dead claimants wait for another; so do those for which a living one started nothing."""
    await sweep(
        scope, _LOST, _take_back, *_patience(scope, here), scope.settings.services.abandoned_runs.longest_claim_seconds
    )


async def end_cancellations(scope: Scope, here: Present) -> None:
    """Nobody is left to carry them out; without a dead claimant the longer timeout of cancellations ends them."""
    await sweep(
        scope, _CANCELLING, time_out, *_patience(scope, here), scope.settings.services.abandoned_runs.cancelling_seconds
    )


async def crash_unheard(scope: Scope, here: Present) -> None:
    heartbeats = scope.settings.services.heartbeats
    if heartbeats.enabled:
        silence = heartbeats.missed_heartbeats * heartbeats.assumed_interval_seconds
        await sweep(scope, _UNHEARD, _crash_unheard, *_patience(scope, here), silence)


async def end_waiting_for_nobody(scope: Scope, here: Present) -> None:
    settings = scope.settings.services.abandoned_runs
    await sweep(scope, _AD_HOC, _crash_ad_hoc, here.since, here.until, settings.ad_hoc_pending_seconds)
    await sweep(scope, _UNRETRIED, _crash_unretried, here.since, here.until, settings.infrastructure_patience_seconds)


async def _take_back(scope: Scope, row: Record) -> bool:
    claimant = Claimant.from_json(row["claim"] or {})
    who = "The runner" if claimant.name is None else f"Worker '{claimant.name}'"
    what = "is not heard of any more" if row["silent"] else "has started nothing for it"
    message = f"{who} claimed this run and {what}."
    if not row["wanted"]:
        return await _move(scope, row, Proposal(StateType.CRASHED, "Crashed", message))
    waiting = Proposal(StateType.SCHEDULED, "Scheduled", message, details=StateDetails(taken_back=(claimant,)))
    return await _move(scope, row, waiting, lets_go=True)


async def _crash_unheard(scope: Scope, row: Record) -> bool:
    message = "No heartbeat ever came from this run, and who started it is not heard of any more."
    return await _crash_or_retry(scope, row, message)


async def _crash_ad_hoc(scope: Scope, row: Record) -> bool:
    message = "Nothing was heard of this run since it was created; who was to run it seems to be gone."
    return await _move(scope, row, Proposal(StateType.CRASHED, "Crashed", message))


async def _crash_unretried(scope: Scope, row: Record) -> bool:
    message = "The process that was to retry this run seems to be gone."
    return await _crash_or_retry(scope, row, message)


async def _crash_or_retry(scope: Scope, row: Record, message: str) -> bool:
    policy = Policy.SILENT if scope.settings.services.heartbeats.retry_crashed else Policy.CORE
    return await _move(scope, row, Proposal(StateType.CRASHED, "Crashed", message), policy, lets_go=True)


async def _move(
    scope: Scope, row: Record, proposal: Proposal, policy: Policy = Policy.CORE, *, lets_go: bool = False
) -> bool:
    outcome = await set_flow_run_state(scope, row["id"], proposal, policy, only_from=row["state_id"], lets_go=lets_go)
    return outcome.written
