"""The SQL of the large database: small tables, the plan of all runs, and one INSERT per big table and batch.

``seeding.run`` holds one row per flow run, with everything the other tables need to agree on. A batch is a range of
run numbers, ``$1 <= n < $2``.
"""

from __future__ import annotations

__all__ = ["COLLECTIONS", "FILL", "FUNCTIONS", "RUNS", "SMALL_TABLES"]

_WORKSPACE = "'00000000-0000-0000-0000-000000000000'::uuid"
FLOWS, DEPLOYMENTS, POOLS, QUEUES = 200, 500, 20, 60

# Kinds of ids, so that no two tables share one.
_FLOW, _DEPLOYMENT, _POOL, _QUEUE, _RUN, _STATE, _TASK, _TASK_STATE, _EVENT, _LOG, _ARTIFACT, _OTHER = range(12)

FUNCTIONS = f"""
CREATE SCHEMA seeding;
CREATE TABLE seeding.total (runs bigint, days float8);
-- A number from 0 to 1 that looks random.
CREATE FUNCTION seeding.u(n bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (hashint8extended(n, salt) & 9007199254740991)::float8 / 9007199254740992.0;
-- A UUIDv7 of the millisecond.
CREATE FUNCTION seeding.id(ms bigint, n bigint, kind bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (lpad(to_hex(ms), 12, '0') || '7' || lpad(to_hex(n & 4095), 3, '0') || '8'
        || right(lpad(to_hex(hashint8extended(n, kind)), 16, '0'), 15))::uuid;
-- Of the things that are few and old.
CREATE FUNCTION seeding.thing(n bigint, kind bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN seeding.id(1700000000000 + n, n, kind);
-- Task run `j` of run `n`, which begins `ms`.
CREATE FUNCTION seeding.task(ms bigint, n bigint, j int) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN seeding.id(ms + j / 8, n * 8192 + j, {_TASK});
CREATE FUNCTION seeding.at(ms bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN timestamptz '1970-01-01 00:00:00+00' + ms * interval '1 millisecond';
CREATE FUNCTION seeding.name(n bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (ARRAY['amber','brave','calm','dapper','eager','fancy','gentle','honest','ivory','jolly','keen','lucid',
        'merry','noble','olive','proud','quiet','rapid','solemn','tidy','urban','vivid','witty','young','zesty'])
        [1 + (hashint8extended(n, 77) & 1023) % 25] || '-' ||
        (ARRAY['ant','bear','cat','deer','eagle','fox','goat','hare','ibis','jay','koala','lynx','mole','newt','owl',
        'pike','quail','raven','seal','toad','urchin','viper','wolf','yak','zebra'])
        [1 + (hashint8extended(n, 78) & 1023) % 25];
"""

SMALL_TABLES = f"""
INSERT INTO flow (id, workspace_id, name, tags)
SELECT seeding.thing(f, {_FLOW}), {_WORKSPACE}, 'flow-' || f, ARRAY['team-' || f % 12]
FROM generate_series(0, {FLOWS - 1}) f;
INSERT INTO work_pool (id, workspace_id, name, type, status, concurrency_limit)
SELECT seeding.thing(p, {_POOL}), {_WORKSPACE}, 'pool-' || p, 'process', 'READY', CASE WHEN p % 4 = 0 THEN 200 END
FROM generate_series(0, {POOLS - 1}) p;
INSERT INTO work_queue (id, workspace_id, work_pool_id, name, priority, status, last_polled, concurrency_limit)
SELECT seeding.thing(q, {_QUEUE}), {_WORKSPACE}, seeding.thing(q % {POOLS}, {_POOL}),
    CASE q / {POOLS} WHEN 0 THEN 'default' ELSE 'queue-' || q END, 1 + q / {POOLS}, 'READY', now(),
    CASE WHEN q % 7 = 0 THEN 50 END
FROM generate_series(0, {QUEUES - 1}) q;
UPDATE work_pool p SET default_queue_id = q.id FROM work_queue q WHERE q.work_pool_id = p.id AND q.name = 'default';
INSERT INTO worker (id, workspace_id, work_pool_id, name)
SELECT seeding.thing(w, {_OTHER}), {_WORKSPACE}, seeding.thing(w % {POOLS}, {_POOL}), 'worker-' || w
FROM generate_series(0, 39) w;
INSERT INTO deployment (
    id, workspace_id, name, flow_id, tags, parameters, entrypoint, path, work_queue_id, work_queue_name, status,
    last_polled, parameter_openapi_schema
)
SELECT seeding.thing(d, {_DEPLOYMENT}), {_WORKSPACE}, 'deployment-' || d, seeding.thing(d % {FLOWS}, {_FLOW}),
    ARRAY['team-' || d % 12, 'env-' || d % 3], '{{"rows": 100}}', 'flows.py:main', '/opt/flows',
    seeding.thing(d % {QUEUES}, {_QUEUE}), 'queue', 'READY', now(), '{{"type": "object", "properties": {{}}}}'
FROM generate_series(0, {DEPLOYMENTS - 1}) d;
INSERT INTO deployment_schedule (id, workspace_id, deployment_id, schedule, slug)
SELECT seeding.thing(100000 + d, {_OTHER}), {_WORKSPACE}, seeding.thing(d, {_DEPLOYMENT}),
    '{{"interval": 3600.0, "anchor_date": "2024-01-01T00:00:00Z", "timezone": "UTC"}}', 'hourly'
FROM generate_series(0, {DEPLOYMENTS - 1}, 2) d;
"""

