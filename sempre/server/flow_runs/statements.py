"""The SQL of flow-run orchestration: one statement reads everything a decision needs, one writes everything it causes.

The write is assembled from parts that never change, one text per combination that occurs, so each is prepared once
per connection. Every part hangs on ``run``: if the version that was read is gone, nothing happens at all.
"""

from functools import cache

from sempre.db.statement import Statement
from sempre.server.concurrency.statements import (
    FREE_RUN_SLOTS,
    HOLD_RUN_SLOTS,
    LIVE,
    RENEW_RUN_SLOTS,
    TAKE_RUN_SLOTS,
    Part,
    slots_in_use,
)
from sempre.server.events.statements import EVENT_OF_RUN
from sempre.server.task_runs.statements import MIRROR_RESULT, MIRROR_STATE

__all__ = ["LOAD", "SURROUNDINGS", "SURROUNDING_JOINS", "create_run", "write_transition"]

KNOWN_TRANSITIONS = 50  # a repeated proposal is recognised as long as its answer is among so many newest states

# What names the run's surroundings: for the state event's related resources and for responses.
SURROUNDINGS = """
    f.name AS flow_name, f.tags AS flow_tags,
    d.id AS found_deployment_id, d.name AS deployment_name, d.tags AS deployment_tags,
    q.name AS queue_name, p.id AS work_pool_id, p.name AS work_pool_name, p.type AS work_pool_type,
    t.name AS parent_task_run_name, t.tags AS parent_task_run_tags
"""
SURROUNDING_JOINS = """
    LEFT JOIN flow f ON f.id = r.flow_id
    LEFT JOIN deployment d ON d.id = r.deployment_id
    LEFT JOIN work_queue q ON q.id = r.work_queue_id
    LEFT JOIN work_pool p ON p.id = q.work_pool_id
    LEFT JOIN task_run t ON t.workspace_id = r.workspace_id AND t.id = r.parent_task_run_id
"""

LOAD = Statement(f"""
SELECT r.*, clock_timestamp() AS now, {SURROUNDINGS},
       l.id AS limit_id, l.slot_limit, l.active AS limit_active, d.concurrency_options,
       {slots_in_use("l.id")} AS slots_in_use,
       own.slot IS NOT NULL AS holds_slot, own.lease_id AS held_lease_id,
       EXISTS (SELECT FROM concurrency_slot s WHERE s.run_id = r.id) AS holds_any_slot,
       ARRAY(
           SELECT h.details->>'transition_id' FROM flow_run_state h WHERE h.flow_run_id = r.id
           ORDER BY h.timestamp DESC LIMIT {KNOWN_TRANSITIONS}
       ) AS transition_ids
FROM flow_run r {SURROUNDING_JOINS}
    LEFT JOIN concurrency_limit l ON l.id = d.concurrency_limit_id
    LEFT JOIN concurrency_slot own ON own.limit_id = l.id AND own.run_id = r.id AND {LIVE.format(alias="own")}
WHERE r.id = :id AND r.workspace_id = :workspace_id
""")


def _update_run(*more: str) -> Part:
    """``more``: further assignments."""
    assignments = "".join(f", {assignment}" for assignment in more)
    return Part(f"""
run AS (
    UPDATE flow_run SET
        version = version + 1, updated = clock_timestamp(){assignments},
        state_id = :state_id::uuid, state_type = :state_type::text, state_name = :state_name::text,
        state_timestamp = :state_timestamp::timestamptz, state_message = :state_message::text,
        state_data = :stored_data::jsonb, state_details = :state_details::jsonb, empirical_policy = :policy::jsonb,
        run_count = :run_count::int, start_time = :start_time::timestamptz, end_time = :end_time::timestamptz,
        expected_start_time = :expected_start_time::timestamptz,
        next_scheduled_start_time = :next_scheduled_start_time::timestamptz, total_run_time = :total_run_time::float8
    WHERE id = :id::uuid AND workspace_id = :workspace_id::uuid AND version = :version::bigint
    RETURNING id, workspace_id
)""")


_UPDATE_RUN = _update_run()
# Another claim brings infrastructure of its own.
_LET_GO = _update_run("infrastructure_pid = NULL")

