"""``/flow_runs/{id}/graph`` and ``graph-v2``: what ran in a flow run, and what it waited for."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from starlette.responses import Response

from sempre.db.pool import Record
from sempre.schemas.base import DateTime
from sempre.schemas.responses import DependencyResult, Graph
from sempre.server import states
from sempre.server.errors import BadRequest, ObjectNotFound
from sempre.server.estimates import estimates
from sempre.server.flow_runs import graph_rows
from sempre.server.flow_runs.graph_nodes import assemble, references
from sempre.server.responses import JSON
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room(prefix="/flow_runs", tags=["Flow Runs", "Flow Run Graph"])

_BEGINNING = datetime.min.replace(tzinfo=UTC)


@router.get("/{id:uuid}/graph", response_model=list[DependencyResult])
async def read_dependencies(scope: ScopeDep, id: UUID) -> Response:
    """The run's task runs with the task runs whose results they use."""
    if await graph_rows.run(scope.db, scope.workspace_id, id) is None:
        raise ObjectNotFound(f"Flow run with id {id} not found")
    most = scope.settings.flow_run_graph.max_nodes
    found = await graph_rows.task_runs(scope.db, scope.workspace_id, id, most + 1)
    _check_size(id, len(found), most)
    return JSON([_dependencies(row) for row in found])


@router.get("/{id:uuid}/graph-v2", response_model=Graph)
async def read_graph(scope: ScopeDep, id: UUID, since: DateTime = _BEGINNING) -> Response:
    """The run's task runs and subflow runs that have not ended before ``since``, with their edges and artifacts."""
    db, workspace_id = scope.db, scope.workspace_id
    bounds = scope.settings.flow_run_graph
    run = await graph_rows.run(db, workspace_id, id)
    if run is None:
        raise ObjectNotFound(f"Flow run {id} not found")
    rows = await graph_rows.nodes(db, workspace_id, id, since=since, limit=bounds.max_nodes + 1)
    _check_size(id, len(rows), bounds.max_nodes)
    others: set[str] = set()
    if since > _BEGINNING:
        unseen = references(rows) - {row["id"] for row in rows}
        others = await graph_rows.parent_ids(db, workspace_id, id, sorted(unseen))
    artifacts = await graph_rows.artifacts(db, workspace_id, id, bounds.max_artifacts)
    nodes, loose = assemble(rows, others, artifacts)
    return JSON(
        {
            "start_time": run["start_time"],
            "end_time": run["end_time"],
            "root_node_ids": [node["id"] for node in nodes if not node["parents"]],
            "nodes": [(node["id"], node) for node in nodes],
            "artifacts": loose,
            "states": [dict(state) for state in await graph_rows.states(db, workspace_id, id)],
        }
    )


def _check_size(id: UUID, found: int, most: int) -> None:
    if found > most:
        raise BadRequest(f"The graph of flow run {id} has more than {most} nodes.")


def _dependencies(row: Record) -> dict[str, Any]:
    state = states.row_to_wire(row, "state_")
    upstream = {
        given["id"]: {"input_type": "task_run", "id": given["id"]}
        for inputs in row["task_inputs"].values()
        for given in inputs
        if given.get("input_type") == "task_run"
    }
    copied = ("id", "name", "expected_start_time", "start_time", "end_time", "total_run_time")
    return {
        **{name: row[name] for name in copied},
        "estimated_run_time": estimates(row, row["now"])[0],
        "upstream_dependencies": list(upstream.values()),
        "state": state,
        "untrackable_result": bool(state and state["state_details"]["untrackable_result"]),
    }
