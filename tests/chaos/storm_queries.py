"""What the storm's auditor asks the database beyond `queries`: each statement returns offences."""

from __future__ import annotations

from tests.chaos import queries
from tests.chaos.queries import TERMINAL

# Old type to new types, beyond queries.LEGAL: dead workers' runs come back, silent ones crash, some are run again.
_LEGAL = {
    "": ("SCHEDULED", "PENDING"),
    "SCHEDULED": ("SCHEDULED", "PENDING", "RUNNING", "CANCELLED", "COMPLETED", "FAILED", "CRASHED"),
    "PENDING": ("PENDING", "RUNNING", "SCHEDULED", "CANCELLING", "CANCELLED", "CRASHED", "FAILED"),
    "RUNNING": ("COMPLETED", "FAILED", "CRASHED", "CANCELLED", "CANCELLING", "SCHEDULED"),
    "CANCELLING": ("CANCELLED", "CRASHED"),
    # Whoever stood still so long that its run was given up may yet say truly how it ended, and begin one that was
    # cancelled before it had begun; protocol, section 5.4.
    "CRASHED": ("SCHEDULED", "COMPLETED", "FAILED", "CANCELLED"),
    "CANCELLED": ("COMPLETED", "FAILED", "RUNNING"),
    "FAILED": ("SCHEDULED",),
}
# In-process retries of an engine go from AwaitingRetry straight to Running, or to Crashed if their process dies as it
# waits, and a run that was given up for silent may yet be told how it ended while it waits for its retry; nothing else
# leaves Scheduled that way.
_PAIRS = ", ".join(f"('{old}', '{new}')" for old, news in _LEGAL.items() for new in news)

_CHANGED = {
    # Stock workers go on while the rest is audited.
    "run left in flight": """
        SELECT r.id, r.state_name, r.state_timestamp, d.name AS deployment FROM flow_run r
            LEFT JOIN deployment d ON d.id = r.deployment_id
        WHERE r.state_type IN ('PENDING', 'RUNNING', 'CANCELLING', 'PAUSED') AND NOT (
            coalesce(d.name, '') LIKE 'stock-%' AND r.state_timestamp > clock_timestamp() - interval '60 seconds')
    """,
    "illegal transition": f"""
        SELECT flow_run_id, before, before_name, type, name, message, timestamp FROM (
            SELECT h.*, lag(h.type, 1, '') OVER run AS before, lag(h.name) OVER run AS before_name
            FROM flow_run_state h WINDOW run AS (PARTITION BY h.flow_run_id ORDER BY h.timestamp)
        ) h
        WHERE (before, type) NOT IN ({_PAIRS})
            OR (before = 'SCHEDULED' AND before_name <> 'AwaitingRetry'
                AND type IN ('RUNNING', 'COMPLETED', 'FAILED', 'CRASHED'))
    """,
    "task-run state of no event": """
        SELECT h.id, h.task_run_id, h.name FROM task_run_state h LEFT JOIN event e ON e.id = h.id
        WHERE e.id IS NULL AND NOT coalesce((h.details->>'deferred')::boolean, false)
            AND NOT EXISTS (SELECT FROM flow_run r WHERE r.parent_task_run_id = h.task_run_id)
    """,
}
CONSUMERS_FAR_BEHIND = """
SELECT name, shard, position, holes FROM event_consumer
WHERE position < (SELECT coalesce(max(seq), 0) FROM event WHERE received < clock_timestamp() - interval '5 seconds')
"""
"""As long as there are schedules the log grows: runs that nobody picks up any more become late."""

ALWAYS = {
    **queries.ALWAYS,
    "consumer behind": CONSUMERS_FAR_BEHIND,
    **_CHANGED,
    "event doubled": "SELECT id, count(*) AS rows FROM event GROUP BY id HAVING count(*) > 1",
    "slot of nobody": """
        SELECT s.limit_id, s.slot, s.lease_id, s.run_id FROM concurrency_slot s
            LEFT JOIN concurrency_lease e ON e.id = s.lease_id LEFT JOIN flow_run r ON r.id = s.run_id
        WHERE (s.expires_at IS NULL OR s.expires_at > clock_timestamp()) AND e.id IS NULL AND r.id IS NULL
    """,
    "action not done": "SELECT id, automation_id, status, attempts FROM automation_action WHERE status <> 'done'",
    "firing without its actions": """
        SELECT f.id, f.automation_id FROM automation_firing f
            LEFT JOIN automation_action a ON a.firing_id = f.id GROUP BY f.id, f.automation_id
        HAVING count(a.id) <> 1
    """,
    "firing without exactly one event": """
        SELECT told.name, told.events, owed.count FROM (
            SELECT 'prefect.automation.triggered' AS name, count(*) AS events FROM event
            WHERE event = 'prefect.automation.triggered'
            UNION ALL
            SELECT 'prefect.automation.action.executed', count(*) FROM event
            WHERE event = 'prefect.automation.action.executed'
        ) told, (SELECT count(*) AS count FROM automation_firing) owed WHERE told.events <> owed.count
    """,
}

