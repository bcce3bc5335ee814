"""The statements of the auditor: each returns offences."""

from __future__ import annotations

TERMINAL = "('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')"
_LIVE = "(s.expires_at IS NULL OR s.expires_at > clock_timestamp())"

# Old type to new types. Without restarts, pauses and renames of states, which the loads do not do.
_LEGAL = {
    "": ("SCHEDULED", "PENDING"),
    "SCHEDULED": ("SCHEDULED", "PENDING", "CANCELLED"),
    "PENDING": ("RUNNING", "SCHEDULED", "CANCELLED", "FAILED", "CRASHED"),
    "RUNNING": ("COMPLETED", "FAILED", "CRASHED", "CANCELLED", "SCHEDULED"),
}
_PAIRS = ", ".join(f"('{old}', '{new}')" for old, news in _LEGAL.items() for new in news)

_HISTORY = """
    SELECT h.*, lag(h.type, 1, '') OVER run AS before, row_number() OVER run AS number, r.auto_scheduled,
           lag(e.seq) OVER run AS seq_before, e.seq, e.payload
    FROM flow_run_state h JOIN flow_run r ON r.id = h.flow_run_id
        LEFT JOIN LATERAL (SELECT seq, payload FROM event WHERE event.id = h.id LIMIT 1) e ON true
    WINDOW run AS (PARTITION BY h.flow_run_id ORDER BY h.timestamp)
"""
_TOLD = "event.event LIKE 'prefect.task-run%' AND event.resource->>'prefect.orchestration' = 'client'"

CONSUMERS_BEHIND = """
SELECT name, shard, position, holes FROM event_consumer
WHERE position < (SELECT coalesce(max(seq), 0) FROM event) OR holes <> '[]'
"""

FIGURES = f"""
SELECT 'runs', count(*) FROM flow_run UNION ALL
SELECT 'run states', count(*) FROM flow_run_state UNION ALL
SELECT 'events', count(*) FROM event UNION ALL
SELECT 'task-run events', count(*) FROM event WHERE {_TOLD} UNION ALL
SELECT 'task runs', count(*) FROM task_run UNION ALL
SELECT 'logs', count(*) FROM log UNION ALL
SELECT 'slots', count(*) FROM concurrency_slot
"""

VERSIONS = """
SELECT r.id, r.version, count(h.id) AS states FROM flow_run r JOIN flow_run_state h ON h.flow_run_id = r.id
GROUP BY r.id HAVING r.version <> count(h.id) - 1
"""

ALWAYS = {
    "run is not in its newest state": """
        SELECT r.id, r.state_name, h.name AS newest FROM flow_run r LEFT JOIN LATERAL (
            SELECT * FROM flow_run_state s WHERE s.flow_run_id = r.id ORDER BY s.timestamp DESC LIMIT 1
        ) h ON true
        WHERE (h.id, h.type, h.name, h.timestamp)
            IS DISTINCT FROM (r.state_id, r.state_type, r.state_name, r.state_timestamp)
    """,
    "version below the states": """
        SELECT r.id, r.version, count(h.id) AS states FROM flow_run r JOIN flow_run_state h ON h.flow_run_id = r.id
        GROUP BY r.id HAVING r.version < count(h.id) - 1
    """,
    "history of no run": """
        SELECT h.id, h.flow_run_id FROM flow_run_state h LEFT JOIN flow_run r ON r.id = h.flow_run_id
        WHERE r.id IS NULL
    """,
    "illegal transition": f"""
        SELECT flow_run_id, before, type, name, timestamp FROM ({_HISTORY}) h
        WHERE (before, type) NOT IN ({_PAIRS})
    """,
    "events of a run out of order": f"""
        SELECT flow_run_id, seq_before, seq, name FROM ({_HISTORY}) h WHERE seq <= seq_before
    """,
    "event tells another past": f"""
        SELECT flow_run_id, before, payload->'initial_state' AS told FROM ({_HISTORY}) h
        WHERE payload IS NOT NULL AND before <> coalesce(payload->'initial_state'->>'type', '')
    """,
    "state without exactly one event": f"""
        SELECT h.flow_run_id, h.id, h.name, count(e.id) AS events FROM ({_HISTORY}) h LEFT JOIN event e ON e.id = h.id
        WHERE NOT (h.auto_scheduled AND h.number = 1)
        GROUP BY h.flow_run_id, h.id, h.name HAVING count(e.id) <> 1
    """,
    "event of no state": """
        SELECT e.id, e.event FROM event e LEFT JOIN flow_run_state h ON h.id = e.id
        WHERE e.event LIKE 'prefect.flow-run.%' AND e.payload ? 'validated_state' AND h.id IS NULL
    """,
    "run left in flight": """
        SELECT id, state_name, state_timestamp FROM flow_run
        WHERE state_type IN ('PENDING', 'RUNNING', 'CANCELLING', 'PAUSED')
    """,
    "slot outlives its run": f"""
        SELECT s.limit_id, s.slot, s.run_id, coalesce(r.state_type, t.state_type) AS state FROM concurrency_slot s
            LEFT JOIN flow_run r ON r.id = s.run_id LEFT JOIN task_run t ON t.id = s.run_id
        WHERE s.run_id IS NOT NULL AND {_LIVE}
            AND (coalesce(r.state_type, t.state_type) IS NULL OR coalesce(r.state_type, t.state_type) IN {TERMINAL})
    """,
    "more slots than the limit": f"""
        SELECT l.name, l.slot_limit, count(*) AS live FROM concurrency_slot s
            JOIN concurrency_limit l ON l.id = s.limit_id
        WHERE {_LIVE} GROUP BY l.id, l.name, l.slot_limit HAVING count(*) > l.slot_limit
    """,
    "slot without its lease": f"""
        SELECT s.limit_id, s.slot, s.lease_id FROM concurrency_slot s
            LEFT JOIN concurrency_lease e ON e.id = s.lease_id
        WHERE {_LIVE} AND s.lease_id IS NOT NULL AND e.id IS NULL
    """,
    "lease outlives its run": f"""
        SELECT e.id, r.id AS run, r.state_type FROM concurrency_lease e JOIN flow_run r ON r.id = e.holder_id
        WHERE r.state_type IN {TERMINAL} AND e.holder_type = 'flow_run'
    """,
    "expired lease not collected": """
        SELECT id, expires_at FROM concurrency_lease WHERE expires_at < clock_timestamp() - interval '20 seconds'
    """,
    "task-run event without exactly one state": f"""
        SELECT event.id, event.event, count(h.id) AS states FROM event LEFT JOIN task_run_state h ON h.id = event.id
        WHERE {_TOLD} GROUP BY event.id, event.event HAVING count(h.id) <> 1
    """,
    "task-run state of no event": """
        SELECT h.id, h.task_run_id, h.name FROM task_run_state h LEFT JOIN event e ON e.id = h.id
        WHERE e.id IS NULL AND NOT EXISTS (SELECT FROM flow_run r WHERE r.parent_task_run_id = h.task_run_id)
    """,
    "task run is not in its newest state": """
        SELECT t.id, t.state_name, h.name AS newest FROM task_run t LEFT JOIN LATERAL (
            SELECT * FROM task_run_state s WHERE s.task_run_id = t.id ORDER BY s.timestamp DESC LIMIT 1
        ) h ON true
        WHERE (h.type, h.timestamp) IS DISTINCT FROM (t.state_type, t.state_timestamp)
    """,
    "consumer behind": CONSUMERS_BEHIND,
    "dead letter": "SELECT consumer, event_id, error FROM event_dead_letter",
}

