"""The SQL of task-run orchestration; its shape is that of :mod:`sempre.server.flow_runs.statements`."""

from functools import cache

from sempre.db.statement import Statement
from sempre.server.concurrency.statements import (
    FREE_RUN_SLOTS,
    LIVE,
    RENEW_RUN_SLOTS,
    TAKE_RUN_SLOTS,
    Part,
)

__all__ = ["LOAD", "LOAD_TAG_LIMITS", "MIRROR_RESULT", "MIRROR_STATE", "create_run", "write_transition"]

LOAD = Statement("""
SELECT t.*, clock_timestamp() AS now,
       r.id AS found_flow_run_id, r.run_count AS parent_run_count, r.state_id AS parent_state_id,
       r.state_type AS parent_state_type, r.state_name AS parent_state_name,
       r.state_timestamp AS parent_state_timestamp, r.state_details AS parent_state_details,
       EXISTS (SELECT FROM concurrency_slot s WHERE s.run_id = t.id) AS holds_any_slot,
       EXISTS (
           SELECT FROM concurrency_limit l
           WHERE l.workspace_id = t.workspace_id AND l.name = ANY(SELECT 'tag:' || tag FROM unnest(t.tags) AS tag)
       ) AS has_tag_limits,
       c.name AS cached_name, c.message AS cached_message, c.data AS cached_data, c.details AS cached_details
FROM task_run t
    LEFT JOIN flow_run r ON r.id = t.flow_run_id AND r.workspace_id = t.workspace_id
    LEFT JOIN LATERAL (
        SELECT s.name, s.message, s.data, s.details
        FROM task_run_cache k
            -- not "=": an index condition on the workspace alone must not be had (see the plans' test)
            JOIN task_run_state s ON s.id = k.state_id AND s.workspace_id IS NOT DISTINCT FROM k.workspace_id
        WHERE k.workspace_id = t.workspace_id AND k.cache_key = :cache_key::text
            AND (k.cache_expiration IS NULL OR k.cache_expiration > clock_timestamp())
        ORDER BY k.created DESC LIMIT 1
    ) c ON true
WHERE t.workspace_id = :workspace_id AND t.id = :id
""")

LOAD_TAG_LIMITS = Statement(f"""
SELECT l.id, substr(l.name, 5) AS tag, l.slot_limit, l.active, l.avg_slot_occupancy_seconds,
       count(s.slot) AS in_use, coalesce(bool_or(s.run_id = :id::uuid), false) AS held
FROM concurrency_limit l
    LEFT JOIN concurrency_slot s ON s.limit_id = l.id AND (s.run_id = :id::uuid OR {LIVE.format(alias="s")})
WHERE l.workspace_id = :workspace_id::uuid AND l.name = ANY(:names::text[])
GROUP BY l.id ORDER BY l.name
""")

_SET_COLUMNS = """
        version = version + 1, updated = clock_timestamp(),
        state_id = :{p}state_id::uuid, state_type = :{p}state_type::text, state_name = :{p}state_name::text,
        state_timestamp = :{p}state_timestamp::timestamptz, state_message = :{p}state_message::text,
        state_data = :{p}stored_data::jsonb, state_details = :{p}state_details::jsonb, run_count = :{p}run_count::int,
        flow_run_run_count = :{p}flow_run_run_count::int, start_time = :{p}start_time::timestamptz,
        end_time = :{p}end_time::timestamptz, expected_start_time = :{p}expected_start_time::timestamptz,
        next_scheduled_start_time = :{p}next_scheduled_start_time::timestamptz,
        total_run_time = :{p}total_run_time::float8
"""

_UPDATE_RUN = Part(f"""
run AS (
    UPDATE task_run SET {_SET_COLUMNS.format(p="")}
    WHERE workspace_id = :workspace_id::uuid AND id = :id::uuid AND version = :version::bigint
    RETURNING id, workspace_id, flow_run_id, task_key
)""")

# An existing run with the same natural key wins; an id that is taken by another run collides (unique violation).
_INSERT_RUN = """
run AS (
    INSERT INTO task_run (
        id, workspace_id, name, flow_run_id, task_key, dynamic_key, cache_key, cache_expiration, task_version,
        empirical_policy, tags, labels, task_inputs, state_id, state_type, state_name, state_timestamp, state_message,
        state_data, state_details, run_count, flow_run_run_count, start_time, end_time, expected_start_time,
        next_scheduled_start_time, total_run_time, created, updated
    )
    SELECT :id::uuid, :workspace_id::uuid, :name::text, :flow_run_id::uuid, :task_key::text, :dynamic_key::text,
        :cache_key::text, :cache_expiration::timestamptz, :task_version::text, :policy::jsonb, :tags::text[],
        :labels::jsonb, :task_inputs::jsonb, :state_id::uuid, :state_type::text, :state_name::text,
        :state_timestamp::timestamptz, :state_message::text, :stored_data::jsonb, :state_details::jsonb,
        :run_count::int, :flow_run_run_count::int, :start_time::timestamptz, :end_time::timestamptz,
        :expected_start_time::timestamptz, :next_scheduled_start_time::timestamptz, :total_run_time::float8,
        :now::timestamptz, :now::timestamptz
    WHERE :flow_run_id::uuid IS NULL OR EXISTS (
        SELECT FROM flow_run r WHERE r.id = :flow_run_id::uuid AND r.workspace_id = :workspace_id::uuid
    )
    ON CONFLICT {conflict} DO NOTHING
    RETURNING id, workspace_id, flow_run_id, task_key
)"""
_INSERT_IN_FLOW_RUN = Part(
    _INSERT_RUN.replace("{conflict}", "(flow_run_id, task_key, dynamic_key) WHERE flow_run_id IS NOT NULL")
)
_INSERT_ALONE = Part(
    _INSERT_RUN.replace("{conflict}", "(workspace_id, task_key, dynamic_key) WHERE flow_run_id IS NULL")
)