# In order of creation: 85 % have ended, of the next 10 % every second one is in flight in some way, 5 % are to come.
RUNS = f"""
CREATE UNLOGGED TABLE seeding.run AS
SELECT n, seeding.id(ms, n, {_RUN}) AS id, ms, flow, deployment, parent, state_type, state_name,
    -- Few runs have very many task runs; runs that never began have none.
    CASE WHEN started_ms IS NULL OR u_tasks > 0.85 THEN 0 WHEN n = 10 THEN least(5000, total / 50)
        ELSE least(5000, total / 50, floor(2.4 / power(greatest(u_tasks, 1e-9), 0.6))) END::int AS tasks,
    expected_ms, started_ms, CASE WHEN terminal THEN coalesce(started_ms, expected_ms) + seconds * 1000 END AS ended_ms,
    CASE WHEN started_ms IS NULL THEN 0 ELSE seconds END AS seconds, seeding.name(n) AS name,
    CASE n % 4 WHEN 0 THEN '{{}}'::text[] WHEN 1 THEN ARRAY['env-' || n % 3]
        ELSE ARRAY['env-' || n % 3, 'team-' || flow % 12] END AS tags
FROM (
    SELECT *, CASE WHEN state_type = 'SCHEDULED' THEN CASE WHEN to_come
            THEN now_ms + floor((n - 0.95 * total) / (0.05 * total) * 4 * 86400000)::bigint ELSE ms + 15000 END
        ELSE ms + 1000 END AS expected_ms,
        CASE WHEN state_type = 'SCHEDULED' AND state_name <> 'AwaitingRetry' OR state_type = 'PENDING' THEN NULL
        ELSE ms + 1000 + floor(u_late * u_late * u_late * 60000)::bigint END AS started_ms,
        state_type IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED') AS terminal
    FROM (
        SELECT *, split_part(state, ' ', 1) AS state_type, split_part(state, ' ', 2) AS state_name
        FROM (
            SELECT n, total, to_come, now_ms, flow, u_tasks, seeding.u(n, 6) AS u_late,
                CASE WHEN to_come THEN now_ms - floor((total - n) / (0.05 * total) * 600000)::bigint
                    -- A wave a day.
                    ELSE now_ms - floor(span * (1 - f - 0.0015 * sin(2 * pi() * f * days)))::bigint - 650000
                END AS ms,
                CASE WHEN u_deployment > 0.15 OR to_come
                    THEN flow + {FLOWS} * (floor(u_deployment * 100)::bigint % 3) % {DEPLOYMENTS} END AS deployment,
                CASE WHEN n % 10 = 9 AND NOT to_come THEN n - 1 END AS parent,
                (10 + 590 * power(seeding.u(n, 5), 4))::bigint AS seconds,
                CASE WHEN to_come THEN 'SCHEDULED Scheduled'
                    WHEN n >= 0.85 * total AND u_flight < 0.5 THEN CASE
                        WHEN u_flight < 0.30 THEN 'SCHEDULED Late' WHEN u_flight < 0.40 THEN 'RUNNING Running'
                        WHEN u_flight < 0.42 THEN 'PENDING Pending' WHEN u_flight < 0.44 THEN 'SCHEDULED AwaitingRetry'
                        WHEN u_flight < 0.455 THEN 'PAUSED Paused' WHEN u_flight < 0.47 THEN 'PAUSED Suspended'
                        WHEN u_flight < 0.495 THEN 'SCHEDULED AwaitingConcurrencySlot'
                        ELSE 'CANCELLING Cancelling' END
                    WHEN u_state < 0.85 THEN 'COMPLETED Completed' WHEN u_state < 0.92 THEN 'FAILED Failed'
                    WHEN u_state < 0.93 THEN 'FAILED TimedOut' WHEN u_state < 0.95 THEN 'CRASHED Crashed'
                    ELSE 'CANCELLED Cancelled' END AS state
            FROM (
                SELECT n, total.days, total.runs AS total, n >= 0.95 * total.runs AS to_come,
                    total.days * 86400000 AS span,
                    least(1, n / (0.95 * total.runs)) AS f,
                    (extract(epoch FROM date_trunc('milliseconds', now())) * 1000)::bigint AS now_ms,
                    floor({FLOWS} * power(seeding.u(n, 1), 2))::bigint AS flow, seeding.u(n, 2) AS u_deployment,
                    seeding.u(n, 3) AS u_state, seeding.u(n, 4) AS u_flight, seeding.u(n, 7) AS u_tasks
                FROM seeding.total CROSS JOIN generate_series(0, total.runs - 1) n
            ) numbers
        ) drawn
    ) stated
) timed;
CREATE UNIQUE INDEX ON seeding.run (n);
"""

