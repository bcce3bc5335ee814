"""Every pair of state types of a flow run: what becomes of the proposal, and what the answer says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.orchestration.conftest import Api, Json

TYPES = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING", "COMPLETED", "FAILED", "CRASHED", "CANCELLED")

# A accept, R0 reject and keep the current state, Ab abort, R>X reject and persist X. Columns in the order of TYPES.
CORE = {
    "SCHEDULED": "A A A R0 R>CANCELLED A A A A",
    "PENDING": "A Ab A R0 A A A A A",
    "RUNNING": "A Ab A A A A A A A",
    "PAUSED": "A R0 A R0 A A A A A",
    "CANCELLING": "R0 R0 R0 R0 R0 R0 R0 R0 A",
    "COMPLETED": "Ab A A Ab Ab A A Ab A",
    "FAILED": "Ab A A Ab Ab A A Ab A",
    "CRASHED": "Ab A A Ab Ab A A Ab A",
    "CANCELLED": "Ab Ab A Ab Ab A A Ab A",
}
# What differs for a run of a deployment: it may be scheduled again.
WITH_DEPLOYMENT = {(old, "SCHEDULED"): "A" for old in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")}
FORCED = {("SCHEDULED", "CANCELLING"): "R>CANCELLED"}

STICKY = "Cannot transition flows that are cancelling to a state other than Cancelled."
IN_TERMINAL = "Run is already in terminal state {old}."
NOT_PENDING = "This run is in a {old} state and cannot transition to a PENDING state."
REASONS = {
    ("SCHEDULED", "PAUSED"): "Cannot pause flows that are not currently running.",
    ("PENDING", "PAUSED"): "Cannot pause flows that are not currently running.",
    ("PAUSED", "PAUSED"): "Cannot pause flows that are not currently running.",
    ("PAUSED", "PENDING"): (
        "This run cannot transition to the StateType.PENDING state from the StateType.PAUSED state."
    ),
    ("SCHEDULED", "CANCELLING"): "Scheduled flow run has no infrastructure to terminate.",
    **{("CANCELLING", new): STICKY for new in TYPES if new != "CANCELLED"},
    **{(old, "PENDING"): NOT_PENDING for old in ("PENDING", "RUNNING", "CANCELLED")},
    **{
        (old, new): IN_TERMINAL
        for old in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        for new in ("CANCELLING", "PAUSED", "CRASHED")
    },
    **{
        (old, "SCHEDULED"): "Cannot reschedule a run without an associated deployment."
        for old in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    },
}


async def check(api: Api, old: str, new: str, expected: str, *, force: bool = False, **fields: Any) -> None:
    run = await api.flow_run(old, **fields)
    response = await api.client.post(f"/flow_runs/{run['id']}/set_state", json={"state": {"type": new}, "force": force})
    answer = response.json()
    replaced = expected.partition(">")[2]
    status = {"A": "ACCEPT", "R": "REJECT"}.get(expected[0], "?") if expected != "Ab" else "ABORT"
    final = new if expected == "A" else replaced or old
    written = expected == "A" or bool(replaced)
    told = (answer["status"], response.status_code, answer["state"]["type"])
    assert told == (status, 201 if written else 200, final), f"{old} -> {new}: {answer}"
    details: Json = {"type": f"{status.lower()}_details"}
    if status != "ACCEPT":
        details["reason"] = REASONS[old, new].format(old=old)
    assert answer["details"] == details
    await _check_run(api, run, old, final, answer, written)


async def _check_run(api: Api, run: Json, old: str, final: str, answer: Json, written: bool) -> None:
    read = await api.reread(run)
    assert (read["state_type"], read["state_id"]) == (final, answer["state"]["id"])
    states = await api.states(run)
    assert [state["type"] for state in states] == ([old, final] if written else [old])
    assert (answer["state"]["id"] == run["state_id"]) is not written
    assert {**states[-1], "data": None} == {**read["state"], "data": None} == answer["state"]
    _check_derived(run, read, states, old)


def _check_derived(before: Json, after: Json, states: list[Json], old: str) -> None:
    """The columns that follow from the two states."""
    final = after["state_type"]
    terminal = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    stamp = states[-1]["timestamp"]
    started = before["start_time"] or (stamp if final in (*terminal, "RUNNING") else None)
    ended = (before["end_time"] or stamp) if final in terminal else None
    written = len(states) == 2
    assert after["start_time"] == started
    assert after["end_time"] == ended
    assert after["run_count"] == before["run_count"] + (written and final == "RUNNING")
    assert (after["total_run_time"] > 0) is (old == "RUNNING" and written)
    assert after["expected_start_time"] == before["expected_start_time"]
    scheduled = states[-1]["state_details"]["scheduled_time"] if final == "SCHEDULED" else None
    assert after["next_scheduled_start_time"] == scheduled
    assert after["estimated_run_time"] >= after["total_run_time"]


@pytest.mark.parametrize("old", TYPES)
async def test_without_a_deployment(api: Api, old: str) -> None:
    for new, expected in zip(TYPES, CORE[old].split(), strict=True):
        await check(api, old, new, expected)


@pytest.mark.parametrize("old", TYPES)
async def test_with_a_deployment(api: Api, old: str) -> None:
    deployment = await api.deployment()
    for new, expected in zip(TYPES, CORE[old].split(), strict=True):
        expected = WITH_DEPLOYMENT.get((old, new), expected)
        await check(api, old, new, expected, deployment_id=deployment)


@pytest.mark.parametrize("old", TYPES)
async def test_forced(api: Api, old: str) -> None:
    for new in TYPES:
        await check(api, old, new, FORCED.get((old, new), "A"), force=True)


SUSPENDED: Json = {"type": "PAUSED", "name": "Suspended", "state_details": {"pause_reschedule": True}}
EXPIRED: Json = {"type": "PAUSED", "state_details": {"pause_timeout": "2020-01-01T00:00:00Z"}}
TIMED_OUT = "The flow run pause has timed out and can no longer resume."
RESULT: Json = {"type": "COMPLETED", "data": {"value": 1}}

# Old state, proposal, status, name of the state afterwards, reason. Runs without a deployment.
FOOTNOTES: dict[str, tuple[Json, Json, str, str, str | None]] = {
    "late from scheduled": (
        {"type": "SCHEDULED"}, {"type": "SCHEDULED", "name": "Late"}, "ACCEPT", "Late", None,
    ),
    "late twice": (
        {"type": "SCHEDULED", "name": "Late"}, {"type": "SCHEDULED", "name": "Late"}, "REJECT", "Late",
        "This flow run is already marked late.",
    ),
    "late from running": (
        {"type": "RUNNING"}, {"type": "SCHEDULED", "name": "Late"}, "REJECT", "Running",
        "Only scheduled flows can be marked late.",
    ),
    "late without a name for it": ({"type": "RUNNING"}, {"type": "SCHEDULED", "name": "X"}, "ACCEPT", "X", None),
    "renamed pending": (
        {"type": "PENDING"}, {"type": "PENDING", "name": "Submitting"}, "ACCEPT", "Submitting", None,
    ),
    "renamed back": (
        {"type": "PENDING", "name": "Submitting"}, {"type": "PENDING"}, "ABORT", "Submitting",
        NOT_PENDING.format(old="PENDING"),
    ),
    "the same name again": (
        {"type": "PENDING", "name": "Submitting"}, {"type": "PENDING", "name": "Submitting"}, "ABORT", "Submitting",
        NOT_PENDING.format(old="PENDING"),
    ),
    "renamed from running": (
        {"type": "RUNNING"}, {"type": "PENDING", "name": "Submitting"}, "ABORT", "Running",
        NOT_PENDING.format(old="RUNNING"),
    ),
    "cancelling a resuming run": (
        {"type": "SCHEDULED", "name": "Resuming"}, {"type": "CANCELLING"}, "REJECT", "Cancelled",
        "Scheduled flow run has no infrastructure to terminate.",
    ),
    "cancelling a suspended run": (
        SUSPENDED, {"type": "CANCELLING"}, "REJECT", "Cancelled",
        "Suspended flow run has no infrastructure to terminate.",
    ),
    "suspended and no deployment": (
        SUSPENDED, {"type": "RUNNING"}, "REJECT", "Suspended",
        "Cannot reschedule a running flow run without a deployment.",
    ),
    "suspended, no deployment, no name": (
        SUSPENDED, {"type": "RUNNING", "name": ""}, "REJECT", "Suspended",
        "Cannot reschedule a running flow run without a deployment.",
    ),
    "expired to running": (EXPIRED, {"type": "RUNNING"}, "REJECT", "Failed", TIMED_OUT),
    "expired to cancelled": (EXPIRED, {"type": "CANCELLED"}, "REJECT", "Failed", TIMED_OUT),
    "expired to cancelling": (EXPIRED, {"type": "CANCELLING"}, "ACCEPT", "Cancelling", None),
    "a result and running": (RESULT, {"type": "RUNNING"}, "REJECT", "Completed", "Run is already COMPLETED."),
    "a result and scheduled": (RESULT, {"type": "SCHEDULED"}, "REJECT", "Completed", "Run is already COMPLETED."),
    "a result lost": (
        RESULT, {"type": "COMPLETED"}, "REJECT", "Completed",
        "Cannot overwrite a COMPLETED state that carries persisted result data with one that does not.",
    ),
    "a result replaced": (RESULT, RESULT, "ACCEPT", "Completed", None),
    "a result and failed": (RESULT, {"type": "FAILED"}, "ACCEPT", "Failed", None),
    "no result to lose": (
        {"type": "COMPLETED", "data": {"type": "unpersisted"}}, {"type": "RUNNING"}, "ACCEPT", "Running", None,
    ),
    "an empty name": ({"type": "PENDING"}, {"type": "RUNNING", "name": ""}, "ACCEPT", "", None),
    "suspending without deployment": (
        {"type": "RUNNING"}, SUSPENDED, "ABORT", "Running", "Cannot suspend flows without a deployment.",
    ),
    "suspending by details": (
        {"type": "RUNNING"}, {**SUSPENDED, "name": None}, "ABORT", "Running",
        "Cannot pause flows without a deployment.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOOTNOTES)
async def test_footnotes(api: Api, case: str) -> None:
    old, new, status, name, reason = FOOTNOTES[case]
    run = await api.flow_run(old)
    answer = await api.propose(run, new)
    assert (answer["status"], answer["state"]["name"], answer["details"].get("reason")) == (status, name, reason)


async def test_expired_pauses_say_what_was_proposed(api: Api) -> None:
    for proposal, word in (({"type": "RUNNING"}, "running"), ({"type": "SCHEDULED", "name": "Resuming"}, "resuming")):
        run = await api.flow_run(EXPIRED)
        answer = await api.propose(run, proposal)
        assert answer["state"]["message"] == f"The flow was {word} and never resumed."


async def test_cancelling_what_has_a_process(api: Api) -> None:
    run = await api.flow_run("SCHEDULED")
    await api.call("PATCH", f"/flow_runs/{run['id']}", {"infrastructure_pid": "1"}, expect=204)
    assert (await api.propose(run, "CANCELLING"))["status"] == "ACCEPT"
    resuming = await api.flow_run({"type": "SCHEDULED", "name": "Resuming"})
    await api.call("PATCH", f"/flow_runs/{resuming['id']}", {"infrastructure_pid": "1"}, expect=204)
    assert (await api.propose(resuming, "CANCELLING"))["state"]["type"] == "CANCELLED"


async def test_force_keeps_results_and_nothing_else(api: Api) -> None:
    run = await api.flow_run(RESULT)
    assert (await api.propose(run, "COMPLETED", force=True))["status"] == "REJECT"
    assert (await api.propose(run, "RUNNING", force=True))["status"] == "ACCEPT"


@pytest.mark.parametrize("forced", [False, True])
async def test_a_repeated_transition_is_recognised(api: Api, forced: bool) -> None:
    run = await api.flow_run("PENDING")
    proposal = {"type": "RUNNING", "state_details": {"transition_id": "0191e9a2-1c3f-7000-8000-000000000001"}}
    first = await api.propose(run, proposal, expect=201)
    again = await api.propose(run, proposal, force=forced, expect=201 if forced else 200)
    assert again["status"] == ("ACCEPT" if forced else "REJECT")
    if not forced:
        assert again["state"] == first["state"]
        assert again["details"]["reason"] == "This run has already made this state transition."
