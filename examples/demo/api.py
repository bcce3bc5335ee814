"""The few requests of the API that the demo makes itself; everything else goes through the client's own commands."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx

from examples.demo.errors import DemoError

Json = dict[str, Any]


class Api:
    """One server's API. While the server is away every method but `ready` raises httpx.TransportError."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=10, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def _send(self, method: str, path: str, body: Json | None = None, **query: str) -> Any:
        response = self._http.request(method, path, json=body, params=query)
        if response.is_error:
            raise DemoError(f"{method} {path} was answered {response.status_code}: {response.text[:500]}")
        return response.json() if response.content else None

    def ready(self) -> bool:
        try:
            return self._http.get("/ready").is_success
        except httpx.TransportError:
            return False

    def online_workers(self, pool: str) -> list[str]:
        """Names of the pool's workers that have sent a heartbeat; none when there is no such pool (yet)."""
        if not any(found["name"] == pool for found in self._send("POST", "/work_pools/filter", {})):
            return []
        workers = self._send("POST", f"/work_pools/{pool}/workers/filter", {})
        return [worker["name"] for worker in workers if worker["status"] == "ONLINE"]

    def deployment(self, flow: str, name: str) -> Json:
        found: Json = self._send("GET", f"/deployments/name/{flow}/{name}")
        return found

    def run_now(self, deployment_id: str) -> str:
        """Ask for a run of a deployment; returns its id."""
        run: Json = self._send(
            "POST", f"/deployments/{deployment_id}/create_flow_run", {"state": {"type": "SCHEDULED"}}
        )
        return str(run["id"])

    def pause(self, deployment_id: str) -> None:
        """Stop its schedules; runs that have not begun are taken back."""
        self._send("POST", f"/deployments/{deployment_id}/pause_deployment")

    def flow_run(self, run_id: str) -> Json:
        run: Json = self._send("GET", f"/flow_runs/{run_id}")
        return run

    def flow_runs(self, deployment_id: str) -> list[Json]:
        """All runs of a deployment by their expected start."""
        body = {"deployments": {"id": {"any_": [deployment_id]}}, "sort": "EXPECTED_START_TIME_ASC"}
        runs: list[Json] = self._send("POST", "/flow_runs/filter", body)
        return runs

    def states(self, run_id: str) -> list[str]:
        """The types of the states that a run went through."""
        states = self._send("GET", "/flow_run_states/", flow_run_id=run_id)
        return [state["type"] for state in sorted(states, key=lambda state: datetime.fromisoformat(state["timestamp"]))]

    def task_runs(self, run_id: str) -> list[Json]:
        body = {"flow_runs": {"id": {"any_": [run_id]}}}
        runs: list[Json] = self._send("POST", "/task_runs/filter", body)
        return runs

    def completed_tasks(self, run_id: str) -> list[str]:
        """Names of a run's tasks that are recorded as completed."""
        return [task["name"] for task in self.task_runs(run_id) if task["state_type"] == "COMPLETED"]

    def log_count(self, run_id: str) -> int:
        """How many log records a run has, up to a page of them."""
        return len(self._send("POST", "/logs/filter", {"logs": {"flow_run_id": {"any_": [run_id]}}}))

    def artifact(self, run_id: str, key: str) -> str | None:
        """What a run published under a key."""
        body = {"artifacts": {"flow_run_id": {"any_": [run_id]}, "key": {"any_": [key]}}}
        found = self._send("POST", "/artifacts/filter", body)
        return str(found[0]["data"]) if found else None