_INSERT_RUN = Part("""
run AS (
    INSERT INTO flow_run (
        id, workspace_id, name, flow_id, deployment_id, deployment_version, work_queue_id, work_queue_name,
        flow_version, parameters, idempotency_key, context, empirical_policy, tags, labels, parent_task_run_id,
        infrastructure_document_id, job_variables, created_by, state_id, state_type, state_name, state_timestamp,
        state_message, state_data, state_details, run_count, start_time, end_time, expected_start_time,
        next_scheduled_start_time, total_run_time, created, updated
    )
    SELECT :id::uuid, f.workspace_id, :name::text, f.id, :deployment_id::uuid, :deployment_version::text,
        :work_queue_id::uuid, :work_queue_name::text, :flow_version::text, :parameters::jsonb, :idempotency_key::text,
        :context::jsonb, :policy::jsonb, :tags::text[], :labels::jsonb, :parent_task_run_id::uuid,
        :infrastructure_document_id::uuid, :job_variables::jsonb, :created_by::jsonb, :state_id::uuid,
        :state_type::text, :state_name::text, :state_timestamp::timestamptz, :state_message::text, :stored_data::jsonb,
        :state_details::jsonb, :run_count::int, :start_time::timestamptz, :end_time::timestamptz,
        :expected_start_time::timestamptz, :next_scheduled_start_time::timestamptz, :total_run_time::float8,
        :now::timestamptz, :now::timestamptz
    FROM flow f WHERE f.id = :flow_id::uuid AND f.workspace_id = :workspace_id::uuid
    ON CONFLICT (flow_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, workspace_id
)""")

_HISTORY = Part("""
history AS (
    INSERT INTO flow_run_state (id, workspace_id, flow_run_id, timestamp, type, name, message, data, details)
    SELECT :state_id::uuid, run.workspace_id, run.id, :state_timestamp::timestamptz, :state_type::text,
           :state_name::text, :state_message::text, :stored_data::jsonb, :state_details::jsonb
    FROM run
)""")

_RESULT = Part("""
result AS (
    INSERT INTO artifact (id, workspace_id, key, type, description, data, flow_run_id)
    SELECT :artifact_id::uuid, run.workspace_id, :artifact_key::text, :artifact_type::text,
           :artifact_description::text, :stored_data::jsonb, run.id
    FROM run
)""")

# Answering the same question again replaces the answer.
_ANSWER = Part("""
answered AS (
    INSERT INTO flow_run_input (id, workspace_id, flow_run_id, key, value)
    SELECT :answer_id::uuid, run.workspace_id, run.id, :answer_key::text, :answer_value::text FROM run
    ON CONFLICT (flow_run_id, key) DO UPDATE SET value = excluded.value, updated = clock_timestamp()
)""")

# What was started for a claim that is over. A process is known by a number that means nothing to another worker's host.
_TEAR_DOWN = Part("""
torn_down AS (
    INSERT INTO worker_cleanup (id, workspace_id, work_pool_id, work_queue_id, idempotency_key, kind, target, data)
    SELECT :cleanup_id::uuid, run.workspace_id, p.id, q.id,
           concat_ws(':', 'pending_claim_teardown.v1', run.id, :state_id::uuid), 'pending_claim_teardown.v1',
           jsonb_build_object('flow_run_id', run.id, 'infrastructure_pid', :old_pid::text), '{}'
    FROM run JOIN work_queue q ON q.id = :run_queue_id::uuid JOIN work_pool p ON p.id = q.work_pool_id
    WHERE p.type <> 'process' AND p.type !~ ':(push|managed)$'
    ON CONFLICT (work_pool_id, idempotency_key) DO NOTHING
)""")


@cache
def write_transition(
    *,
    result: bool,
    take: bool,
    renew: bool,
    hold: bool,
    free: bool,
    mirror: bool,
    answer: bool = False,
    let_go: bool = False,
    tear_down: bool = False,
) -> Statement:
    """The write of one transition; a row comes back iff it happened.

    ``result``: a persisted result. ``take``/``renew``/``hold``: slots, held for a time or until the run ends; when one
    was lost in the meantime SP001 is raised and everything undone. ``free``: slots given back. ``mirror``: the state
    forced onto the parent task run (SP001 too). ``answer``: an input that the run reads once it is in this state.
    ``let_go``: the run's infrastructure is no longer its; ``tear_down``: and the workers are told to end it.
    """
    chosen = (
        (result, _RESULT),
        (take, TAKE_RUN_SLOTS),
        (renew, RENEW_RUN_SLOTS),
        (hold, HOLD_RUN_SLOTS),
        (free, FREE_RUN_SLOTS),
        (answer, _ANSWER),
        (tear_down, _TEAR_DOWN),
        (mirror, MIRROR_STATE),
        (mirror and result, MIRROR_RESULT),
    )
    return _assemble(_LET_GO if let_go else _UPDATE_RUN, *(part for wanted, part in chosen if wanted))


@cache
def create_run(*, result: bool, mirror: bool) -> Statement:
    """Insert a run with its first state and event; no row comes back if the flow is unknown or the key is taken."""
    chosen = ((result, _RESULT), (mirror, MIRROR_STATE), (mirror and result, MIRROR_RESULT))
    return _assemble(_INSERT_RUN, *(part for wanted, part in chosen if wanted))


def _assemble(head: Part, *parts: Part) -> Statement:
    everything = (head, _HISTORY, EVENT_OF_RUN, *parts)
    checks = "".join(f" AND {part.check}" for part in everything if part.check)
    return Statement(f"WITH {', '.join(p.expressions for p in everything)} SELECT run.id FROM run WHERE true{checks}")
