"""Every pair of state types of a task run, and the rules that only some of them meet."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.orchestration.conftest import Api, Json

TYPES = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING", "COMPLETED", "FAILED", "CRASHED", "CANCELLED")
TERMINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
PENDING_GUARD = ("PENDING", "RUNNING", "CANCELLING", "CANCELLED")


def expected(old: str, new: str, *, deferred: bool = False) -> tuple[str, str | None]:
    """``(status, reason)``: everything is accepted but for a few."""
    if deferred and new == "PENDING" and old in PENDING_GUARD:
        return "ABORT", f"This run is in a {old} state and cannot transition to a PENDING state."
    if old in TERMINAL and new in ("CANCELLING", "PAUSED", "CRASHED"):
        return "ABORT", f"Run is already {old}."
    return "ACCEPT", None


async def check(
    api: Api, flow_run_id: str | None, old: str, new: str, *, deferred: bool = False, force: bool = False
) -> None:
    run = await api.task_run(flow_run_id, old)
    proposal: Json = {"type": new, "state_details": {"deferred": deferred}}
    status, reason = expected(old, new, deferred=deferred) if deferred or not force else ("ACCEPT", None)
    answer = await api.propose(run, proposal, force=force, expect=201 if status == "ACCEPT" else 200)
    assert (answer["status"], answer["details"].get("reason")) == (status, reason), f"{old} -> {new}"
    final = new if status == "ACCEPT" else old
    read = await api.reread(run)
    assert (read["state_type"], read["state_id"]) == (final, answer["state"]["id"])
    assert [state["type"] for state in await api.states(run)] == [old, new][: 1 + (status == "ACCEPT")]
    first = 1 if old == "RUNNING" else 0
    # A finished run starts over with its attempts; by force it only goes on.
    counted = first + (new == "RUNNING") if status == "ACCEPT" else first
    assert read["run_count"] == counted
    if new == "RUNNING" and (not force or deferred):
        # Run again, or as the first attempt of a flow that has been run once since.
        again = "Rerunning" if old == "RUNNING" else "Running"
        retried = flow_run_id is not None and old in TERMINAL
        assert answer["state"]["name"] == ("Retrying" if retried else again)


@pytest.mark.parametrize("old", TYPES)
async def test_in_a_running_flow(api: Api, old: str) -> None:
    flow_run = await api.flow_run("RUNNING")
    for new in TYPES:
        await check(api, flow_run["id"], old, new)


@pytest.mark.parametrize("old", TYPES)
async def test_without_a_flow_run(api: Api, old: str) -> None:
    for new in TYPES:
        await check(api, None, old, new)


@pytest.mark.parametrize("old", TYPES)
async def test_background_tasks_have_rules_of_their_own(api: Api, old: str) -> None:
    for new in TYPES:
        for force in (False, True):
            await check(api, None, old, new, deferred=True, force=force)


@pytest.mark.parametrize("old", TYPES)
async def test_forced(api: Api, old: str) -> None:
    flow_run = await api.flow_run("COMPLETED")
    for new in TYPES:
        await check(api, flow_run["id"], old, new, force=True)


@pytest.mark.parametrize(
    ("state", "status", "name", "reason"),
    [
        ("PENDING", "ABORT", "Pending", "The enclosing flow must be running to begin task execution."),
        ("COMPLETED", "ABORT", "Pending", "The enclosing flow must be running to begin task execution."),
        (
            {
                "type": "PAUSED",
                "state_details": {"pause_timeout": "2040-01-01T00:00:00Z", "pause_reschedule": True},
            },
            "REJECT",
            "NotReady",
            "The flow is paused, new tasks can execute after resuming flow run: {id}.",
        ),
        ("RUNNING", "ACCEPT", "Running", None),
    ],
)
async def test_tasks_start_only_while_their_flow_runs(
    api: Api, state: Any, status: str, name: str, reason: str | None
) -> None:
    flow_run = await api.flow_run(state)
    run = await api.task_run(flow_run["id"], "PENDING")
    answer = await api.propose(run, "RUNNING", expect=200 if status == "ABORT" else 201)
    assert (answer["status"], answer["state"]["name"]) == (status, name)
    assert answer["details"].get("reason") == (reason and reason.format(id=flow_run["id"]))
    if name == "NotReady":
        details = answer["state"]["state_details"]
        assert (details["pause_timeout"], details["pause_reschedule"]) == ("2040-01-01T00:00:00Z", True)


async def test_results_are_not_lost(api: Api) -> None:
    run = await api.task_run(None, {"type": "COMPLETED", "data": {"value": 1}})
    for new in ("RUNNING", "FAILED", "COMPLETED", "SCHEDULED"):
        answer = await api.propose(run, new, expect=200)
        assert (answer["status"], answer["details"]["reason"]) == ("REJECT", "This run is already completed.")
    assert (await api.propose(run, "CRASHED"))["details"]["reason"] == "Run is already COMPLETED."
    odd = await api.task_run(None, {"type": "COMPLETED", "data": ["no", "mapping"]})
    assert (await api.propose(odd, "RUNNING", expect=200))["status"] == "REJECT"
    nothing = await api.task_run(None, {"type": "COMPLETED", "data": {"type": "unpersisted"}})
    assert (await api.propose(nothing, "RUNNING", expect=201))["status"] == "ACCEPT"


async def test_attempts_of_a_task(api: Api) -> None:
    flow_run = await api.flow_run("RUNNING")
    policy = {"retries": 2, "retry_delay": [0, 5]}
    run = await api.task_run(flow_run["id"], "PENDING", empirical_policy=policy)
    seen = []
    for proposal in ("RUNNING", "FAILED", "RUNNING", "FAILED"):
        answer = await api.propose(run, {"type": proposal, "message": "why"}, expect=201)
        read = await api.reread(run)
        seen.append((answer["status"], answer["state"]["name"], read["run_count"], read["flow_run_run_count"]))
    assert seen == [
        ("ACCEPT", "Running", 1, 1),
        ("REJECT", "AwaitingRetry", 1, 1),
        ("ACCEPT", "Retrying", 2, 1),
        ("REJECT", "AwaitingRetry", 2, 1),
    ]
    waiting = await api.reread(run)
    assert (waiting["state"]["message"], waiting["end_time"]) == ("why", None)
    early = await api.propose(run, "RUNNING", expect=200)
    assert (early["status"], early["details"]["delay_seconds"]) == ("WAIT", 5)
    assert early["details"]["reason"] == "Scheduled time is in the future"
    await api.propose(run, "RUNNING", force=True, expect=201)
    assert (await api.propose(run, "FAILED", expect=201))["status"] == "ACCEPT"
    # The flow is run again, and with it the task: its retries are all there again.
    await api.propose(flow_run, "RUNNING")
    again = await api.propose(run, "RUNNING", expect=201)
    read = await api.reread(run)
    assert (again["state"]["name"], read["run_count"], read["flow_run_run_count"]) == ("Retrying", 1, 2)


async def test_a_failure_that_is_not_retriable(api: Api) -> None:
    run = await api.task_run(None, "RUNNING", empirical_policy={"retries": 5})
    answer = await api.propose(run, {"type": "FAILED", "state_details": {"retriable": False}}, expect=201)
    assert (answer["status"], answer["state"]["type"]) == ("ACCEPT", "FAILED")


async def test_cached_results(api: Api) -> None:
    first = await api.task_run(None, "RUNNING")
    key = {"cache_key": first["id"]}
    await api.propose(first, {"type": "COMPLETED", "data": {"value": 7}, "state_details": key}, expect=201)
    second = await api.task_run(None, "PENDING")
    answer = await api.propose(second, {"type": "RUNNING", "state_details": key}, expect=201)
    assert (answer["status"], answer["state"]["name"], answer["state"]["data"]) == ("REJECT", "Cached", {"value": 7})
    assert answer["details"]["reason"] == "Retrieved state from cache"
    read = await api.reread(second)
    assert (read["state_type"], read["run_count"], read["start_time"]) == ("COMPLETED", 0, read["end_time"])
    third = await api.task_run(None, "PENDING")
    fresh = {"type": "RUNNING", "state_details": {**key, "refresh_cache": True}}
    assert (await api.propose(third, fresh))["state"]["name"] == "Running"


@pytest.mark.parametrize(
    ("details", "status", "name"),
    [
        ({"cache_expiration": "2020-01-01T00:00:00Z"}, "ACCEPT", "Running"),
        ({"cache_expiration": "2040-01-01T00:00:00Z"}, "REJECT", "Cached"),
    ],
)
async def test_cached_results_expire(api: Api, details: Json, status: str, name: str) -> None:
    first = await api.task_run(None, "RUNNING")
    key = {"cache_key": first["id"]}
    await api.propose(first, {"type": "COMPLETED", "state_details": {**key, **details}}, expect=201)
    second = await api.task_run(None, "PENDING")
    answer = await api.propose(second, {"type": "RUNNING", "state_details": key}, expect=201)
    assert (answer["status"], answer["state"]["name"]) == (status, name)


async def test_a_cache_key_that_is_too_long(api: Api) -> None:
    run = await api.task_run(None, "RUNNING")
    proposal = {"type": "COMPLETED", "state_details": {"cache_key": "x" * 2001}}
    answer = await api.propose(run, proposal, expect=201)
    assert (answer["status"], answer["state"]["type"]) == ("REJECT", "COMPLETED")
    assert answer["details"]["reason"] == "Cache key exceeded maximum allowed length of 2000 characters."
