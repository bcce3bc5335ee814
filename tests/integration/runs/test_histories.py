"""Histories and lateness: many runs in a few numbers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.runs.conftest import Api, Json


async def expected_at(api: Api, *times: str) -> Json:
    """A flow with one finished run for each expected start."""
    flow = await api.flow()
    for time in times:
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": time}}
        run = await api.flow_run(state, flow_id=flow["id"])
        await api.propose(run, "CANCELLED", force=True)
    return {"flows": {"id": {"any_": [flow["id"]]}}}


def hours(start: str, end: str, seconds: float = 3600, **filters: Any) -> Json:
    return {
        "history_start": f"2026-01-01T{start}Z",
        "history_end": f"2026-01-01T{end}Z",
        "history_interval_seconds": seconds,
        **filters,
    }


async def test_three_runs_in_three_hours(api: Api) -> None:
    of_flow = await expected_at(api, "2026-01-01T00:00:00Z", "2026-01-01T01:59:59.999999Z", "2026-01-01T02:30:00Z")
    history = await api.post("/flow_runs/history", hours("00:00:00", "02:15:00", **of_flow))
    assert [(one["interval_start"][11:16], one["interval_end"][11:16]) for one in history] == [
        ("00:00", "01:00"),
        ("01:00", "02:00"),
        ("02:00", "03:00"),
    ]
    for interval in history:
        (state,) = interval["states"]
        assert (state["state_type"], state["state_name"], state["count_runs"]) == ("CANCELLED", "Cancelled", 1)
        assert state["sum_estimated_run_time"] == 0
        assert state["sum_estimated_lateness"] > 0


async def test_the_end_of_an_interval_belongs_to_the_next(api: Api) -> None:
    of_flow = await expected_at(api, "2026-01-01T00:00:02Z", "2026-01-01T00:00:06Z")
    history = await api.post("/flow_runs/history", hours("00:00:00", "00:00:05", 2, **of_flow))
    assert [one["interval_end"][17:19] for one in history] == ["02", "04", "06"]
    assert [len(one["states"]) for one in history] == [0, 1, 0]


async def test_states_are_counted_apart(api: Api) -> None:
    flow_run = await api.flow_run("RUNNING")
    for state in ("PENDING", "PENDING", "RUNNING"):
        await api.task_run(flow_run["id"], state)
    day = {
        "history_start": flow_run["created"],
        "history_end": "2100-01-01T00:00:00Z",
        "history_interval_seconds": 10**10,
        "flow_runs": {"id": {"any_": [flow_run["id"]]}},
    }
    ((states),) = [one["states"] for one in await api.post("/task_runs/history", day)]
    assert sorted((state["state_type"], state["count_runs"]) for state in states) == [("PENDING", 2), ("RUNNING", 1)]
    running = next(state for state in states if state["state_type"] == "RUNNING")
    assert running["sum_estimated_run_time"] > 0


@pytest.mark.parametrize("kind", ["flow_runs", "task_runs"])
async def test_bounds(api: Api, kind: str) -> None:
    answer = await api.post(f"/{kind}/history", hours("00:00:00", "01:00:00", 0.5), expect=422)
    assert answer == {"detail": "History interval must not be less than 1 second."}
    history = await api.post(f"/{kind}/history", hours("00:00:00", "01:00:00", 1))
    assert len(history) == 500
    assert history[0]["interval_start"] == "2026-01-01T00:00:00Z"
    assert await api.post(f"/{kind}/history", hours("01:00:00", "01:00:00")) == []
    assert await api.post(f"/{kind}/history", hours("02:00:00", "01:00:00")) == []
    assert len(await api.post(f"/{kind}/history", hours("00:00:00", "00:00:03", 1.5))) == 2


async def test_the_queue_filter_has_a_name_of_its_own_here(api: Api) -> None:
    of_flow = await expected_at(api, "2026-01-01T00:00:00Z")
    body = hours("00:00:00", "01:00:00", **of_flow)
    (ignored,) = await api.post("/flow_runs/history", {**body, "work_pool_queues": {}})
    assert len(ignored["states"]) == 1
    (applied,) = await api.post("/flow_runs/history", {**body, "work_queues": {}})
    assert applied["states"] == []


async def test_lateness(api: Api) -> None:
    flow = await api.flow()
    of_flow = {"flows": {"id": {"any_": [flow["id"]]}}}
    assert await api.post("/flow_runs/lateness", of_flow) is None
    await api.flow_run("RUNNING", flow_id=flow["id"])
    assert await api.post("/flow_runs/lateness", of_flow) == 0
    late = await api.flow_run(
        {"type": "SCHEDULED", "state_details": {"scheduled_time": "2026-01-01T00:00:00Z"}}, flow_id=flow["id"]
    )
    for state in (None, "RUNNING"):
        if state:
            await api.propose(late, state)
        read = await api.reread(late)
        mean = await api.post("/flow_runs/lateness", of_flow)
        assert mean == pytest.approx(read["estimated_start_time_delta"] / 2, abs=1)
