"""Many flow runs at once, their deletion, and the download of logs."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sempre.server.flow_runs.logs_download import PAGE_SIZE
from sempre.server.scope import Scope
from tests.integration.runs.conftest import Api, Json


async def made(api: Api, *states: str) -> tuple[list[Json], Json]:
    flow = await api.flow()
    runs = [await api.flow_run(state, flow_id=flow["id"], name=flow["name"]) for state in states]
    return runs, {"flow_runs": {"name": {"any_": [flow["name"]]}}}


async def test_bulk_transitions_are_each_decided_alone(api: Api) -> None:
    runs, mine = await made(api, "RUNNING", "PENDING", "COMPLETED")
    answer = await api.post("/flow_runs/bulk_set_state", {**mine, "state": {"type": "PENDING"}}, expect=200)
    assert [one["flow_run_id"] for one in answer["results"]] == [run["id"] for run in reversed(runs)]
    assert [one["status"] for one in answer["results"]] == ["ACCEPT", "ABORT", "ABORT"]
    assert [one["state"]["type"] for one in answer["results"]] == ["PENDING", "PENDING", "RUNNING"]
    forced = {**mine, "state": {"type": "CANCELLED"}, "force": True, "limit": 2}
    assert len((await api.post("/flow_runs/bulk_set_state", forced))["results"]) == 2
    assert [(await api.reread(run))["state_type"] for run in runs] == ["RUNNING", "CANCELLED", "CANCELLED"]


async def test_bulk_bounds(api: Api) -> None:
    for limit in (0, 51):
        await api.post("/flow_runs/bulk_delete", {"limit": limit}, expect=422)
        await api.post("/flow_runs/bulk_set_state", {"limit": limit, "state": {"type": "RUNNING"}}, expect=422)
    await api.post("/flow_runs/bulk_set_state", {}, expect=422)


async def test_bulk_deletion(api: Api) -> None:
    runs, mine = await made(api, "RUNNING", "PENDING", "COMPLETED")
    answer = await api.post("/flow_runs/bulk_delete", {**mine, "limit": 2}, expect=200)
    assert answer == {"deleted": [runs[2]["id"], runs[1]["id"]]}
    assert (await api.reread(runs[0]))["id"] == runs[0]["id"]
    nothing: dict[str, Any] = {"flow_runs": {"id": {"any_": []}}}
    assert await api.post("/flow_runs/bulk_delete", nothing) == {"deleted": []}


async def test_deletion_takes_what_belongs_to_the_run(api: Api, scope: Scope) -> None:
    parent = await api.flow_run("RUNNING")
    task = await api.task_run(parent["id"], {"type": "COMPLETED", "data": {"v": 1}})
    child = await api.flow_run("RUNNING", parent_task_run_id=task["id"])
    await api.post(f"/flow_runs/{parent['id']}/input", {"key": "k", "value": "v"})
    await api.call("DELETE", f"/flow_runs/{parent['id']}", expect=204)
    answer = await api.call("DELETE", f"/flow_runs/{parent['id']}", expect=404)
    assert answer == {"detail": "Flow run not found"}
    await api.get(f"/task_runs/{task['id']}", expect=404)
    await api.get(f"/flow_runs/{parent['id']}/input/k", expect=404)
    assert await api.names(parent) == await api.names(task) == []
    assert (await api.reread(child))["parent_task_run_id"] is None
    assert await scope.db.fetchval("SELECT count(*) FROM artifact WHERE flow_run_id = $1", parent["id"]) == 1
    # The subflow goes on without a parent.
    await api.propose(child, "COMPLETED", expect=201)


async def test_logs_as_a_file(api: Api, scope: Scope) -> None:
    run = await api.flow_run("RUNNING", name="näme/1")
    task = await api.task_run(run["id"])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    count = 2 * PAGE_SIZE + 1
    # Pairs share a time, so that a page ends between two logs of one moment.
    await scope.db.execute(
        "INSERT INTO log (id, workspace_id, timestamp, name, level, message, flow_run_id, task_run_id)"
        " SELECT gen_random_uuid(), $1, $2::timestamptz + make_interval(secs => (n + 1) / 2), 'l', 20,"
        " 'say \"' || n || '\",' || chr(10), $3, CASE WHEN n = 0 THEN $4::uuid END FROM generate_series(0, $5) n",
        scope.workspace_id,
        start,
        run["id"],
        task["id"],
        count - 1,
    )
    response = await api.client.get(f"/flow_runs/{run['id']}/logs/download")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == (
        "attachment; filename=\"flow-run-logs.csv\"; filename*=UTF-8''n%C3%A4me%2F1-logs.csv"
    )
    assert response.text.startswith("timestamp,level,flow_run_id,task_run_id,message\r\n")
    _, *rows = csv.reader(io.StringIO(response.text, newline=""))
    assert rows[0] == ["2026-01-01 00:00:00+00:00", "20", run["id"], task["id"], 'say "0",\n']
    assert rows[1][3] == ""
    assert len({row[4] for row in rows}) == len(rows) == count
    assert rows[-1][0] == str(start + timedelta(seconds=PAGE_SIZE))
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    await api.get(f"/flow_runs/{uuid4()}/logs/download", expect=404)
