"""Runs whose heartbeats stopped are Crashed; those of a deployment whose policy asks for retries are run again.

A run is judged only by silence that somebody listened to: from its latest sign of life, or from when events began to be
taken in again, to when they last were; and only when everything in the log has been looked at. A run that never sent a
heartbeat, or none since it was last scheduled, is not judged at all: the process that has it now may send none.
"""

from datetime import UTC, datetime
from typing import Any

from sempre.core.states import StateType
from sempre.core.transitions.model import Policy, Proposal
from sempre.db.pool import Record
from sempre.server.flow_runs.orchestration import set_flow_run_state
from sempre.server.heartbeats.presence import Present
from sempre.server.scope import Scope
from sempre.server.services.sweeps import move_all

__all__ = ["crash_silent_runs"]

_BATCH = 200
_MOST_BATCHES = 500  # what is left waits for the next round
# A run found silent is looked at again after this long, should whoever found it have died before it was moved.
_AGAIN_SECONDS = 60.0

# One look at a batch of what is due. Rows are taken for the moment only, and all of them move on: those of runs that
# have ended or wait to be started go, the others are looked at again when they may have been silent for long enough.
_LOOK = """
WITH due AS MATERIALIZED (
    SELECT flow_run_id, workspace_id, heard, beat, gap FROM flow_run_heartbeat WHERE due <= $2
    ORDER BY due LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
), looked AS MATERIALIZED (
    SELECT d.flow_run_id, d.workspace_id, d.heard, r.state_id,
           greatest(d.heard, r.state_timestamp, $3) + make_interval(secs => $4 * greatest(d.gap, $5)) AS patient_until,
           coalesce(r.state_type NOT IN ('PENDING', 'RUNNING', 'PAUSED', 'CANCELLING'), true)
               OR coalesce(least(d.heard, d.beat) <= (
                   SELECT max(s.timestamp) FROM flow_run_state s
                   WHERE s.flow_run_id = d.flow_run_id AND s.type = 'SCHEDULED'
               ), false) AS over,
           coalesce(r.state_type IN ('PENDING', 'RUNNING'), false) AS judged
    FROM due d LEFT JOIN flow_run r ON r.id = d.flow_run_id AND r.workspace_id = d.workspace_id
), forgotten AS (
    DELETE FROM flow_run_heartbeat h USING looked l
    WHERE l.over AND h.flow_run_id = l.flow_run_id AND h.workspace_id = l.workspace_id
), put_off AS (
    UPDATE flow_run_heartbeat h
    SET due = CASE WHEN l.patient_until > $2 THEN l.patient_until ELSE $2 + make_interval(secs => $6) END
    FROM looked l
    WHERE NOT l.over AND h.flow_run_id = l.flow_run_id AND h.workspace_id = l.workspace_id
)
SELECT flow_run_id AS id, workspace_id, state_id, heard, judged AND NOT over AND patient_until <= $2 AS silent
FROM looked
"""


async def crash_silent_runs(scope: Scope, here: Present) -> None:
    """``here`` was looked up before the log was found to be read to its end."""
    settings = scope.settings.services.heartbeats
    arguments: tuple[Any, ...] = (
        _BATCH,
        here.until,
        here.since,
        float(settings.missed_heartbeats),
        settings.shortest_interval_seconds,
        min(_AGAIN_SECONDS, settings.missed_heartbeats * settings.shortest_interval_seconds),
    )
    for _ in range(_MOST_BATCHES):
        rows = await scope.db.fetch(_LOOK, *arguments)
        await move_all(scope, [row for row in rows if row["silent"]], _crash)
        if len(rows) < _BATCH:
            return


async def _crash(scope: Scope, row: Record) -> bool:
    proposal = Proposal(StateType.CRASHED, "Crashed", _message(row["heard"]))
    policy = Policy.SILENT if scope.settings.services.heartbeats.retry_crashed else Policy.CORE
    outcome = await set_flow_run_state(
        scope, row["id"], proposal, policy, only_from=row["state_id"], lets_go=policy is Policy.SILENT
    )
    return outcome.written


def _message(heard: datetime) -> str:
    return f"No heartbeat came since {heard.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC; the run's process seems to be gone."
