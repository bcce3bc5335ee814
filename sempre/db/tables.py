"""The tables, as SQLAlchemy Core sees them: for composing dynamic queries, never for creating anything.

The schema itself is the migrations'. A test compares the two column by column.
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

metadata = MetaData()

_TYPES: dict[str, Any] = {
    "uuid": Uuid(),
    "text": Text(),
    "texts": ARRAY(Text),
    "uuids": ARRAY(Uuid),
    "time": TIMESTAMP(timezone=True),
    "json": JSONB(none_as_null=True),
    "bool": Boolean(),
    "int": Integer(),
    "bigint": BigInteger(),
    "float": Float(),
}


def _table(name: str, columns: str) -> Table:
    pairs = (column.split(":") for column in columns.split())
    return Table(name, metadata, *(Column(column, _TYPES[type]) for column, type in pairs))


artifact = _table(
    "artifact",
    """
    id:uuid workspace_id:uuid created:time updated:time key:text type:text description:text data:json
    metadata_:json flow_run_id:uuid task_run_id:uuid
    """,
)
artifact_collection = _table(
    "artifact_collection",
    """
    id:uuid workspace_id:uuid created:time updated:time key:text latest_id:uuid type:text description:text
    data:json metadata_:json flow_run_id:uuid task_run_id:uuid
    """,
)
automation = _table(
    "automation",
    """
    id:uuid workspace_id:uuid created:time updated:time name:text description:text enabled:bool tags:texts
    trigger:json actions:json actions_on_trigger:json actions_on_resolve:json
    """,
)
automation_action = _table(
    "automation_action",
    """
    id:uuid workspace_id:uuid firing_id:uuid automation_id:uuid action_index:int action:json outside:bool
    triggered_by:text status:text attempts:int due:time claimed_by:uuid claimed_until:time finished:time outcome:json
    """,
)
automation_bucket = _table(
    "automation_bucket",
    """
    trigger_id:uuid key_hash:uuid key:texts automation_id:uuid workspace_id:uuid shard:int proactive:bool
    satisfied:bool window_start:time window_end:time count:bigint last_number:bigint last_occurred:time
    last_event:json
    """,
)
automation_child_firing = _table(
    "automation_child_firing",
    """
    parent_trigger_id:uuid child_trigger_id:uuid automation_id:uuid workspace_id:uuid shard:int firing_id:uuid
    fired_at:time firing:json
    """,
)
automation_firing = _table(
    "automation_firing",
    """
    id:uuid workspace_id:uuid automation_id:uuid fired_at:time automation:json firing:json event:json
    """,
)
automation_metric_slot = _table("automation_metric_slot", "trigger_id:uuid slot:time count:bigint total:float")
automation_preset = _table("automation_preset", "workspace_id:uuid name:text automation_id:uuid setting:text")
automation_waiting_event = _table(
    "automation_waiting_event",
    """
    shard:int number:bigint occurred:time
    """,
)
automation_watch = _table(
    "automation_watch",
    """
    trigger_id:uuid automation_id:uuid workspace_id:uuid shard:int due:time state:json
    """,
)
automation_forgotten_trigger = _table(
    "automation_forgotten_trigger",
    """
    trigger_id:uuid shard:int
    """,
)
automation_related_resource = _table(
    "automation_related_resource",
    """
    automation_id:uuid workspace_id:uuid resource_id:text owned:bool
    """,
)
background_task = _table(
    "background_task",
    """
    workspace_id:uuid task_run_id:uuid state_id:uuid task_key:text enqueued_at:time is_retry:bool
    claimed_by:uuid claimed_until:time
    """,
)
block_document = _table(
    "block_document",
    """
    id:uuid workspace_id:uuid created:time updated:time name:text data:text is_anonymous:bool block_type_id:uuid
    block_schema_id:uuid
    """,
)
block_document_reference = _table(
    "block_document_reference",
    """
    id:uuid workspace_id:uuid name:text parent_block_document_id:uuid reference_block_document_id:uuid
    """,
)
block_schema = _table(
    "block_schema",
    """
    id:uuid workspace_id:uuid created:time updated:time checksum:text version:text fields:json
    capabilities:texts block_type_id:uuid
    """,
)
block_schema_reference = _table(
    "block_schema_reference",
    """
    id:uuid workspace_id:uuid name:text parent_block_schema_id:uuid reference_block_schema_id:uuid
    """,
)
block_type = _table(
    "block_type",
    """
    id:uuid workspace_id:uuid created:time updated:time name:text slug:text logo_url:text documentation_url:text
    description:text code_example:text is_protected:bool
    """,
)
concurrency_lease = _table(
    "concurrency_lease",
    """
    id:uuid workspace_id:uuid created:time expires_at:time slots:bigint limit_ids:uuids bucket_ids:uuids
    holder_type:text holder_id:uuid
    """,
)
concurrency_limit = _table(
    "concurrency_limit",
    """
    id:uuid workspace_id:uuid created:time updated:time name:text active:bool slot_limit:bigint
    bucket_level:bigint denied_slots:bigint slot_decay_per_second:float avg_slot_occupancy_seconds:float
    """,
)
concurrency_slot = _table(
    "concurrency_slot",
    """
    limit_id:uuid slot:bigint workspace_id:uuid lease_id:uuid run_id:uuid acquired_at:time expires_at:time
    """,
)
configuration = _table(
    "configuration",
    """
    workspace_id:uuid key:text value:json updated:time
    """,
)
csrf_token = _table(
    "csrf_token",
    """
    client:text id:uuid token:text expiration:time created:time updated:time
    """,
)
deployment = _table(
    "deployment",
    """
    id:uuid workspace_id:uuid created:time updated:time name:text flow_id:uuid version:text description:text
    paused:bool parameters:json parameter_openapi_schema:json enforce_parameter_schema:bool tags:texts
    labels:json pull_steps:json path:text entrypoint:text work_queue_id:uuid work_queue_name:text
    job_variables:json storage_document_id:uuid infrastructure_document_id:uuid concurrency_limit_id:uuid
    concurrency_options:json status:text last_polled:time created_by:json updated_by:json
    """,
)
deployment_schedule = _table(
    "deployment_schedule",
    """
    id:uuid workspace_id:uuid created:time updated:time deployment_id:uuid schedule:json active:bool
    max_scheduled_runs:int parameters:json slug:text
    """,
)
deployment_version = _table(
    "deployment_version",
    """
    id:uuid workspace_id:uuid created:time deployment_id:uuid version_info:json definition:json
    """,
)
event = _table(
    "event",
    """
    occurred:time workspace_id:uuid id:uuid seq:bigint received:time event:text resource_id:text resource:json
    related:json resource_ids:texts payload:json follows:uuid
    """,
)
event_consumer = _table(
    "event_consumer",
    """
    name:text shard:int position:bigint holes:json fence:bigint owner:uuid lease_until:time updated:time
    state:json
    """,
)
event_dead_letter = _table(
    "event_dead_letter",
    """
    consumer:text workspace_id:uuid event_id:uuid recorded:time event:json error:text
    """,
)
flow = _table(
    "flow",
    """
    id:uuid workspace_id:uuid created:time updated:time name:text tags:texts labels:json
    """,
)
flow_run = _table(
    "flow_run",
    """
    id:uuid workspace_id:uuid created:time updated:time version:bigint name:text flow_id:uuid deployment_id:uuid
    deployment_version:text work_queue_id:uuid work_queue_name:text flow_version:text parameters:json
    idempotency_key:text context:json empirical_policy:json tags:texts labels:json parent_task_run_id:uuid
    auto_scheduled:bool infrastructure_document_id:uuid infrastructure_pid:text job_variables:json
    created_by:json state_id:uuid state_type:text state_name:text state_timestamp:time state_message:text
    state_data:json state_details:json run_count:int expected_start_time:time next_scheduled_start_time:time
    start_time:time end_time:time total_run_time:float
    """,
)
flow_run_heartbeat = _table(
    "flow_run_heartbeat", "flow_run_id:uuid workspace_id:uuid heard:time beat:time gap:float due:time"
)
flow_run_input = _table(
    "flow_run_input",
    """
    id:uuid workspace_id:uuid created:time updated:time flow_run_id:uuid key:text value:text sender:text
    """,
)
flow_run_state = _table(
    "flow_run_state",
    """
    id:uuid workspace_id:uuid flow_run_id:uuid timestamp:time type:text name:text message:text data:json
    details:json
    """,
)
log = _table(
    "log",
    """
    recorded:time id:uuid workspace_id:uuid seq:bigint timestamp:time name:text level:int message:text
    flow_run_id:uuid task_run_id:uuid
    """,
)
presence = _table("presence", "kind:text since:time seen:time")
replica = _table("replica", "id:uuid host:text pid:int started:time seen:time ages:json")
saved_search = _table(
    "saved_search",
    """
    id:uuid workspace_id:uuid created:time updated:time name:text filters:json
    """,
)
service = _table(
    "service",
    """
    name:text next_run:time owner:text started:time completed:time seconds:float error:text lease_until:time
    fence:bigint
    """,
)
task_run = _table(
    "task_run",
    """
    workspace_id:uuid id:uuid created:time updated:time version:bigint name:text flow_run_id:uuid flow_id:uuid
    task_key:text dynamic_key:text cache_key:text cache_expiration:time task_version:text empirical_policy:json
    tags:texts labels:json task_inputs:json state_id:uuid state_type:text state_name:text state_timestamp:time
    state_message:text state_data:json state_details:json run_count:int flow_run_run_count:int
    expected_start_time:time next_scheduled_start_time:time start_time:time end_time:time total_run_time:float
    """,
)
task_run_cache = _table(
    "task_run_cache",
    """
    workspace_id:uuid state_id:uuid created:time cache_key:text cache_expiration:time
    """,
)
task_run_state = _table(
    "task_run_state",
    """
    workspace_id:uuid id:uuid task_run_id:uuid timestamp:time type:text name:text message:text data:json
    details:json
    """,
)
task_worker = _table(
    "task_worker",
    """
    id:uuid workspace_id:uuid identifier:text task_keys:texts seen_at:time
    """,
)
variable = _table(
    "variable",
    """
    id:uuid workspace_id:uuid created:time updated:time name:text value:json tags:texts
    """,
)
work_pool = _table(
    "work_pool",
    """
    id:uuid workspace_id:uuid created:time updated:time name:text description:text type:text
    base_job_template:json is_paused:bool concurrency_limit:int status:text default_queue_id:uuid
    storage_configuration:json last_status_event_id:uuid last_transitioned_status_at:time
    """,
)
work_queue = _table(
    "work_queue",
    """
    id:uuid workspace_id:uuid created:time updated:time work_pool_id:uuid name:text description:text
    is_paused:bool concurrency_limit:int priority:int filter:json last_polled:time status:text
    """,
)
worker = _table(
    "worker",
    """
    id:uuid workspace_id:uuid created:time updated:time work_pool_id:uuid name:text last_heartbeat_time:time
    heartbeat_interval_seconds:float status:text metadata:json
    """,
)
worker_session = _table(
    "worker_session",
    """
    id:uuid workspace_id:uuid work_pool_id:uuid name:text last_heartbeat_time:time heartbeat_interval_seconds:float
    """,
)
worker_cleanup = _table(
    "worker_cleanup",
    """
    id:uuid workspace_id:uuid created:time work_pool_id:uuid work_queue_id:uuid idempotency_key:text kind:text
    target:json data:json status:text delivery_count:int reservation_token:uuid reserved_until:time reason:text
    """,
)
workspace = _table(
    "workspace",
    """
    id:uuid handle:text name:text settings:json created:time updated:time
    """,
)
