"""Task runs over HTTP: get-or-create, transitions, lists, deletion."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from sempre.server.scope import Scope
from tests.integration.runs.conftest import Api, Json, outcome_of

FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
TYPES = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING", *FINAL)


async def test_a_created_run_is_what_a_later_read_shows(api: Api) -> None:
    flow_run = await api.flow_run("RUNNING", labels={"team": "a", "own": "flow run"})
    created = await api.task_run(
        flow_run["id"],
        tags=["t"],
        labels={"own": "task"},
        task_inputs={"x": [{"input_type": "parameter", "name": "p"}, {"input_type": "constant", "type": "int"}]},
        empirical_policy={"retries": 2, "retry_delay": [1, 2.5], "retry_jitter_factor": 0.5},
        cache_key="key",
    )
    assert created["labels"] == {
        "prefect.flow.id": flow_run["flow_id"],
        "prefect.flow-run.id": flow_run["id"],
        "team": "a",
        "own": "task",
    }
    assert created["empirical_policy"]["retry_delay"] == [1, 2.5]
    assert created["state"]["name"] == "Pending"
    assert created["state"]["state_details"]["flow_run_id"] == flow_run["id"]
    assert created["state"]["state_details"]["task_run_id"] == created["id"]
    read = await api.reread(created)
    assert {**read, "estimated_start_time_delta": 0} == {**created, "estimated_start_time_delta": 0}
    assert await api.names(created) == ["Pending"]


async def test_the_natural_key_finds_the_run_again(api: Api) -> None:
    flow_run = await api.flow_run("RUNNING")
    for parent in (flow_run["id"], None):
        keys = {"task_key": "t", "dynamic_key": str(uuid4())}
        first = await api.task_run(parent, **keys)
        body = {"flow_run_id": parent, **keys, "id": str(uuid4()), "name": "other", "state": {"type": "RUNNING"}}
        again = await api.post("/task_runs/", body, expect=200)
        assert (again["id"], again["name"], again["state_type"]) == (first["id"], first["name"], "PENDING")
        assert await api.names(first) == ["Pending"]


async def test_twenty_creations_at_once_make_one_run(api: Api) -> None:
    flow_run = await api.flow_run("RUNNING")
    for parent in (flow_run["id"], None):
        for id in (None, str(uuid4())):
            body = {"flow_run_id": parent, "task_key": "t", "dynamic_key": str(uuid4()), "id": id}
            answers = await asyncio.gather(*(api.client.post("/task_runs/", json=body) for _ in range(20)))
            assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
            ids = {answer.json()["id"] for answer in answers}
            assert len(ids) == 1
            assert await api.names(answers[0].json()) == ["Pending"]


async def test_ids_and_flow_runs_that_cannot_be(api: Api) -> None:
    flow_run = await api.flow_run("RUNNING")
    id = str(uuid4())
    assert (await api.task_run(flow_run["id"], id=id))["id"] == id
    body = {"flow_run_id": flow_run["id"], "task_key": "other", "dynamic_key": "0", "id": id}
    assert "integrity conflict" in (await api.post("/task_runs/", body, expect=409))["detail"]
    await api.post("/task_runs/", {**body, "id": None, "flow_run_id": str(uuid4())}, expect=409)
    await api.post("/task_runs/", {**body, "id": None, "cache_key": "x" * 2001}, expect=422)


async def test_a_first_state_may_carry_a_result(api: Api) -> None:
    run = await api.task_run(None, {"type": "COMPLETED", "data": {"type": "result", "artifact_key": "k", "v": 1}})
    read = await api.reread(run)
    assert read["state"]["data"] == {"type": "result", "v": 1}
    assert read["start_time"] == read["end_time"] == read["state"]["timestamp"]


async def test_renaming(api: Api) -> None:
    run = await api.task_run(None)
    await api.call("PATCH", f"/task_runs/{run['id']}", {"name": "new"}, expect=204)
    assert (await api.reread(run))["name"] == "new"
    await api.call("PATCH", f"/task_runs/{run['id']}", {}, expect=204)
    assert (await api.reread(run))["name"] == "new"
    await api.call("PATCH", f"/task_runs/{run['id']}", {"tags": []}, expect=422)
    answer = await api.call("PATCH", f"/task_runs/{uuid4()}", {"name": "x"}, expect=404)
    assert answer == {"detail": "Task run not found"}


@pytest.mark.parametrize("old", TYPES)
async def test_the_transition_matrix(api: Api, old: str) -> None:
    """Rows of the table of rules: what is not named there is accepted."""
    flow_run = await api.flow_run("RUNNING")
    for new in TYPES:
        run = await api.task_run(flow_run["id"], old)
        result = await api.propose(run, new)
        if old in FINAL and new in ("CANCELLING", "PAUSED", "CRASHED"):
            expected: tuple[str, str] = ("ABORT", old)
        else:
            expected = ("ACCEPT", new)
        assert outcome_of(result) == expected, f"{old} -> {new}: {result}"
        assert (await api.reread(run))["state_type"] == expected[1]
        forced = await api.task_run(flow_run["id"], old)
        assert outcome_of(await api.propose(forced, new, force=True)) == ("ACCEPT", new)


async def test_tasks_start_only_while_their_flow_runs(api: Api) -> None:
    pending = await api.flow_run("PENDING")
    run = await api.task_run(pending["id"])
    result = await api.propose(run, "RUNNING", expect=200)
    assert outcome_of(result) == ("ABORT", "PENDING")
    assert result["details"]["reason"] == "The enclosing flow must be running to begin task execution."
    deadline = "2100-01-01T00:00:00Z"
    paused = await api.flow_run({"type": "PAUSED", "state_details": {"pause_timeout": deadline}})
    result = await api.propose(await api.task_run(paused["id"]), "RUNNING", expect=201)
    assert (result["status"], result["state"]["name"]) == ("REJECT", "NotReady")
    assert result["state"]["state_details"]["pause_timeout"] == deadline
    assert result["details"]["reason"] == (
        f"The flow is paused, new tasks can execute after resuming flow run: {paused['id']}."
    )


async def test_retries_and_reruns(api: Api) -> None:
    flow_run = await api.flow_run("RUNNING")
    run = await api.task_run(flow_run["id"], empirical_policy={"retries": 1, "retry_delay": 0})
    await api.propose(run, "RUNNING")
    result = await api.propose(run, {"type": "FAILED", "message": "no"}, expect=201)
    assert (result["status"], result["state"]["name"], result["state"]["message"]) == ("REJECT", "AwaitingRetry", "no")
    await api.propose(run, "RUNNING")
    assert outcome_of(await api.propose(run, "FAILED")) == ("ACCEPT", "FAILED")
    assert await api.names(run) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Failed"]
    read = await api.reread(run)
    assert (read["run_count"], read["flow_run_run_count"]) == (2, 1)
    await api.propose(run, "RUNNING")
    assert (await api.propose(run, "RUNNING"))["state"]["name"] == "Rerunning"


async def test_a_cached_result_is_used_again(api: Api) -> None:
    flow_run = await api.flow_run("RUNNING")
    key = str(uuid4())
    first = await api.task_run(flow_run["id"])
    await api.propose(first, "RUNNING")
    await api.propose(first, {"type": "COMPLETED", "data": {"v": 1}, "state_details": {"cache_key": key}})
    second = await api.task_run(flow_run["id"])
    result = await api.propose(second, {"type": "RUNNING", "state_details": {"cache_key": key}}, expect=201)
    assert (result["status"], result["state"]["name"], result["state"]["data"]) == ("REJECT", "Cached", {"v": 1})
    assert result["details"]["reason"] == "Retrieved state from cache"
    third = await api.task_run(flow_run["id"])
    refresh: Json = {"type": "RUNNING", "state_details": {"cache_key": key, "refresh_cache": True}}
    assert outcome_of(await api.propose(third, refresh)) == ("ACCEPT", "RUNNING")


async def test_the_parent_task_run_follows_its_subflow(api: Api) -> None:
    flow_run = await api.flow_run("RUNNING")
    parent = await api.task_run(flow_run["id"])
    child = await api.flow_run("PENDING", parent_task_run_id=parent["id"])
    for state in ("RUNNING", "COMPLETED"):
        await api.propose(child, state)
        mirrored = await api.reread(parent)
        assert mirrored["state_type"] == state
        details = mirrored["state"]["state_details"]
        assert details["child_flow_run_id"] == child["id"]
        assert (details["task_run_id"], details["flow_run_id"]) == (parent["id"], flow_run["id"])
    assert (mirrored["run_count"], mirrored["flow_run_run_count"]) == (1, 0)
    assert mirrored["end_time"] is not None
    # A second subflow under the same task run opens it again.
    await api.flow_run("PENDING", parent_task_run_id=parent["id"])
    assert (await api.reread(parent))["state_type"] == "PENDING"
    assert await api.names(parent) == ["Pending", "Pending", "Running", "Completed", "Pending"]


async def test_lists_count_and_pages(api: Api) -> None:
    flow_run = await api.flow_run("RUNNING")
    made = [await api.task_run(flow_run["id"], name=f"r{number}") for number in range(3)]
    mine: dict[str, Any] = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
    found = await api.post("/task_runs/filter", {**mine, "sort": "NAME_ASC", "limit": 2, "offset": 1})
    assert [run["id"] for run in found] == [run["id"] for run in made[1:]]
    assert [run["id"] for run in await api.post("/task_runs/filter", mine)] == [run["id"] for run in reversed(made)]
    assert await api.post("/task_runs/count", {**mine, "task_runs": {"name": {"any_": ["r1"]}}}) == 1
    page = await api.post("/task_runs/paginate", {**mine, "limit": 2, "page": 2})
    assert (page["count"], page["pages"], page["page"], len(page["results"])) == (3, 2, 2, 1)
    assert set(page["results"][0]) == {
        "id", "created", "updated", "name", "flow_run_id", "task_key", "task_version", "empirical_policy", "tags",
        "state_id", "task_inputs", "start_time", "end_time", "total_run_time", "estimated_run_time",
        "estimated_start_time_delta", "state",
    }  # fmt: skip


async def test_deletion_takes_what_belongs_to_the_run(api: Api, scope: Scope) -> None:
    flow_run = await api.flow_run("RUNNING")
    run = await api.task_run(flow_run["id"], {"type": "SCHEDULED", "state_details": {"deferred": True}})
    child = await api.flow_run(parent_task_run_id=run["id"])
    await scope.db.execute(
        "INSERT INTO log (id, workspace_id, timestamp, name, level, message, task_run_id)"
        " VALUES (gen_random_uuid(), $1, now(), 'l', 20, 'm', $2)",
        scope.workspace_id,
        run["id"],
    )
    await api.call("DELETE", f"/task_runs/{run['id']}", expect=204)
    assert await api.get(f"/task_runs/{run['id']}", expect=404) == {"detail": "Task not found"}
    assert await api.call("DELETE", f"/task_runs/{run['id']}", expect=404) == {"detail": "Task not found"}
    assert await api.names(run) == []
    assert (await api.reread(child))["parent_task_run_id"] is None
    for table in ("background_task", "log", "task_run_state"):
        assert await scope.db.fetchval(f"SELECT count(*) FROM {table} WHERE task_run_id = $1", run["id"]) == 0


async def test_single_states(api: Api) -> None:
    run = await api.task_run(None, {"type": "RUNNING", "message": "m"})
    assert await api.get(f"/task_run_states/{run['state_id']}") == run["state"]
    for kind in ("task", "flow"):
        answer = await api.get(f"/{kind}_run_states/{uuid4()}", expect=404)
        assert answer == {"detail": "Flow run state not found"}
        assert await api.get(f"/{kind}_run_states/?{kind}_run_id={uuid4()}") == []
        await api.get(f"/{kind}_run_states/", expect=422)


async def test_unknown_runs(api: Api) -> None:
    id = str(uuid4())
    answer = await api.post(f"/task_runs/{id}/set_state", {"state": {"type": "RUNNING"}}, expect=404)
    assert answer == {"exception_message": f"Task run with id {id} not found"}
    assert await api.get("/task_runs/not-an-id", expect=404) == {"detail": "Not Found"}


async def test_bodies_that_ask_for_nothing_may_be_absent(api: Api) -> None:
    run = await api.flow_run("RUNNING")
    for path in (
        "/task_runs/filter",
        "/task_runs/count",
        "/task_runs/paginate",
        "/task_workers/filter",
        "/flow_runs/lateness",
        f"/flow_runs/{run['id']}/resume",
    ):
        for content in (None, b"{}"):
            answer = await api.client.post(path, content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == 200, f"{path} {content!r}: {answer.text}"
    nulls = {"sort": None, "limit": None, "offset": None, "flow_runs": None}
    assert isinstance(await api.post("/task_runs/filter", nulls, expect=200), list)
    await api.post("/flow_runs/filter", nulls, expect=200)
    await api.post("/task_runs/filter", {"limit": 201}, expect=422)
    await api.post("/task_runs/filter", {"offset": -1}, expect=422)
