"""Every room of the API, in the order requests are matched: the busiest first."""

from typing import Any

from sempre.server.admin.routes import router as admin
from sempre.server.artifacts.routes import router as artifacts
from sempre.server.automations.routes import router as automations
from sempre.server.background_tasks.routes import router as task_workers
from sempre.server.background_tasks.subscription import scheduled_task_runs
from sempre.server.blocks.document_routes import router as block_documents
from sempre.server.blocks.schema_routes import router as block_schemas
from sempre.server.blocks.type_routes import capabilities_router as block_capabilities
from sempre.server.blocks.type_routes import router as block_types
from sempre.server.collections.routes import router as collections
from sempre.server.concurrency.routes import router as concurrency_limits
from sempre.server.concurrency.tag_routes import router as tag_limits
from sempre.server.deployments.routes import router as deployments
from sempre.server.deployments.run_routes import router as deployment_runs
from sempre.server.deployments.schedule_routes import router as deployment_schedules
from sempre.server.events.ingest import EventsIn
from sempre.server.events.routes import router as events
from sempre.server.events.stream import events_out
from sempre.server.flow_runs.bulk import router as flow_run_bulk
from sempre.server.flow_runs.graph import router as flow_run_graph
from sempre.server.flow_runs.history import router as flow_run_history
from sempre.server.flow_runs.inputs import router as flow_run_inputs
from sempre.server.flow_runs.logs_download import router as flow_run_logs
from sempre.server.flow_runs.resume import router as flow_run_resume
from sempre.server.flow_runs.routes import router as flow_runs
from sempre.server.flow_runs.state_routes import router as flow_run_states
from sempre.server.flows.routes import router as flows
from sempre.server.logs.routes import router as logs
from sempre.server.logs.stream import logs_out
from sempre.server.routing import Room
from sempre.server.saved_searches.routes import router as saved_searches
from sempre.server.task_runs.routes import router as task_runs
from sempre.server.task_runs.state_routes import router as task_run_states
from sempre.server.templates.routes import router as templates
from sempre.server.ui.routes import router as ui
from sempre.server.ui.settings_route import router as ui_settings
from sempre.server.variables.routes import router as variables
from sempre.server.work_pools.queue_routes import router as work_pool_queues
from sempre.server.work_pools.routes import router as work_pools
from sempre.server.work_pools.worker_routes import router as workers
from sempre.server.work_queues.routes import router as work_queues
from sempre.server.worker_channel.endpoint import worker_channel

__all__ = ["API_ROUTERS", "ROOT_ROUTERS", "WEBSOCKET_ROUTES"]

API_ROUTERS: list[Room] = [
    flow_runs,
    task_runs,
    task_workers,
    flow_run_inputs,
    flow_run_resume,
    flow_run_history,
    flow_run_graph,
    flow_run_bulk,
    flow_run_logs,
    flow_run_states,
    task_run_states,
    deployments,
    deployment_runs,
    deployment_schedules,
    work_pools,
    work_pool_queues,
    workers,
    work_queues,
    flows,
    logs,
    events,
    concurrency_limits,
    tag_limits,
    artifacts,
    variables,
    block_documents,
    block_types,
    block_schemas,
    block_capabilities,
    automations,
    saved_searches,
    templates,
    ui,
    collections,
    admin,
]

# Outside the API's prefix, and without authentication.
ROOT_ROUTERS: list[Room] = [ui_settings]

# Path under the API's prefix, and the ASGI endpoint that serves it.
WEBSOCKET_ROUTES: list[tuple[str, Any]] = [
    ("/events/in", EventsIn()),
    ("/events/out", events_out),
    ("/logs/out", logs_out),
    ("/work_pools/{work_pool_name}/workers/connect", worker_channel),
    ("/task_runs/subscriptions/scheduled", scheduled_task_runs),
]
