"""Appending to the event log, as SQL.

Consumers of the log rely on one thing here: a transaction has its id before it draws a number from ``event_seq`` (see
:mod:`sempre.core.log_cursor`). The column's default sees to that.
"""

from sempre.db.statement import Statement
from sempre.server.concurrency.statements import Part

__all__ = ["APPEND_ENCODED_EVENTS", "APPEND_EVENTS", "EVENT_OF_RUN"]

# The event of a run's transition, in the statement that makes the transition. The event's id is the state's.
EVENT_OF_RUN = Part(
    """
event_of_run AS (
    INSERT INTO event (
        occurred, workspace_id, id, event, resource_id, resource, related, resource_ids, payload, follows
    )
    SELECT :state_timestamp::timestamptz, run.workspace_id, :state_id::uuid, :event::text, :event_resource_id::text,
           :event_resource::jsonb, :event_related::jsonb, :event_resource_ids::text[], :event_payload::jsonb,
           :event_follows::uuid
    FROM run
)"""
)

# Many events at once. Events whose id is in the log are passed over; repeats within the batch must be removed before.
# Sorted by key, so that two overlapping batches cannot deadlock on the primary key. When they were received is told by
# the database's clock: runs are judged by it, and a server's may be wrong.
_APPEND = """
INSERT INTO event (
    occurred, workspace_id, id, received, event, resource_id, resource, related, resource_ids, payload, follows
)
SELECT e.occurred, e.workspace_id, e.id, clock_timestamp(), e.event, resource->>'prefect.resource.id', resource,
       related,
       array_prepend(
           resource->>'prefect.resource.id',
           ARRAY(SELECT r->>'prefect.resource.id' FROM jsonb_array_elements(related) r)
       ),
       payload, e.follows
FROM unnest(
    :workspace_ids::uuid[], :ids::uuid[], :occurred::timestamptz[], :events::text[],
    :resources::{json}[], :related::{json}[], :payloads::{json}[], :follows::uuid[]
) AS e(workspace_id, id, occurred, event, raw_resource, raw_related, raw_payload, follows),
LATERAL (
    SELECT e.raw_resource::jsonb AS resource, e.raw_related::jsonb AS related, e.raw_payload::jsonb AS payload OFFSET 0
) parsed_once
WHERE NOT EXISTS (
    SELECT FROM (SELECT known.workspace_id FROM event known WHERE known.id = e.id OFFSET 0) known
    WHERE known.workspace_id = e.workspace_id
)
ORDER BY e.workspace_id, e.occurred, e.id
ON CONFLICT DO NOTHING
"""
APPEND_EVENTS = Statement(_APPEND.replace("{json}", "jsonb"))
# The same for JSON that is text already: ingest encodes each event once, while the statement before is under way.
APPEND_ENCODED_EVENTS = Statement(_APPEND.replace("{json}", "text"))