_DETAILS = """jsonb_build_object('flow_run_id', r.id, 'transition_id', seeding.id(r.ms, r.n, 99))"""

_FLOW_RUNS = f"""
INSERT INTO flow_run (
    id, workspace_id, created, updated, version, name, flow_id, deployment_id, work_queue_id, work_queue_name,
    flow_version, parameters, idempotency_key, empirical_policy, tags, labels, parent_task_run_id, auto_scheduled,
    created_by, state_id, state_type, state_name, state_timestamp, state_message, state_details, run_count,
    expected_start_time, next_scheduled_start_time, start_time, end_time, total_run_time
)
SELECT r.id, {_WORKSPACE}, seeding.at(r.ms), seeding.at(coalesce(r.ended_ms, r.started_ms, r.ms)), 3, r.name,
    seeding.thing(r.flow, {_FLOW}), d.id, d.work_queue_id, CASE WHEN d.id IS NOT NULL THEN 'queue' END,
    '3725cbb89ea1a6470faaa959aa1fcf02', '{{"name": "Ada", "rows": 1000}}',
    CASE WHEN d.id IS NOT NULL THEN 'scheduled ' || d.id || ' ' || r.n END,
    '{{"retries": 0, "retry_delay": 0, "max_retries": 0, "retry_delay_seconds": 0.0}}', r.tags,
    jsonb_build_object('prefect.flow.id', seeding.thing(r.flow, {_FLOW}), 'prefect.deployment.id', d.id),
    seeding.task(p.started_ms, p.n, 0), d.id IS NOT NULL,
    CASE WHEN d.id IS NOT NULL THEN jsonb_build_object('id', s.id, 'type', 'SCHEDULE', 'display_value', 'hourly') END,
    seeding.id(coalesce(r.ended_ms, r.started_ms, r.ms), r.n, {_STATE} + CASE WHEN r.ended_ms IS NOT NULL THEN 200
        WHEN r.started_ms IS NOT NULL THEN 100 ELSE 0 END),
    r.state_type, r.state_name, seeding.at(coalesce(r.ended_ms, r.started_ms, r.ms)),
    CASE r.state_type WHEN 'FAILED' THEN 'Flow run encountered an exception: ValueError: bad input' END, {_DETAILS},
    CASE WHEN r.started_ms IS NULL THEN 0 ELSE 1 END, seeding.at(r.expected_ms),
    CASE WHEN r.state_type = 'SCHEDULED' THEN seeding.at(r.expected_ms) END, seeding.at(r.started_ms),
    seeding.at(r.ended_ms), CASE WHEN r.ended_ms IS NULL THEN 0 ELSE r.seconds END
FROM seeding.run r
    LEFT JOIN deployment d ON d.id = seeding.thing(r.deployment, {_DEPLOYMENT})
    LEFT JOIN deployment_schedule s ON s.deployment_id = d.id
    LEFT JOIN seeding.run p ON p.n = r.parent AND p.tasks > 0
WHERE r.n >= $1 AND r.n < $2 ORDER BY r.n
"""

