"""Flow runs under parallel and repeated requests."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from tests.integration.runs.conftest import Api, outcome_of


async def test_of_twenty_parallel_pendings_one_is_accepted(api: Api) -> None:
    run = await api.flow_run("SCHEDULED")
    results = await asyncio.gather(*(api.propose(run, "PENDING") for _ in range(20)))
    assert sorted(result["status"] for result in results) == ["ABORT"] * 19 + ["ACCEPT"]
    assert await api.names(run) == ["Scheduled", "Pending"]


async def test_twenty_creations_with_one_key_make_one_run(api: Api) -> None:
    flow = await api.flow()
    body = {"flow_id": flow["id"], "idempotency_key": "k", "state": {"type": "SCHEDULED"}}
    answers = await asyncio.gather(*(api.client.post("/flow_runs/", json=body) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await api.names(answers[0].json()) == ["Scheduled"]


async def test_a_repeated_transition_changes_nothing(api: Api) -> None:
    run = await api.flow_run("PENDING")
    state = {"type": "RUNNING", "state_details": {"transition_id": str(uuid4())}}
    first = await api.propose(run, state, expect=201)
    again = await api.propose(run, state, expect=200)
    assert (again["status"], again["state"]["id"]) == ("REJECT", first["state"]["id"])
    assert again["details"]["reason"] == "This run has already made this state transition."
    assert (await api.reread(run))["run_count"] == 1


async def test_every_parallel_restart_counts(api: Api) -> None:
    run = await api.flow_run("RUNNING")
    results = await asyncio.gather(*(api.propose(run, "RUNNING") for _ in range(10)))
    assert {outcome_of(result) for result in results} == {("ACCEPT", "RUNNING")}
    assert (await api.reread(run))["run_count"] == 11
    states = await api.get(f"/flow_run_states/?flow_run_id={run['id']}")
    assert len({state["timestamp"] for state in states}) == 11


async def test_subflows_of_one_parent_and_its_deletion_do_not_block_each_other(api: Api) -> None:
    parent = await api.flow_run("RUNNING")
    tasks = [await api.task_run(parent["id"]) for _ in range(4)]
    children = [await api.flow_run("PENDING", parent_task_run_id=task["id"]) for task in tasks for _ in range(2)]
    answers = await asyncio.gather(
        *(api.propose(child, state) for state in ("RUNNING", "COMPLETED") for child in children),
        api.call("DELETE", f"/flow_runs/{parent['id']}", expect=204),
        *(api.call("DELETE", f"/task_runs/{task['id']}") for task in tasks[:1]),
        return_exceptions=True,
    )
    failures = [answer for answer in answers if isinstance(answer, BaseException)]
    assert all("404" in str(failure) for failure in failures), failures  # a task run that was deleted already
    for child in children:
        assert (await api.reread(child))["parent_task_run_id"] is None
