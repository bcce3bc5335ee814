-- The data model. Every tenant-owned row carries workspace_id and every unique key begins with it (or with a key that
-- is itself scoped). Hot rows (runs, states, slots, events, logs) carry no foreign keys: their writers check existence
-- in the same statement, and deletions are explicit. Slow-moving tables do carry them.
--
-- Ids are UUIDv7. Where clients choose ids (task runs, their states, events) the primary key includes workspace_id, so
-- that no tenant can occupy or observe another's id.

CREATE TABLE workspace (
    id uuid PRIMARY KEY,
    handle text NOT NULL UNIQUE,
    name text NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}',
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now()
);
-- The open single-tenant mode is this one workspace.
INSERT INTO workspace (id, handle, name) VALUES ('00000000-0000-0000-0000-000000000000', 'default', 'default');

-- Flows and deployments ------------------------------------------------------------------------------------------

CREATE TABLE flow (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    name text NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    labels jsonb NOT NULL DEFAULT '{}',
    UNIQUE (workspace_id, name)
);

CREATE TABLE concurrency_limit (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(), -- decay of a rate limit runs from here
    name text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    slot_limit bigint NOT NULL CHECK (slot_limit >= 0),
    -- A limit that decays is a leaky bucket: its slots have no holder and no end, only a level at `updated`.
    -- A limit that does not decay keeps its slots as rows of concurrency_slot, and this stays 0.
    bucket_level bigint NOT NULL DEFAULT 0 CHECK (bucket_level >= 0),
    denied_slots bigint NOT NULL DEFAULT 0,
    slot_decay_per_second double precision NOT NULL DEFAULT 0 CHECK (slot_decay_per_second >= 0),
    avg_slot_occupancy_seconds double precision NOT NULL DEFAULT 2.0,
    UNIQUE (workspace_id, name)
);