RUNS_LOST = """
SELECT sent.id FROM unnest($1::text[]::uuid[]) AS sent(id) LEFT JOIN flow_run r ON r.id = sent.id WHERE r.id IS NULL
"""
TRANSITIONS_LOST = """
SELECT sent.run, sent.state FROM unnest($1::text[]::uuid[], $2::text[]::uuid[]) AS sent(run, state)
    LEFT JOIN flow_run_state h ON h.id = sent.state AND h.flow_run_id = sent.run
WHERE h.id IS NULL
"""
NOT_AS_FINISHED = """
SELECT sent.id, sent.type AS acknowledged, r.state_type, r.state_name
FROM unnest($1::text[]::uuid[], $2::text[]) AS sent(id, type) LEFT JOIN flow_run r ON r.id = sent.id
WHERE r.state_type IS DISTINCT FROM sent.type
"""
RAN_TWICE = """
SELECT flow_run_id, count(*) AS times FROM flow_run_state
WHERE flow_run_id = ANY($1::text[]::uuid[]) AND type = 'RUNNING' GROUP BY flow_run_id HAVING count(*) <> 1
"""
EVENTS_LOST = """
SELECT sent.id, count(e.id) AS stored FROM unnest($1::text[]::uuid[]) AS sent(id) LEFT JOIN event e ON e.id = sent.id
GROUP BY sent.id HAVING count(e.id) <> 1
"""
LOGS_LOST = """
SELECT sent.message FROM unnest($1::text[]) AS sent(message)
WHERE sent.message NOT IN (SELECT message FROM log)
"""
TASK_RUNS_LOST = """
SELECT sent.id, t.state_type, count(t.id) AS stored FROM unnest($1::text[]::uuid[]) AS sent(id)
    LEFT JOIN task_run t ON t.id = sent.id
GROUP BY sent.id, t.state_type HAVING count(t.id) <> 1 OR t.state_type IS DISTINCT FROM 'COMPLETED'
"""
LEASES_STILL_THERE = "SELECT id FROM concurrency_lease WHERE id = ANY($1::text[]::uuid[])"
SLOTS_OF_SCHEDULE = """
SELECT (h.details->>'scheduled_time')::timestamptz AS slot FROM flow_run r
    JOIN LATERAL (
        SELECT details FROM flow_run_state s WHERE s.flow_run_id = r.id ORDER BY s.timestamp LIMIT 1
    ) h ON true
WHERE r.auto_scheduled AND r.created_by->>'id' = $1 ORDER BY 1
"""
