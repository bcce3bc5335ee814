"""Task runs out of the events that clients send about them: one statement for a whole batch.

Clients orchestrate their task runs themselves; all the server ever sees are ``prefect.task-run.*`` events, out of
order, repeated, and now and then under two ids for one run. The statement brings a batch of them into the tables such
that the order and the number of deliveries make no difference:

* A run is who has the natural key (flow run, task key, dynamic key); else who has the id. Events that name it
  otherwise are rewritten to it.
* Of each run only the newest event touches the row, and only if it is newer than the row's state. What it does not
  mention stays as it is.
* Every event leaves its state in the history, once.
"""

from sempre.core.states import StateType
from sempre.db.statement import Statement

__all__ = ["RECORD"]

_UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_TYPES = ", ".join(f"'{type.value}'" for type in StateType)

# Column of task_run: how it is read from the client's task run `t`, and what stands in for nothing.
_COLUMNS: dict[str, tuple[str, str]] = {
    "name": ("{t}->>'name'", "''"),
    "task_key": ("{t}->>'task_key'", "''"),
    "dynamic_key": ("{t}->>'dynamic_key'", "''"),
    "cache_key": ("{t}->>'cache_key'", "NULL"),
    "cache_expiration": ("({t}->>'cache_expiration')::timestamptz", "NULL"),
    "task_version": ("{t}->>'task_version'", "NULL"),
    "empirical_policy": ("nullif({t}->'empirical_policy', 'null')", "'{{}}'"),
    "tags": ("ARRAY(SELECT jsonb_array_elements_text(nullif({t}->'tags', 'null')))", "'{{}}'"),
    "labels": ("nullif({t}->'labels', 'null')", "'{{}}'"),
    "task_inputs": ("nullif({t}->'task_inputs', 'null')", "'{{}}'"),
    "run_count": ("({t}->>'run_count')::int", "0"),
    "flow_run_run_count": ("({t}->>'flow_run_run_count')::int", "0"),
    "expected_start_time": ("({t}->>'expected_start_time')::timestamptz", "NULL"),
    "next_scheduled_start_time": ("({t}->>'next_scheduled_start_time')::timestamptz", "NULL"),
    "start_time": ("({t}->>'start_time')::timestamptz", "NULL"),
    "end_time": ("({t}->>'end_time')::timestamptz", "NULL"),
    "total_run_time": ("({t}->>'total_run_time')::float8", "0"),
}


def _value(column: str, source: str) -> str:
    expression, default = (part.format(t=f"{source}.t") for part in _COLUMNS[column])
    return expression if default == "NULL" else f"coalesce({expression}, {default})"


_NAMES = ", ".join(_COLUMNS)
_INSERTED = ", ".join(_value(column, "n") for column in _COLUMNS)
_UPDATED = ",\n        ".join(
    f"{column} = CASE WHEN u.t ? '{column}' THEN {_value(column, 'u')} ELSE task_run.{column} END"
    for column in _COLUMNS
)