_HISTORY = Part("""
history AS (
    INSERT INTO task_run_state (id, workspace_id, task_run_id, timestamp, type, name, message, data, details)
    SELECT :state_id::uuid, run.workspace_id, run.id, :state_timestamp::timestamptz, :state_type::text,
           :state_name::text, :state_message::text, :stored_data::jsonb, :state_details::jsonb
    FROM run
)""")

_RESULT = Part("""
result AS (
    INSERT INTO artifact (id, workspace_id, key, type, description, data, flow_run_id, task_run_id)
    SELECT :artifact_id::uuid, run.workspace_id, :artifact_key::text, :artifact_type::text,
           :artifact_description::text, :stored_data::jsonb, run.flow_run_id, run.id
    FROM run
)""")

_CACHE = Part("""
cached AS (
    INSERT INTO task_run_cache (workspace_id, state_id, cache_key, cache_expiration)
    SELECT run.workspace_id, :state_id::uuid, :written_cache_key::text, :written_cache_expiration::timestamptz FROM run
)""")

# A task run waits at most once on its queue; scheduled again, it waits anew. A retry is not handed out before its time:
# the worker that got it would only hold a place for it.
_ENQUEUE = Part("""
enqueued AS (
    INSERT INTO background_task (workspace_id, task_run_id, state_id, task_key, is_retry, enqueued_at)
    SELECT run.workspace_id, run.id, :state_id::uuid, run.task_key, retry.is_retry,
        CASE WHEN retry.is_retry THEN coalesce(
            (:state_details::jsonb ->> 'scheduled_time')::timestamptz, clock_timestamp()
        ) ELSE clock_timestamp() END
    FROM run CROSS JOIN (SELECT :state_name::text = 'AwaitingRetry' AS is_retry) retry
    ON CONFLICT (workspace_id, task_run_id) DO UPDATE SET
        state_id = excluded.state_id, enqueued_at = excluded.enqueued_at, is_retry = excluded.is_retry,
        claimed_by = NULL, claimed_until = NULL
)""")

# A subflow's state on the task run that stands for it in the parent, inside the statement that moves the subflow.
MIRROR_STATE = Part(
    f"""
mirrored AS (
    UPDATE task_run SET {_SET_COLUMNS.format(p="m_")}
    FROM run
    WHERE task_run.workspace_id = run.workspace_id AND task_run.id = :m_id::uuid AND version = :m_version::bigint
    RETURNING task_run.id, task_run.workspace_id, task_run.flow_run_id
),
mirrored_history AS (
    INSERT INTO task_run_state (id, workspace_id, task_run_id, timestamp, type, name, message, data, details)
    SELECT :m_state_id::uuid, mirrored.workspace_id, mirrored.id, :m_state_timestamp::timestamptz,
           :m_state_type::text, :m_state_name::text, :m_state_message::text, :m_stored_data::jsonb,
           :m_state_details::jsonb
    FROM mirrored
)""".replace("version = version", "version = task_run.version").replace("AND version =", "AND task_run.version ="),
    "sempre_require((SELECT count(*) FROM mirrored) = 1, 'the parent task run moved')",
)

# The subflow's result is the result of that task run too.
MIRROR_RESULT = Part("""
mirrored_result AS (
    INSERT INTO artifact (id, workspace_id, data, flow_run_id, task_run_id)
    SELECT :m_artifact_id::uuid, mirrored.workspace_id, :m_stored_data::jsonb, mirrored.flow_run_id, mirrored.id
    FROM mirrored
)""")


@cache
def write_transition(
    *, result: bool, take: bool, renew: bool, free: bool, cache_result: bool, enqueue: bool
) -> Statement:
    """The write of one transition; a row comes back iff it happened (SP001: a slot was lost in the meantime)."""
    chosen = (
        (result, _RESULT),
        (take, TAKE_RUN_SLOTS),
        (renew, RENEW_RUN_SLOTS),
        (free, FREE_RUN_SLOTS),
        (cache_result, _CACHE),
        (enqueue, _ENQUEUE),
    )
    return _assemble(_UPDATE_RUN, *(part for wanted, part in chosen if wanted))


@cache
def create_run(*, in_flow_run: bool, result: bool, cache_result: bool, enqueue: bool) -> Statement:
    """Insert a run with its first state; no row comes back if its flow run is unknown or its key is taken."""
    chosen = ((result, _RESULT), (cache_result, _CACHE), (enqueue, _ENQUEUE))
    head = _INSERT_IN_FLOW_RUN if in_flow_run else _INSERT_ALONE
    return _assemble(head, *(part for wanted, part in chosen if wanted))


def _assemble(head: Part, *parts: Part) -> Statement:
    everything = (head, _HISTORY, *parts)
    checks = "".join(f" AND {part.check}" for part in everything if part.check)
    return Statement(f"WITH {', '.join(p.expressions for p in everything)} SELECT run.id FROM run WHERE true{checks}")
