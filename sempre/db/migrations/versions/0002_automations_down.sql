-- Back to the tables of 0001. What triggers have counted and actions still owed are lost.
DROP TABLE presence, flow_run_heartbeat, automation_preset, automation_metric_slot, automation_forgotten_trigger,
    automation_waiting_event, automation_watch, automation_action, automation_firing, automation_child_firing,
    automation_bucket;
ALTER TABLE event_consumer DROP COLUMN state;

-- Counting windows of event triggers, one per (trigger, key).
CREATE TABLE automation_bucket (
    automation_id uuid NOT NULL,
    trigger_id uuid NOT NULL,
    key text[] NOT NULL,
    workspace_id uuid NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    count bigint NOT NULL DEFAULT 0,
    last_event jsonb,
    version bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (trigger_id, key)
);
CREATE INDEX automation_bucket_due ON automation_bucket (window_end);
CREATE INDEX automation_bucket_automation ON automation_bucket (automation_id);

-- The newest firing of each child of a composite trigger.
CREATE TABLE automation_child_firing (
    automation_id uuid NOT NULL,
    parent_trigger_id uuid NOT NULL,
    child_trigger_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    firing_id uuid NOT NULL,
    fired_at timestamptz NOT NULL,
    firing jsonb NOT NULL,
    PRIMARY KEY (parent_trigger_id, child_trigger_id)
);
CREATE INDEX automation_child_firing_automation ON automation_child_firing (automation_id);

-- Firings of whole automations, and the actions they owe: rows that are claimed, retried and finished.
CREATE TABLE automation_firing (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    automation_id uuid NOT NULL,
    fired_at timestamptz NOT NULL,
    firing jsonb NOT NULL
);
CREATE INDEX automation_firing_automation ON automation_firing (automation_id, fired_at);

CREATE TABLE automation_action (
    id uuid PRIMARY KEY, -- the invocation id
    workspace_id uuid NOT NULL,
    firing_id uuid NOT NULL,
    automation_id uuid NOT NULL,
    action_index integer NOT NULL,
    action jsonb NOT NULL,
    context jsonb NOT NULL,
    status text NOT NULL DEFAULT 'ready' CHECK (status IN ('ready', 'running', 'done', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    due timestamptz NOT NULL DEFAULT now(),
    claimed_by uuid,
    claimed_until timestamptz,
    outcome jsonb,
    UNIQUE (firing_id, action_index)
);
CREATE INDEX automation_action_due ON automation_action (due) WHERE status IN ('ready', 'running');