# Returns `unplaced`: how many events found no run, because another transaction made it between our look and our
# insert. Run it again then, in the same transaction: it repeats nothing.
RECORD = Statement(f"""
WITH told AS MATERIALIZED (
    SELECT event.seq, event.workspace_id, event.id, event.occurred, parent.name AS parent,
           CASE WHEN event.resource_id ~ '^prefect\\.task-run\\.{_UUID}$'
               THEN substr(event.resource_id, 18)::uuid END AS run_id,
           CASE WHEN parent.name ~ '^prefect\\.flow-run\\.{_UUID}$'
               THEN substr(parent.name, 18)::uuid END AS flow_run_id,
           event.payload->'task_run' AS t, event.payload->'validated_state' AS s
    FROM event LEFT JOIN LATERAL (
        SELECT r->>'prefect.resource.id' AS name
        FROM jsonb_array_elements(event.related) WITH ORDINALITY AS related(r, n)
        WHERE r->>'prefect.resource.role' = 'flow-run' ORDER BY n LIMIT 1
    ) parent ON true
    WHERE event.seq = ANY(:seqs::bigint[]) AND event.occurred BETWEEN :first::timestamptz AND :last::timestamptz
),
checked AS MATERIALIZED (
    SELECT told.*, t->>'task_key' AS task_key, t->>'dynamic_key' AS dynamic_key, s->>'type' AS type,
           coalesce(s->>'name', initcap(s->>'type')) AS name, CASE
               WHEN run_id IS NULL THEN 'the resource is no task run'
               WHEN jsonb_typeof(t) IS DISTINCT FROM 'object' OR t->>'task_key' IS NULL OR t->>'dynamic_key' IS NULL
                   THEN 'payload.task_run lacks a task_key or a dynamic_key'
               WHEN s->>'type' NOT IN ({_TYPES}) OR s->>'type' IS NULL
                   THEN 'payload.validated_state is no state'
               WHEN parent IS NOT NULL AND NOT EXISTS (
                   SELECT FROM flow_run f WHERE f.id = told.flow_run_id AND f.workspace_id = told.workspace_id
               ) THEN 'the flow run is unknown'
           END AS problem
    FROM told
),
refused AS (
    INSERT INTO event_dead_letter (consumer, workspace_id, event_id, event, error)
    SELECT :consumer::text, e.workspace_id, e.id, to_jsonb(e), problem
    FROM checked JOIN event e USING (seq) WHERE problem IS NOT NULL
    ON CONFLICT DO NOTHING
),
known AS MATERIALIZED (
    SELECT e.*, named.id AS by_key, same.id AS by_id,
           coalesce(e.s->'state_details', '{{}}') || jsonb_build_object('flow_run_id', e.flow_run_id) AS details
    FROM checked e
    LEFT JOIN LATERAL (
        (
            SELECT r.id FROM task_run r
            WHERE r.flow_run_id = e.flow_run_id AND r.task_key = e.task_key AND r.dynamic_key = e.dynamic_key
        )
        UNION ALL
        (
            SELECT r.id FROM task_run r
            WHERE e.flow_run_id IS NULL AND r.flow_run_id IS NULL
                AND r.workspace_id = e.workspace_id AND r.task_key = e.task_key AND r.dynamic_key = e.dynamic_key
        )
        LIMIT 1
    ) named ON true
    LEFT JOIN task_run same ON same.workspace_id = e.workspace_id AND same.id = e.run_id
    WHERE e.problem IS NULL
),
inserted AS (
    INSERT INTO task_run (
        workspace_id, id, flow_run_id, {_NAMES},
        state_id, state_type, state_name, state_timestamp, state_message, state_data, state_details
    )
    SELECT n.workspace_id, n.run_id, n.flow_run_id, {_INSERTED},
           n.id, n.type, n.name, n.occurred, n.s->>'message', nullif(n.s->'data', 'null'),
           n.details || jsonb_build_object('task_run_id', n.run_id)
    FROM (
        SELECT DISTINCT ON (workspace_id, flow_run_id, task_key, dynamic_key) * FROM known
        WHERE by_key IS NULL AND by_id IS NULL
        ORDER BY workspace_id, flow_run_id, task_key, dynamic_key, occurred DESC, seq
    ) n
    ORDER BY n.flow_run_id, n.task_key, n.dynamic_key
    ON CONFLICT DO NOTHING
    RETURNING workspace_id, id, flow_run_id, task_key, dynamic_key
),
placed AS MATERIALIZED (
    SELECT k.*, coalesce(k.by_key, by_key_now.id, k.by_id, by_id_now.id) AS canonical
    FROM known k
    LEFT JOIN inserted by_key_now ON by_key_now.workspace_id = k.workspace_id
        AND by_key_now.flow_run_id IS NOT DISTINCT FROM k.flow_run_id
        AND by_key_now.task_key = k.task_key AND by_key_now.dynamic_key = k.dynamic_key
    LEFT JOIN inserted by_id_now ON by_id_now.workspace_id = k.workspace_id AND by_id_now.id = k.run_id
),
updated AS (
    UPDATE task_run SET
        {_UPDATED},
        flow_run_id = coalesce(u.flow_run_id, task_run.flow_run_id),
        version = task_run.version + 1, updated = clock_timestamp(),
        state_id = u.id, state_type = u.type, state_name = u.name, state_timestamp = u.occurred,
        state_message = u.s->>'message', state_data = nullif(u.s->'data', 'null'),
        state_details = u.details || jsonb_build_object('task_run_id', u.canonical)
    FROM (
        SELECT DISTINCT ON (workspace_id, canonical) * FROM placed
        WHERE by_key IS NOT NULL OR by_id IS NOT NULL
        ORDER BY workspace_id, canonical, occurred DESC, seq
    ) u
    WHERE task_run.workspace_id = u.workspace_id AND task_run.id = u.canonical
        AND (task_run.state_timestamp IS NULL OR task_run.state_timestamp < u.occurred)
),
history AS (
    INSERT INTO task_run_state (workspace_id, id, task_run_id, timestamp, type, name, message, data, details)
    SELECT workspace_id, id, canonical, occurred, type, name, s->>'message', nullif(s->'data', 'null'),
           details || jsonb_build_object('task_run_id', canonical)
    FROM placed WHERE canonical IS NOT NULL
    ORDER BY workspace_id, id
    ON CONFLICT DO NOTHING
)
SELECT count(*) AS unplaced FROM placed WHERE canonical IS NULL
""")