# Three states of those that ended, fewer of those that have not come that far.
_FLOW_RUN_STATES = f"""
INSERT INTO flow_run_state (id, workspace_id, flow_run_id, timestamp, type, name, message, details)
SELECT seeding.id(s.ms, r.n, {_STATE} + s.step * 100), {_WORKSPACE}, r.id, seeding.at(s.ms), s.type, s.name, NULL,
    {_DETAILS}
FROM seeding.run r CROSS JOIN LATERAL (
    VALUES (0, r.ms, CASE WHEN r.started_ms IS NULL AND r.ended_ms IS NULL THEN r.state_type ELSE 'PENDING' END,
            CASE WHEN r.started_ms IS NULL AND r.ended_ms IS NULL THEN r.state_name ELSE 'Pending' END),
        (1, r.started_ms, CASE WHEN r.ended_ms IS NULL THEN r.state_type ELSE 'RUNNING' END,
            CASE WHEN r.ended_ms IS NULL THEN r.state_name ELSE 'Running' END),
        (2, r.ended_ms, r.state_type, r.state_name)
) s(step, ms, type, name)
WHERE r.n >= $1 AND r.n < $2 AND s.ms IS NOT NULL ORDER BY r.n, s.step
"""

# Task run `j` of a run, and how it ended. The last one of a run in flight is still going.
_TASKS = """
    seeding.run r CROSS JOIN LATERAL (
        SELECT j, r.started_ms + r.seconds * 1000 * j / r.tasks AS begun,
            r.started_ms + r.seconds * 1000 * j / r.tasks + 50 + r.seconds * 900 / r.tasks AS over,
            seeding.u(r.n * 8192 + j, 11) AS u, r.ended_ms IS NULL AND j = r.tasks - 1 AS going
        FROM generate_series(0, r.tasks - 1) j
    ) t CROSS JOIN LATERAL (
        SELECT CASE WHEN t.going THEN CASE WHEN t.u < 0.1 THEN 'SCHEDULED' ELSE 'RUNNING' END
                WHEN t.u < 0.9 THEN 'COMPLETED' WHEN t.u < 0.97 THEN 'FAILED' WHEN t.u < 0.98 THEN 'CRASHED'
                ELSE 'CANCELLED' END AS type,
            CASE WHEN t.going THEN CASE WHEN t.u < 0.1 THEN 'AwaitingRetry' ELSE 'Running' END
                WHEN t.u < 0.8 THEN 'Completed' WHEN t.u < 0.9 THEN 'Cached' WHEN t.u < 0.97 THEN 'Failed'
                WHEN t.u < 0.98 THEN 'Crashed' ELSE 'Cancelled' END AS name
    ) s
"""

_TASK_RUNS = f"""
INSERT INTO task_run (
    workspace_id, id, created, updated, version, name, flow_run_id, flow_id, task_key, dynamic_key, empirical_policy,
    tags, task_inputs, state_id, state_type, state_name, state_timestamp, state_details, run_count, flow_run_run_count,
    expected_start_time, start_time, end_time, total_run_time
)
SELECT {_WORKSPACE}, seeding.task(r.started_ms, r.n, t.j), seeding.at(t.begun), seeding.at(t.over), 3,
    'task_' || t.j % 9 || '-' || t.j, r.id, seeding.thing(r.flow, {_FLOW}), 'task_' || t.j % 9 || '-a1b2c3d4',
    t.j::text,
    '{{"retries": 0, "retry_delay": 0}}', CASE WHEN t.j % 5 = 0 THEN ARRAY['slow'] ELSE '{{}}' END,
    CASE WHEN t.j > 0 THEN jsonb_build_object('x', jsonb_build_array(jsonb_build_object(
        'input_type', 'task_run', 'id', seeding.task(r.started_ms, r.n, t.j / 2)))) ELSE '{{}}' END,
    seeding.id(CASE WHEN t.going THEN t.begun ELSE t.over END, r.n * 8192 + t.j,
        {_TASK_STATE} + CASE WHEN t.going THEN 100 ELSE 200 END),
    s.type, s.name, seeding.at(CASE WHEN t.going THEN t.begun ELSE t.over END),
    jsonb_build_object('flow_run_id', r.id, 'task_run_id', seeding.task(r.started_ms, r.n, t.j)), 1, 1,
    seeding.at(t.begun), seeding.at(t.begun), CASE WHEN NOT t.going THEN seeding.at(t.over) END,
    CASE WHEN t.going THEN 0 ELSE (t.over - t.begun) / 1000.0 END
FROM {_TASKS} WHERE r.n >= $1 AND r.n < $2 AND r.tasks > 0 ORDER BY r.n, t.j
"""

