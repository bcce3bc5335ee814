"""Graphs of a flow run."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from sempre.server.scope import Scope
from tests.integration.runs.conftest import Api, Json


def result_of(*runs: Json, kind: str = "task_run") -> list[Json]:
    return [{"input_type": kind, "id": run["id"]} for run in runs]


async def artifact(scope: Scope, key: str | None, type: str | None, **links: Any) -> str:
    id = uuid4()
    await scope.db.execute(
        "INSERT INTO artifact (id, workspace_id, key, type, data, flow_run_id, task_run_id)"
        " VALUES ($1, $2, $3, $4, '5', $5, $6)",
        id,
        scope.workspace_id,
        key,
        type,
        links["flow_run"]["id"],
        links["task_run"]["id"] if links.get("task_run") else None,
    )
    if key is not None:
        await scope.db.execute(
            "INSERT INTO artifact_collection (id, workspace_id, key, latest_id) VALUES (gen_random_uuid(), $1, $2, $3)"
            " ON CONFLICT (workspace_id, key) DO UPDATE SET latest_id = excluded.latest_id",
            scope.workspace_id,
            key,
            id,
        )
    return str(id)


async def test_nodes_edges_and_artifacts(api: Api, scope: Scope) -> None:
    run = await api.flow_run("RUNNING")
    first = await api.task_run(run["id"], "COMPLETED", name="first")
    dummy = await api.task_run(run["id"], name="dummy", task_inputs={"x": result_of(first)})
    child = await api.flow_run("RUNNING", name="run", parent_task_run_id=dummy["id"])
    second = await api.task_run(
        run["id"],
        "RUNNING",
        name="second",
        task_inputs={
            "a": [*result_of(first), {"input_type": "parameter", "name": "p"}],
            "b": result_of(first, first),
            "wait_for": result_of(child, kind="flow_run"),
            "c": result_of(dummy),
            "d": result_of({"id": str(uuid4())}),
            "__parents__": result_of(first, first),
        },
    )
    key = f"key-{uuid4()}"
    old = await artifact(scope, key, "markdown", flow_run=run, task_run=first)
    new = await artifact(scope, key, "progress", flow_run=run, task_run=first)
    loose = await artifact(scope, None, "table", flow_run=run)
    for dropped in ("result", None):
        await artifact(scope, None, dropped, flow_run=run)
    await artifact(scope, None, "table", flow_run=run, task_run=dummy)

    graph = await api.get(f"/flow_runs/{run['id']}/graph-v2")
    assert set(graph) == {"start_time", "end_time", "root_node_ids", "nodes", "artifacts", "states"}
    assert (graph["start_time"], graph["end_time"]) == ((await api.reread(run))["start_time"], None)
    assert [(state["type"], state["name"]) for state in graph["states"]] == [("RUNNING", "Running")]
    assert [id for id, _ in graph["nodes"]] == [first["id"], child["id"], second["id"]]
    nodes = dict(graph["nodes"])
    flow = await api.get(f"/flows/{child['flow_id']}")
    assert (nodes[child["id"]]["kind"], nodes[child["id"]]["label"]) == ("flow-run", f"{flow['name']} / run")
    assert (nodes[first["id"]]["kind"], nodes[first["id"]]["label"]) == ("task-run", "first")
    assert nodes[second["id"]]["parents"] == [{"id": first["id"]}, {"id": child["id"]}]
    assert nodes[second["id"]]["encapsulating"] == [{"id": first["id"]}]
    assert nodes[first["id"]]["children"] == [{"id": child["id"]}, {"id": second["id"]}]
    assert nodes[child["id"]]["parents"] == [{"id": first["id"]}]
    assert graph["root_node_ids"] == [first["id"]]
    shown = nodes[first["id"]]["artifacts"]
    assert [(one["id"], one["is_latest"], one["data"]) for one in shown] == [(old, False, None), (new, True, 5)]
    assert [(one["id"], one["is_latest"]) for one in graph["artifacts"]] == [(loose, True)]

    later = await api.get(f"/flow_runs/{run['id']}/graph-v2?since={child['created']}")
    assert [id for id, _ in later["nodes"]] == [child["id"], second["id"]]
    assert dict(later["nodes"])[second["id"]]["parents"] == [{"id": first["id"]}, {"id": child["id"]}]
    assert later["root_node_ids"] == []


async def test_the_first_form(api: Api) -> None:
    run = await api.flow_run("RUNNING")
    first = await api.task_run(run["id"], "COMPLETED")
    second = await api.task_run(
        run["id"],
        {"type": "RUNNING", "state_details": {"untrackable_result": True}},
        task_inputs={"a": result_of(first), "b": [*result_of(first), *result_of(run, kind="flow_run")]},
    )
    graph = await api.get(f"/flow_runs/{run['id']}/graph")
    assert [one["id"] for one in graph] == [first["id"], second["id"]]
    assert graph[1]["upstream_dependencies"] == result_of(first)
    assert [one["untrackable_result"] for one in graph] == [False, True]
    assert graph[1]["state"] == second["state"]
    assert set(graph[0]) == {
        "id", "name", "upstream_dependencies", "state", "expected_start_time", "start_time", "end_time",
        "total_run_time", "estimated_run_time", "untrackable_result",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "text"), [("graph", "Flow run with id {} not found"), ("graph-v2", "Flow run {} not found")]
)
async def test_graphs_of_unknown_runs(api: Api, form: str, text: str) -> None:
    id = str(uuid4())
    assert await api.get(f"/flow_runs/{id}/{form}", expect=404) == {"exception_message": text.format(id)}


async def test_a_graph_has_a_bound(api: Api, scope: Scope) -> None:
    run = await api.flow_run("RUNNING")
    for _ in range(3):
        await api.task_run(run["id"])
    object.__setattr__(scope.settings.flow_run_graph, "max_nodes", 2)
    for form in ("graph", "graph-v2"):
        answer = await api.get(f"/flow_runs/{run['id']}/{form}", expect=400)
        assert answer == {"detail": f"The graph of flow run {run['id']} has more than 2 nodes."}
