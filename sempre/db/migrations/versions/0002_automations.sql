-- Automations come to life. Nothing wrote to the tables that 0001 had laid out for them, so they give way to what the
-- trigger engine works on. Every automation belongs to one shard; the consumer of that shard alone writes its buckets,
-- firings and watches, in the transaction that moves its cursor.

DROP TABLE automation_action, automation_firing, automation_child_firing, automation_bucket;

-- What a consumer remembers beside its cursor.
ALTER TABLE event_consumer ADD COLUMN state jsonb;

-- Counting windows of event triggers, one per trigger and key. The key is hashed for the index, as the values of
-- labels may be longer than an index entry. `satisfied`: a proactive trigger got what it waits for. `last_event` is
-- kept only where the window may outlast the log. Counting touches no indexed column.
CREATE TABLE automation_bucket (
    trigger_id uuid NOT NULL,
    key_hash uuid NOT NULL,
    key text[] NOT NULL,
    automation_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    shard integer NOT NULL,
    proactive boolean NOT NULL,
    satisfied boolean NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    count bigint NOT NULL,
    last_number bigint,
    last_occurred timestamptz,
    last_event jsonb,
    PRIMARY KEY (trigger_id, key_hash)
) WITH (fillfactor = 80);
CREATE INDEX automation_bucket_ends ON automation_bucket (shard, window_end);
CREATE INDEX automation_bucket_watched ON automation_bucket (trigger_id, window_end) WHERE proactive;
CREATE INDEX automation_bucket_satisfied ON automation_bucket (trigger_id) WHERE satisfied;

-- The newest firing of each child of a composite trigger.
CREATE TABLE automation_child_firing (
    parent_trigger_id uuid NOT NULL,
    child_trigger_id uuid NOT NULL,
    automation_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    shard integer NOT NULL,
    firing_id uuid NOT NULL,
    fired_at timestamptz NOT NULL,
    firing jsonb NOT NULL,
    PRIMARY KEY (parent_trigger_id, child_trigger_id)
);

-- When to look at a trigger that waits for what does not come, or at a metric.
CREATE TABLE automation_watch (
    trigger_id uuid PRIMARY KEY,
    automation_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    shard integer NOT NULL,
    due timestamptz NOT NULL,
    state jsonb
);
CREATE INDEX automation_watch_due ON automation_watch (shard, due);

-- Triggers that are no more, until what they have counted is gone as well: that may be too much for one transaction.
CREATE TABLE automation_forgotten_trigger (
    trigger_id uuid PRIMARY KEY,
    shard integer NOT NULL
);

-- Events that came before the one they follow and wait for it.
CREATE TABLE automation_waiting_event (
    shard integer NOT NULL,
    number bigint NOT NULL,
    occurred timestamptz NOT NULL,
    PRIMARY KEY (shard, number)
);

-- What the runs were like that a metric looks at, by the time they started or ended: a count and a sum per slot.
CREATE TABLE automation_metric_slot (
    trigger_id uuid NOT NULL,
    slot timestamptz NOT NULL, -- its beginning
    count bigint NOT NULL,
    total double precision NOT NULL,
    PRIMARY KEY (trigger_id, slot)
) WITH (fillfactor = 80);

-- Firings of whole automations, as they were at that moment, and the actions they owe: rows that are claimed, retried
-- and finished.
CREATE TABLE automation_firing (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    automation_id uuid NOT NULL,
    fired_at timestamptz NOT NULL,
    automation jsonb NOT NULL,
    firing jsonb NOT NULL,
    event jsonb NOT NULL -- the prefect.automation.triggered (or resolved) event that told of it
);
CREATE INDEX automation_firing_automation ON automation_firing (automation_id, fired_at);
CREATE INDEX automation_firing_age ON automation_firing (fired_at);

CREATE TABLE automation_action (
    id uuid PRIMARY KEY, -- the invocation
    workspace_id uuid NOT NULL,
    firing_id uuid NOT NULL,
    automation_id uuid NOT NULL,
    action_index integer NOT NULL,
    action jsonb NOT NULL,
    -- Waits for somebody else's service: such actions are claimed apart from all others.
    outside boolean NOT NULL GENERATED ALWAYS AS (
        coalesce(action->>'type' IN ('send-notification', 'call-webhook'), false)
    ) STORED,
    -- What the action takes for its triggering event: that of the firing, or the event that tells of the firing.
    triggered_by text NOT NULL CHECK (triggered_by IN ('firing', 'automation')),
    status text NOT NULL DEFAULT 'ready' CHECK (status IN ('ready', 'running', 'done', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    due timestamptz NOT NULL DEFAULT now(),
    claimed_by uuid,
    claimed_until timestamptz,
    finished timestamptz,
    outcome jsonb,
    UNIQUE (firing_id, action_index)
);
CREATE INDEX automation_action_due ON automation_action (outside, due, id) WHERE status IN ('ready', 'running');

-- Presets that were turned into automations, once for each value of the setting that asks for them.
CREATE TABLE automation_preset (
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    name text NOT NULL,
    automation_id uuid NOT NULL,
    setting text NOT NULL,
    PRIMARY KEY (workspace_id, name)
);

-- The pulse of flow runs in flight that send heartbeats: when the newest came in, when it was sent, seconds from one to
-- the next, and when to look whether they stopped.
CREATE TABLE flow_run_heartbeat (
    flow_run_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    heard timestamptz NOT NULL,
    beat timestamptz NOT NULL,
    gap double precision NOT NULL,
    due timestamptz NOT NULL,
    PRIMARY KEY (flow_run_id, workspace_id)
);
CREATE INDEX flow_run_heartbeat_due ON flow_run_heartbeat (due);

-- Who is there, of those that come and go: seen when last, and since when without a break.
CREATE TABLE presence (
    kind text PRIMARY KEY,
    since timestamptz NOT NULL,
    seen timestamptz NOT NULL
);