# What was before Running is left out: nothing reads it, and it would be a fifth of the database.
_TASK_RUN_STATES = f"""
INSERT INTO task_run_state (workspace_id, id, task_run_id, timestamp, type, name, details)
SELECT {_WORKSPACE}, seeding.id(h.ms, r.n * 8192 + t.j, {_TASK_STATE} + h.step * 100),
    seeding.task(r.started_ms, r.n, t.j), seeding.at(h.ms), h.type, h.name, jsonb_build_object('flow_run_id', r.id)
FROM {_TASKS} CROSS JOIN LATERAL (
    VALUES (1, t.begun, CASE WHEN t.going THEN s.type ELSE 'RUNNING' END,
            CASE WHEN t.going THEN s.name ELSE 'Running' END),
        (2, CASE WHEN NOT t.going THEN t.over END, s.type, s.name)
) h(step, ms, type, name)
WHERE r.n >= $1 AND r.n < $2 AND r.tasks > 0 AND h.ms IS NOT NULL ORDER BY r.n, t.j, h.step
"""

# Ten events a run: three of its own, four or so of its task runs, one of its deployment, two that somebody emitted.
_EVENTS = f"""
INSERT INTO event (
    occurred, workspace_id, id, received, event, resource_id, resource, related, resource_ids, payload
)
SELECT e.occurred, {_WORKSPACE}, seeding.id(e.ms, r.n * 16 + e.j, {_EVENT}),
    e.occurred + interval '30 ms', e.event, e.resource_id,
    jsonb_build_object('prefect.resource.id', e.resource_id, 'prefect.resource.name', e.name,
        'prefect.state-type', r.state_type),
    CASE WHEN e.j < 3 THEN around.related || around.farther ELSE around.related END,
    array_prepend(e.resource_id, CASE WHEN e.j < 3 THEN around.ids || around.farther_ids ELSE around.ids END),
    CASE WHEN e.j < 3 THEN around.payload ELSE '{{}}' END
FROM seeding.run r
    LEFT JOIN deployment d ON d.id = seeding.thing(r.deployment, {_DEPLOYMENT})
    LEFT JOIN work_queue q ON q.id = d.work_queue_id
    CROSS JOIN LATERAL (
        SELECT jsonb_build_array(
                jsonb_build_object('prefect.resource.id', 'prefect.flow-run.' || r.id,
                    'prefect.resource.role', 'flow-run'),
                jsonb_build_object('prefect.resource.id', 'prefect.flow.' || seeding.thing(r.flow, {_FLOW}),
                    'prefect.resource.role', 'flow')
            ) AS related,
            ARRAY['prefect.flow-run.' || r.id, 'prefect.flow.' || seeding.thing(r.flow, {_FLOW})] AS ids,
            CASE WHEN d.id IS NULL THEN '[]' ELSE jsonb_build_array(
                jsonb_build_object('prefect.resource.id', 'prefect.deployment.' || d.id,
                    'prefect.resource.role', 'deployment'),
                jsonb_build_object('prefect.resource.id', 'prefect.work-pool.' || q.work_pool_id,
                    'prefect.resource.role', 'work-pool')) END AS farther,
            CASE WHEN d.id IS NULL THEN '{{}}'
                ELSE ARRAY['prefect.deployment.' || d.id, 'prefect.work-pool.' || q.work_pool_id] END AS farther_ids,
            '{{"intended": {{"from": "PENDING", "to": "RUNNING"}}}}'::jsonb AS payload
        OFFSET 0
    ) around
    CROSS JOIN LATERAL (
        SELECT j, r.ms + r.seconds * 100 * j AS ms, seeding.at(r.ms + r.seconds * 100 * j) AS occurred,
            CASE WHEN j < 3 THEN 'prefect.flow-run.' || CASE j WHEN 0 THEN 'Pending' WHEN 1 THEN 'Running'
                    ELSE r.state_name END
                WHEN j < 8 THEN 'prefect.task-run.' || CASE j % 3 WHEN 0 THEN 'Running' ELSE 'Completed' END
                WHEN j = 8 THEN CASE WHEN d.id IS NULL THEN 'heartbeat.' || r.n % 7 ELSE 'prefect.deployment.ready' END
                ELSE 'shop.order.' || (ARRAY['placed', 'paid', 'shipped'])[1 + r.n % 3] END AS event,
            CASE WHEN j < 3 THEN 'prefect.flow-run.' || r.id
                WHEN j < 8 THEN 'prefect.task-run.' || seeding.task(r.started_ms, r.n, (j - 3) / 2)
                WHEN j = 8 THEN coalesce('prefect.deployment.' || d.id, 'machine.' || r.n % 50)
                ELSE 'shop.order.' || r.n % 20000 END AS resource_id,
            CASE WHEN j < 3 THEN r.name WHEN j < 8 THEN 'task_' || j WHEN j = 8 THEN d.name ELSE 'order' END AS name
        FROM generate_series(0, 10) j
        WHERE j NOT BETWEEN 3 AND 7 OR r.tasks > (j - 3) / 2
    ) e
WHERE r.n >= $1 AND r.n < $2 ORDER BY r.n, e.j
"""