-- A lease is what a client renews and returns; it may cover slots of several limits, or none.
CREATE TABLE concurrency_lease (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz, -- null: ends with its holder, never with time
    slots bigint NOT NULL DEFAULT 1, -- of each limit
    limit_ids uuid[] NOT NULL DEFAULT '{}',  -- limits it holds rows of concurrency_slot of
    bucket_ids uuid[] NOT NULL DEFAULT '{}', -- limits that decay, whose level falls when it ends
    holder_type text,
    holder_id uuid
);
CREATE INDEX concurrency_lease_expiry ON concurrency_lease (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX concurrency_lease_holder ON concurrency_lease (holder_id) WHERE holder_id IS NOT NULL;

-- One row per slot in use. The primary key is what makes over-admission impossible: slots are numbered from 1 to the
-- limit, and two takers of the same number collide. A slot past its expiry is dead and may be taken over in place.
CREATE TABLE concurrency_slot (
    limit_id uuid NOT NULL,
    slot bigint NOT NULL CHECK (slot >= 1),
    workspace_id uuid NOT NULL,
    lease_id uuid,  -- null: an anonymous slot, taken and returned by count
    run_id uuid,    -- the run orchestration took it for, if it did
    acquired_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    PRIMARY KEY (limit_id, slot)
);
CREATE UNIQUE INDEX concurrency_slot_one_per_run ON concurrency_slot (limit_id, run_id) WHERE run_id IS NOT NULL;
CREATE INDEX concurrency_slot_run ON concurrency_slot (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX concurrency_slot_lease ON concurrency_slot (lease_id) WHERE lease_id IS NOT NULL;

CREATE TABLE work_pool (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    name text NOT NULL,
    description text,
    type text NOT NULL,
    base_job_template jsonb NOT NULL DEFAULT '{}',
    is_paused boolean NOT NULL DEFAULT false,
    concurrency_limit integer CHECK (concurrency_limit >= 0),
    status text CHECK (status IN ('READY', 'NOT_READY', 'PAUSED')),
    default_queue_id uuid,
    storage_configuration jsonb NOT NULL DEFAULT '{}',
    last_status_event_id uuid,
    last_transitioned_status_at timestamptz,
    UNIQUE (workspace_id, name)
);

CREATE TABLE work_queue (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    work_pool_id uuid NOT NULL REFERENCES work_pool ON DELETE CASCADE,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    is_paused boolean NOT NULL DEFAULT false,
    concurrency_limit integer CHECK (concurrency_limit >= 0),
    priority integer NOT NULL DEFAULT 1 CHECK (priority >= 1),
    filter jsonb,
    last_polled timestamptz,
    status text NOT NULL DEFAULT 'NOT_READY' CHECK (status IN ('READY', 'NOT_READY', 'PAUSED')),
    UNIQUE (work_pool_id, name)
);
CREATE INDEX work_queue_priority ON work_queue (work_pool_id, priority);
-- A pool's default queue can go only with its pool; deferred so that both appear and vanish in one transaction.
ALTER TABLE work_pool ADD CONSTRAINT work_pool_default_queue
    FOREIGN KEY (default_queue_id) REFERENCES work_queue ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE worker (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    work_pool_id uuid NOT NULL REFERENCES work_pool ON DELETE CASCADE,
    name text NOT NULL,
    last_heartbeat_time timestamptz NOT NULL DEFAULT now(),
    heartbeat_interval_seconds double precision,
    status text NOT NULL DEFAULT 'ONLINE' CHECK (status IN ('ONLINE', 'OFFLINE')),
    metadata jsonb NOT NULL DEFAULT '{}',
    UNIQUE (work_pool_id, name)
);
CREATE INDEX worker_online ON worker (work_pool_id, last_heartbeat_time) WHERE status = 'ONLINE';

-- Messages to workers about infrastructure that must be torn down: delivered at least once, one per key.
CREATE TABLE worker_cleanup (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    work_pool_id uuid NOT NULL REFERENCES work_pool ON DELETE CASCADE,
    work_queue_id uuid,
    idempotency_key text NOT NULL,
    kind text NOT NULL,
    target jsonb NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'ready' CHECK (status IN ('ready', 'reserved', 'done', 'dead')),
    delivery_count integer NOT NULL DEFAULT 0,
    reservation_token uuid,
    reserved_until timestamptz,
    reason text,
    UNIQUE (work_pool_id, idempotency_key)
);
CREATE INDEX worker_cleanup_open ON worker_cleanup (work_pool_id, created) WHERE status IN ('ready', 'reserved');

CREATE TABLE deployment (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(), -- polling never touches it: the recent-deployments scheduler watches it
    name text NOT NULL,
    flow_id uuid NOT NULL REFERENCES flow ON DELETE CASCADE,
    version text,
    description text,
    paused boolean NOT NULL DEFAULT false,
    parameters jsonb NOT NULL DEFAULT '{}',
    parameter_openapi_schema jsonb,
    enforce_parameter_schema boolean NOT NULL DEFAULT true,
    tags text[] NOT NULL DEFAULT '{}',
    labels jsonb NOT NULL DEFAULT '{}',
    pull_steps jsonb,
    path text,
    entrypoint text,
    work_queue_id uuid REFERENCES work_queue ON DELETE SET NULL,
    work_queue_name text,
    job_variables jsonb NOT NULL DEFAULT '{}',
    storage_document_id uuid,
    infrastructure_document_id uuid,
    concurrency_limit_id uuid REFERENCES concurrency_limit ON DELETE SET NULL,
    concurrency_options jsonb,
    status text NOT NULL DEFAULT 'NOT_READY' CHECK (status IN ('READY', 'NOT_READY')),
    last_polled timestamptz,
    created_by jsonb,
    updated_by jsonb,
    UNIQUE (workspace_id, flow_id, name)
);
CREATE INDEX deployment_work_queue ON deployment (work_queue_id);
CREATE INDEX deployment_updated ON deployment (updated) WHERE NOT paused;
CREATE INDEX deployment_ready ON deployment (last_polled) WHERE status = 'READY';
CREATE INDEX deployment_limit ON deployment (concurrency_limit_id);

CREATE TABLE deployment_schedule (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    deployment_id uuid NOT NULL REFERENCES deployment ON DELETE CASCADE,
    schedule jsonb NOT NULL,
    active boolean NOT NULL DEFAULT true,
    max_scheduled_runs integer,
    parameters jsonb NOT NULL DEFAULT '{}',
    slug text,
    UNIQUE (deployment_id, slug)
);

CREATE TABLE deployment_version (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    deployment_id uuid NOT NULL REFERENCES deployment ON DELETE CASCADE,
    version_info jsonb NOT NULL DEFAULT '{}',
    definition jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX deployment_version_deployment ON deployment_version (deployment_id, created);

-- Runs -----------------------------------------------------------------------------------------------------------

-- The current state lives on the run: one row answers every read and every decision. `version` grows with each
-- write that a transition depends on; transitions compare it and set the next one.
CREATE TABLE flow_run (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    version bigint NOT NULL DEFAULT 0,
    name text NOT NULL,
    flow_id uuid NOT NULL,
    deployment_id uuid,
    deployment_version text,
    work_queue_id uuid,
    work_queue_name text,
    flow_version text,
    parameters jsonb NOT NULL DEFAULT '{}',
    idempotency_key text,
    context jsonb NOT NULL DEFAULT '{}',
    empirical_policy jsonb NOT NULL DEFAULT '{}',
    tags text[] NOT NULL DEFAULT '{}',
    labels jsonb NOT NULL DEFAULT '{}',
    parent_task_run_id uuid,
    auto_scheduled boolean NOT NULL DEFAULT false,
    infrastructure_document_id uuid,
    infrastructure_pid text,
    job_variables jsonb DEFAULT '{}',
    created_by jsonb,
    state_id uuid,
    state_type text,
    state_name text,
    state_timestamp timestamptz,
    state_message text,
    state_data jsonb,
    state_details jsonb,
    run_count integer NOT NULL DEFAULT 0,
    expected_start_time timestamptz,
    next_scheduled_start_time timestamptz,
    start_time timestamptz,
    end_time timestamptz,
    total_run_time double precision NOT NULL DEFAULT 0
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX flow_run_idempotency ON flow_run (flow_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX flow_run_flow ON flow_run (flow_id, id);
CREATE INDEX flow_run_deployment ON flow_run (deployment_id, id) WHERE deployment_id IS NOT NULL;
CREATE INDEX flow_run_parent ON flow_run (parent_task_run_id) WHERE parent_task_run_id IS NOT NULL;
-- The workspace never leads an index of a hot table: while a table is young and without statistics, a plan for one row by
-- its id would take such an index for as good as the primary key, and read the whole workspace.
CREATE INDEX flow_run_expected ON flow_run (expected_start_time, workspace_id);
CREATE INDEX flow_run_started ON flow_run ((coalesce(start_time, expected_start_time)), workspace_id);
CREATE INDEX flow_run_ended ON flow_run (end_time, workspace_id);
-- Work in flight: what pollers, sweeps and slot counts read. Small however long the history grows.
CREATE INDEX flow_run_pollable ON flow_run (work_queue_id, next_scheduled_start_time)
    WHERE state_type = 'SCHEDULED';
CREATE INDEX flow_run_upcoming ON flow_run (deployment_id, next_scheduled_start_time) WHERE state_type = 'SCHEDULED';
CREATE INDEX flow_run_becoming_late ON flow_run (next_scheduled_start_time)
    WHERE state_type = 'SCHEDULED' AND state_name = 'Scheduled';
CREATE INDEX flow_run_in_flight ON flow_run (work_queue_id, state_type)
    WHERE state_type IN ('PENDING', 'RUNNING', 'CANCELLING');
CREATE INDEX flow_run_paused ON flow_run (id) WHERE state_type = 'PAUSED';
CREATE INDEX flow_run_cancelling ON flow_run (state_timestamp) WHERE state_type = 'CANCELLING';
CREATE INDEX flow_run_cancelled ON flow_run (end_time) WHERE state_type = 'CANCELLED';
CREATE INDEX flow_run_live_subflows ON flow_run (id)
    WHERE parent_task_run_id IS NOT NULL
        AND state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING');

CREATE TABLE flow_run_state (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    flow_run_id uuid NOT NULL,
    timestamp timestamptz NOT NULL,
    type text NOT NULL,
    name text NOT NULL,
    message text,
    data jsonb,
    details jsonb,
    UNIQUE (flow_run_id, timestamp)
);

CREATE TABLE flow_run_input (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    flow_run_id uuid NOT NULL REFERENCES flow_run ON DELETE CASCADE,
    key text NOT NULL,
    value text NOT NULL,
    sender text,
    UNIQUE (flow_run_id, key)
);

CREATE TABLE task_run (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    version bigint NOT NULL DEFAULT 0,
    name text NOT NULL,
    flow_run_id uuid,
    task_key text NOT NULL,
    dynamic_key text NOT NULL,
    cache_key text,
    cache_expiration timestamptz,
    task_version text,
    empirical_policy jsonb NOT NULL DEFAULT '{}',
    tags text[] NOT NULL DEFAULT '{}',
    labels jsonb NOT NULL DEFAULT '{}',
    task_inputs jsonb NOT NULL DEFAULT '{}',
    state_id uuid,
    state_type text,
    state_name text,
    state_timestamp timestamptz,
    state_message text,
    state_data jsonb,
    state_details jsonb,
    run_count integer NOT NULL DEFAULT 0,
    flow_run_run_count integer NOT NULL DEFAULT 0,
    expected_start_time timestamptz,
    next_scheduled_start_time timestamptz,
    start_time timestamptz,
    end_time timestamptz,
    total_run_time double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (id, workspace_id) -- id first: a plan must never settle for the workspace alone
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX task_run_natural_key ON task_run (flow_run_id, task_key, dynamic_key)
    WHERE flow_run_id IS NOT NULL;
CREATE UNIQUE INDEX task_run_natural_key_alone ON task_run (workspace_id, task_key, dynamic_key)
    WHERE flow_run_id IS NULL;
CREATE INDEX task_run_expected ON task_run (expected_start_time, workspace_id);
CREATE INDEX task_run_started ON task_run (start_time, workspace_id);
CREATE INDEX task_run_ended ON task_run (end_time, workspace_id);
CREATE INDEX task_run_live ON task_run (flow_run_id)
    WHERE state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING');

CREATE TABLE task_run_state (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    task_run_id uuid NOT NULL,
    timestamp timestamptz NOT NULL,
    type text NOT NULL,
    name text NOT NULL,
    message text,
    data jsonb,
    details jsonb,
    PRIMARY KEY (id, workspace_id) -- id first: a plan must never settle for the workspace alone
);
CREATE INDEX task_run_state_run ON task_run_state (task_run_id, timestamp);

CREATE TABLE task_run_cache (
    workspace_id uuid NOT NULL,
    state_id uuid NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    cache_key text NOT NULL,
    cache_expiration timestamptz,
    PRIMARY KEY (state_id, workspace_id)
);
CREATE INDEX task_run_cache_key ON task_run_cache (cache_key, workspace_id, created DESC);
CREATE INDEX task_run_cache_expiry ON task_run_cache (cache_expiration) WHERE cache_expiration IS NOT NULL;

-- Background tasks waiting for a task worker. A claim that is not acknowledged in time is open again.
CREATE TABLE background_task (
    workspace_id uuid NOT NULL,
    task_run_id uuid NOT NULL,
    state_id uuid NOT NULL,
    task_key text NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    is_retry boolean NOT NULL DEFAULT false,
    claimed_by uuid,
    claimed_until timestamptz,
    PRIMARY KEY (workspace_id, task_run_id)
);
CREATE INDEX background_task_queue ON background_task (workspace_id, task_key, is_retry DESC, enqueued_at);

CREATE TABLE task_worker (
    id uuid PRIMARY KEY, -- one per connection
    workspace_id uuid NOT NULL,
    identifier text NOT NULL,
    task_keys text[] NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- What runs leave behind ------------------------------------------------------------------------------------------

CREATE TABLE artifact (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    key text,
    type text,
    description text,
    data jsonb,
    metadata_ jsonb,
    flow_run_id uuid,
    task_run_id uuid
);
CREATE INDEX artifact_key ON artifact (workspace_id, key, created DESC) WHERE key IS NOT NULL;
CREATE INDEX artifact_flow_run ON artifact (flow_run_id) WHERE flow_run_id IS NOT NULL;
CREATE INDEX artifact_task_run ON artifact (task_run_id) WHERE task_run_id IS NOT NULL;

CREATE TABLE artifact_collection (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    key text NOT NULL,
    latest_id uuid NOT NULL,
    type text,
    description text,
    data jsonb,
    metadata_ jsonb,
    flow_run_id uuid,
    task_run_id uuid,
    UNIQUE (workspace_id, key)
);

-- Numbers of the logs below are drawn by transactions that have an id already; readers rely on it
-- (sempre.core.log_cursor).
CREATE SEQUENCE log_seq CACHE 1;
CREATE TABLE log (
    recorded timestamptz NOT NULL DEFAULT now(),
    id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    seq bigint NOT NULL DEFAULT CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('log_seq') END,
    timestamp timestamptz NOT NULL,
    name text NOT NULL,
    level integer NOT NULL,
    message text NOT NULL,
    flow_run_id uuid,
    task_run_id uuid,
    PRIMARY KEY (recorded, id)
) PARTITION BY RANGE (recorded);
ALTER SEQUENCE log_seq OWNED BY log.seq;
CREATE INDEX log_order ON log (seq);
CREATE INDEX log_flow_run ON log (flow_run_id, timestamp) WHERE flow_run_id IS NOT NULL;
CREATE INDEX log_task_run ON log (task_run_id, timestamp) WHERE task_run_id IS NOT NULL;
CREATE INDEX log_timestamp ON log (timestamp, workspace_id);
CREATE TABLE log_default PARTITION OF log DEFAULT;

-- The event log ---------------------------------------------------------------------------------------------------

-- Append-only. `seq` is the order consumers read in; it is allocated before commit, so readers track the numbers that
-- have not become visible yet (sempre.core.log_cursor). Partitioned by the event's own time, which makes a repeated
-- event collide with itself whenever it is sent again.
CREATE SEQUENCE event_seq CACHE 1;
CREATE TABLE event (
    occurred timestamptz NOT NULL,
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    seq bigint NOT NULL DEFAULT CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('event_seq') END,
    received timestamptz NOT NULL DEFAULT now(),
    event text NOT NULL,
    resource_id text NOT NULL,
    resource jsonb NOT NULL,
    related jsonb NOT NULL DEFAULT '[]',
    resource_ids text[] NOT NULL, -- primary and related
    payload jsonb NOT NULL DEFAULT '{}',
    follows uuid,
    PRIMARY KEY (workspace_id, occurred, id)
) PARTITION BY RANGE (occurred);
ALTER SEQUENCE event_seq OWNED BY event.seq;
CREATE INDEX event_order ON event (seq);
-- By id alone: a plan made while today's partition is empty would else as soon take another index of the workspace.
CREATE INDEX event_id ON event (id);
CREATE INDEX event_name ON event (workspace_id, event text_pattern_ops, occurred);
CREATE INDEX event_resource ON event (workspace_id, resource_id text_pattern_ops, occurred);
CREATE INDEX event_resources ON event USING gin (resource_ids);
CREATE TABLE event_default PARTITION OF event DEFAULT;

-- Where each consumer of the log stands. Cursor, state and output of a consumer commit together, guarded by `fence`.
CREATE TABLE event_consumer (
    name text NOT NULL,
    shard integer NOT NULL DEFAULT 0,
    position bigint NOT NULL DEFAULT 0,
    holes jsonb NOT NULL DEFAULT '[]',
    fence bigint NOT NULL DEFAULT 0,
    owner uuid,
    lease_until timestamptz,
    updated timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, shard)
);

-- Events a consumer could not use after all its attempts; kept so that nothing vanishes silently.
CREATE TABLE event_dead_letter (
    consumer text NOT NULL,
    workspace_id uuid NOT NULL,
    event_id uuid NOT NULL,
    recorded timestamptz NOT NULL DEFAULT now(),
    event jsonb NOT NULL,
    error text NOT NULL,
    PRIMARY KEY (consumer, workspace_id, event_id)
);

-- Automations -----------------------------------------------------------------------------------------------------

CREATE TABLE automation (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    enabled boolean NOT NULL DEFAULT true,
    tags text[] NOT NULL DEFAULT '{}',
    trigger jsonb NOT NULL,
    actions jsonb NOT NULL DEFAULT '[]',
    actions_on_trigger jsonb NOT NULL DEFAULT '[]',
    actions_on_resolve jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX automation_name ON automation (workspace_id, name);

CREATE TABLE automation_related_resource (
    automation_id uuid NOT NULL REFERENCES automation ON DELETE CASCADE,
    workspace_id uuid NOT NULL,
    resource_id text NOT NULL,
    owned boolean NOT NULL DEFAULT false,
    PRIMARY KEY (automation_id, resource_id)
);
CREATE INDEX automation_related_resource_id ON automation_related_resource (workspace_id, resource_id);

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

-- Blocks, variables, the rest -------------------------------------------------------------------------------------

CREATE TABLE block_type (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    name text NOT NULL,
    slug text NOT NULL,
    logo_url text,
    documentation_url text,
    description text,
    code_example text,
    is_protected boolean NOT NULL DEFAULT false,
    UNIQUE (workspace_id, slug)
);

CREATE TABLE block_schema (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    checksum text NOT NULL,
    version text NOT NULL DEFAULT 'non-versioned',
    fields jsonb NOT NULL DEFAULT '{}',
    capabilities text[] NOT NULL DEFAULT '{}',
    block_type_id uuid NOT NULL REFERENCES block_type ON DELETE CASCADE,
    UNIQUE (workspace_id, checksum, version)
);
CREATE INDEX block_schema_type ON block_schema (block_type_id);

CREATE TABLE block_schema_reference (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    name text NOT NULL,
    parent_block_schema_id uuid NOT NULL REFERENCES block_schema ON DELETE CASCADE,
    reference_block_schema_id uuid NOT NULL REFERENCES block_schema ON DELETE CASCADE,
    UNIQUE (parent_block_schema_id, name, reference_block_schema_id)
);

CREATE TABLE block_document (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    name text NOT NULL,
    data text NOT NULL, -- encrypted
    is_anonymous boolean NOT NULL DEFAULT false,
    block_type_id uuid NOT NULL REFERENCES block_type ON DELETE CASCADE,
    block_schema_id uuid NOT NULL REFERENCES block_schema ON DELETE CASCADE,
    UNIQUE (block_type_id, name)
);
CREATE INDEX block_document_schema ON block_document (block_schema_id);

CREATE TABLE block_document_reference (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    name text NOT NULL,
    parent_block_document_id uuid NOT NULL REFERENCES block_document ON DELETE CASCADE,
    reference_block_document_id uuid NOT NULL REFERENCES block_document ON DELETE CASCADE,
    UNIQUE (parent_block_document_id, name)
);
CREATE INDEX block_document_reference_target ON block_document_reference (reference_block_document_id);

CREATE TABLE variable (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    name text NOT NULL,
    value jsonb,
    tags text[] NOT NULL DEFAULT '{}',
    UNIQUE (workspace_id, name)
);

CREATE TABLE saved_search (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now(),
    name text NOT NULL,
    filters jsonb NOT NULL DEFAULT '[]',
    UNIQUE (workspace_id, name)
);

CREATE TABLE configuration (
    workspace_id uuid NOT NULL REFERENCES workspace ON DELETE CASCADE,
    key text NOT NULL,
    value jsonb NOT NULL,
    updated timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, key)
);

CREATE TABLE csrf_token (
    client text PRIMARY KEY,
    id uuid NOT NULL,
    token text NOT NULL,
    expiration timestamptz NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    updated timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX csrf_token_expiration ON csrf_token (expiration);

-- Background services: whose turn it is. A turn is taken by compare-and-set on next_run.
CREATE TABLE service (
    name text PRIMARY KEY,
    next_run timestamptz NOT NULL DEFAULT '-infinity',
    owner text,
    started timestamptz,
    completed timestamptz,
    seconds double precision,
    error text
);

-- Makes a statement all or nothing: its last SELECT calls this with what must hold, and a failure undoes every part.
CREATE FUNCTION sempre_require(holds boolean, reason text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT holds THEN
        RAISE EXCEPTION USING ERRCODE = 'SP001', MESSAGE = reason;
    END IF;
    RETURN true;
END $$;

-- The highest slot number of a limit that may be handed out: the greatest m with m + (live slots above m) <= capacity.
-- It is the capacity itself, unless the limit was lowered below numbers still in use. Those can only disappear, so a
-- value read from an old snapshot errs on the safe side.
CREATE FUNCTION sempre_highest_slot(the_limit uuid, capacity bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    highest bigint := capacity;
    above bigint;
BEGIN
    LOOP
        SELECT count(*) INTO above FROM concurrency_slot s
        WHERE s.limit_id = the_limit AND s.slot > highest
            AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp());
        EXIT WHEN highest + above <= capacity;
        highest := capacity - above;
    END LOOP;
    RETURN highest;
END $$;
