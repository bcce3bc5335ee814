"""Reading runs through the API, as assertions need them."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.wait import eventually

Json = dict[str, Any]
FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


def open_api(url: str) -> httpx.Client:
    """A client that introduces itself as the one of the protocol."""
    headers = {"User-Agent": "prefect/3.8.8 (API 0.8.4)", "X-PREFECT-API-VERSION": "0.8.4"}
    return httpx.Client(base_url=url, headers=headers, timeout=30.0)


class Runs:
    """Questions about flow runs, task runs, states and logs. Every answer other than 2xx fails the test."""

    def __init__(self, api: httpx.Client) -> None:
        self.api = api

    def get(self, path: str, **query: str) -> Any:
        return checked(self.api.get(path, params=query))

    def post(self, path: str, body: object = None) -> Any:
        return checked(self.api.post(path, json={} if body is None else body))

    def flow_run(self, run_id: str) -> Json:
        run: Json = self.get(f"/flow_runs/{run_id}")
        return run

    def flow_runs(self, **criteria: object) -> list[Json]:
        """By flow-run filter, for example `deployment_id={"any_": [...]}`; oldest expected start first."""
        runs: list[Json] = self.post("/flow_runs/filter", {"flow_runs": criteria, "sort": "EXPECTED_START_TIME_ASC"})
        return runs

    def history(self, run_id: str) -> list[str]:
        """Names of the run's states, oldest first."""
        return [state["name"] for state in self.states(run_id)]

    def states(self, run_id: str) -> list[Json]:
        states: list[Json] = self.get("/flow_run_states/", flow_run_id=run_id)
        return sorted(states, key=lambda state: str(state["timestamp"]))

    def task_history(self, task_run_id: str) -> list[str]:
        states: list[Json] = self.get("/task_run_states/", task_run_id=task_run_id)
        return [state["name"] for state in sorted(states, key=lambda state: str(state["timestamp"]))]

    def task_runs(self, flow_run_id: str) -> list[Json]:
        """All task runs of a flow run, page by page."""
        found: list[Json] = []
        criteria = {"flow_runs": {"id": {"any_": [flow_run_id]}}, "sort": "EXPECTED_START_TIME_ASC"}
        while page := self.post("/task_runs/filter", {**criteria, "limit": 200, "offset": len(found)}):
            found += page
        return found

    def logs(self, flow_run_id: str) -> list[str]:
        criteria = {"logs": {"flow_run_id": {"any_": [flow_run_id]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        return [log["message"] for log in self.post("/logs/filter", criteria)]

    def wait_state(self, run_id: str, *expected: str, timeout: float = 60.0) -> Json:
        """Wait until the run's state has one of these names or types; returns the run."""

        def reached() -> Json | None:
            run = self.flow_run(run_id)
            state = run["state"] or {}
            if state.get("name") in expected or state.get("type") in expected:
                return run
            # Waiting longer for a run that has ended otherwise only hides why.
            assert state.get("type") not in FINAL, f"ended {state.get('name')}: {state.get('message')}"
            return None

        return eventually(reached, f"run {run_id} reaches {' or '.join(expected)}", timeout, 0.25)

    def wait_task_runs(self, flow_run_id: str, count: int, timeout: float = 30.0) -> list[Json]:
        """Wait until the flow run has `count` task runs, all ended: task runs are recorded from events, later."""

        def recorded() -> list[Json] | None:
            runs = self.task_runs(flow_run_id)
            kinds = [(run.get("state") or {}).get("type") for run in runs]
            assert len(runs) == count, f"{len(runs)} task runs"
            assert all(kind in FINAL for kind in kinds), f"{kinds}"
            return runs

        return eventually(recorded, f"{count} ended task runs of {flow_run_id}", timeout, 0.25)


def checked(response: httpx.Response) -> Any:
    """The parsed body of a 2xx answer (None if empty); AssertionError with status and body otherwise."""
    request = response.request
    assert response.is_success, f"{request.method} {request.url}: {response.status_code} {response.text[:2000]}"
    return response.json() if response.content else None