STUCK_DUE = """
SELECT r.id, r.state_name, r.next_scheduled_start_time, r.auto_scheduled, d.name AS deployment FROM flow_run r
    JOIN deployment d ON d.id = r.deployment_id
WHERE r.state_type = 'SCHEDULED' AND r.next_scheduled_start_time < to_timestamp($1)
"""
IN_FLIGHT = f"""
SELECT r.id, r.state_name, r.state_timestamp FROM flow_run r
WHERE r.state_type NOT IN {TERMINAL} AND r.state_type <> 'SCHEDULED'
"""
OWED = "SELECT id FROM automation_action WHERE status IN ('ready', 'running')"
TASKS_QUEUED = "SELECT task_run_id FROM background_task WHERE task_key = 'storm-task'"
LEASES_LEFT = """
SELECT e.id FROM concurrency_lease e JOIN concurrency_limit l ON l.id = ANY(e.limit_ids) WHERE l.name = 'storm-leases'
"""

STREAM_LOG = """
SELECT id::text, event, resource::text, floor(extract(epoch FROM occurred) * 1000000)::bigint AS occurred
FROM event WHERE event LIKE 'load._' OR event IN ('load.begun', 'load.done', 'load.recall', 'load.call') ORDER BY seq
"""
FIRINGS = "SELECT id, firing::text FROM automation_firing WHERE automation_id = $1 ORDER BY fired_at, id"
ACTIONS = """
SELECT a.id::text, a.automation_id::text, a.firing_id::text, a.status, a.attempts,
       f.firing->'triggering_event'->>'id' AS event
FROM automation_action a JOIN automation_firing f ON f.id = a.firing_id
"""
ACTION_RUNS = """
SELECT split_part(idempotency_key, 'invocation ', 2) AS invocation, id FROM flow_run
WHERE idempotency_key LIKE '%automation %, invocation %'
"""
PREY = """
SELECT sent.id, r.state_type, count(h.id) AS cancellations FROM unnest($1::text[]::uuid[]) AS sent(id)
    LEFT JOIN flow_run r ON r.id = sent.id LEFT JOIN flow_run_state h ON h.flow_run_id = r.id AND h.type = 'CANCELLED'
GROUP BY sent.id, r.state_type HAVING r.state_type IS DISTINCT FROM 'CANCELLED' OR count(h.id) <> 1
"""
SLOTS = """
SELECT (h.details->>'scheduled_time')::timestamptz AS slot, count(*) AS runs FROM flow_run r
    JOIN LATERAL (
        SELECT details FROM flow_run_state s WHERE s.flow_run_id = r.id ORDER BY s.timestamp LIMIT 1
    ) h ON true
WHERE r.auto_scheduled AND r.created_by->>'id' = $1 GROUP BY 1 ORDER BY 1
"""
SEEABLE = """
SELECT id::text, extract(epoch FROM occurred)::float8 AS occurred, extract(epoch FROM received)::float8 AS received
FROM event WHERE event LIKE 'load.%'
"""
STATES = """
SELECT h.flow_run_id::text AS run, h.id::text, h.type, h.name, h.message, extract(epoch FROM h.timestamp)::float8 AS at,
       r.deployment_id::text AS deployment, coalesce(h.details ? 'taken_back', false) AS fenced
FROM flow_run_state h JOIN flow_run r ON r.id = h.flow_run_id ORDER BY h.flow_run_id, h.timestamp
"""
TASKS_NOT_COMPLETED = """
SELECT sent.id, t.state_name FROM unnest($1::text[]::uuid[]) AS sent(id) LEFT JOIN task_run t ON t.id = sent.id
WHERE t.state_type IS DISTINCT FROM 'COMPLETED'
"""
FIGURES = """
SELECT 'firings', count(*) FROM automation_firing UNION ALL
SELECT 'actions', count(*) FROM automation_action UNION ALL
SELECT 'background tasks left', count(*) FROM background_task UNION ALL
SELECT 'runs auto-scheduled', count(*) FROM flow_run WHERE auto_scheduled UNION ALL
SELECT 'runs in state ' || state_name, count(*) FROM flow_run GROUP BY state_name
"""