# As many lines as task runs, half of them of the flow run itself.
_LOGS = f"""
INSERT INTO log (recorded, id, workspace_id, timestamp, name, level, message, flow_run_id, task_run_id)
SELECT seeding.at(t.begun + 200), seeding.id(t.begun + 200, r.n * 8192 + t.j, {_LOG}), {_WORKSPACE},
    seeding.at(t.begun),
    CASE WHEN t.j % 2 = 0 THEN 'prefect.flow_runs' ELSE 'prefect.task_runs' END,
    CASE WHEN t.u < 0.8 THEN 20 WHEN t.u < 0.95 THEN 30 ELSE 40 END,
    'Step ' || t.j || ' of ' || r.name || ' finished in state ' || s.name || ' after reading 1000 rows', r.id,
    CASE WHEN t.j % 2 = 1 THEN seeding.task(r.started_ms, r.n, t.j) END
FROM {_TASKS} WHERE r.n >= $1 AND r.n < $2 AND r.tasks > 0 ORDER BY r.n, t.j
"""

_ARTIFACTS = f"""
INSERT INTO artifact (id, workspace_id, created, updated, key, type, data, flow_run_id, task_run_id)
SELECT seeding.id(r.ended_ms, r.n, {_ARTIFACT}), {_WORKSPACE}, seeding.at(r.ended_ms), seeding.at(r.ended_ms),
    CASE WHEN r.n % 20 = 0 THEN 'report-' || r.flow END, CASE WHEN r.n % 20 = 0 THEN 'markdown' ELSE 'result' END,
    to_jsonb('# Report of ' || r.name), r.id, CASE WHEN r.tasks > 0 THEN seeding.task(r.started_ms, r.n, 0) END
FROM seeding.run r WHERE r.n >= $1 AND r.n < $2 AND r.n % 5 = 0 AND r.ended_ms IS NOT NULL ORDER BY r.n
"""

FILL = {
    "flow_run": _FLOW_RUNS,
    "flow_run_state": _FLOW_RUN_STATES,
    "task_run": _TASK_RUNS,
    "task_run_state": _TASK_RUN_STATES,
    "event": _EVENTS,
    "log": _LOGS,
    "artifact": _ARTIFACTS,
}

COLLECTIONS = """
INSERT INTO artifact_collection (
    id, workspace_id, created, updated, key, latest_id, type, data, flow_run_id, task_run_id
)
SELECT DISTINCT ON (key) id, workspace_id, created, updated, key, id, type, data, flow_run_id, task_run_id
FROM artifact WHERE key IS NOT NULL ORDER BY key, created DESC
"""
