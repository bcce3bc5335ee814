"""What workers, and the processes that they start, tell of runs of deployments: event by event, like the stock ones."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.sdk.recorded import anonymous
from tests.conformance.sdk.sides import Side, sides
from tests.conformance.sdk.told import as_stock, comparable, differences, events_about
from tests.support.processes import ManagedProcess
from tests.support.runs import Json, Runs
from tests.support.servers import Target
from tests.support.wait import eventually

RUNS = {"completed": "adding", "failed": "failing", "crashed": "exiting", "cancelled": "waiting"}
_ENDED = {"completed": "COMPLETED", "failed": "FAILED", "crashed": "CRASHED"}


class Worked:
    """One side's work pool and worker, and the runs that it worked on."""

    def __init__(self, side: Side, runs: Runs) -> None:
        self.side, self.runs = side, runs
        self.pool: Json = runs.post("/work_pools/", {"name": f"{side.name}-pool", "type": "process"})
        self.deployments: dict[str, Json] = {}
        self.ids: dict[str, str] = {}
        command = ("worker", "start", "--pool", self.pool["name"], "--name", f"{side.name}-worker", "--type", "process")
        self.worker: ManagedProcess = side.start("worker", "-m", side.package, *command)

    def create(self, name: str, flow: str) -> None:
        body = {
            "name": f"{self.side.name}-{flow}",
            "flow_id": self.runs.post("/flows/", {"name": flow})["id"],
            "entrypoint": f"deployed.py:{flow}",
            "work_pool_name": self.pool["name"],
            "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": str(self.side.folder)}}],
            "tags": ["kept", "b"],
            "enforce_parameter_schema": False,
        }
        made = self.deployments[name] = self.runs.post("/deployments/", body)
        run = {"name": f"the {name} run", "tags": ["a"]}
        self.ids[name] = self.runs.post(f"/deployments/{made['id']}/create_flow_run", run)["id"]

    def await_ends(self) -> None:
        for name, state in _ENDED.items():
            self.runs.wait_state(self.ids[name], state, timeout=120)

    def cancel(self) -> None:
        noted = Path(self.side.environment["EXAMPLES_NOTED"])
        eventually(lambda: noted.exists() and "waiting" in noted.read_text(), "the run waits", 120)
        self.runs.post(f"/flow_runs/{self.ids['cancelled']}/set_state", {"state": {"type": "CANCELLING"}})

    def stop(self) -> None:
        self.runs.wait_state(self.ids["cancelled"], "CANCELLED", timeout=120)
        self.worker.signal(signal.SIGTERM)
        assert self.worker.wait(120) == 0, self.worker.tail(60)

    def names(self) -> dict[str, str]:
        found = {self.pool["id"]: "POOL", self.pool["default_queue_id"]: "QUEUE"}
        for name, deployment in self.deployments.items():
            found |= {deployment["id"]: f"DEPLOYMENT {name}", deployment["flow_id"]: f"FLOW {name}"}
        return {**found, **{id: f"RUN {name}" for name, id in self.ids.items()}}

    def told(self, api: httpx.Client) -> dict[str, list[Json]]:
        """All events about the runs, their deployments and the pool, or related to these."""
        resources = [f"prefect.flow-run.{id}" for id in self.ids.values()]
        resources += [f"prefect.deployment.{one['id']}" for one in self.deployments.values()]
        found = comparable(events_about(api, *resources, f"prefect.work-pool.{self.pool['id']}"), self.names())
        told: dict[str, list[Json]] = anonymous(found, self.side.name)
        return told


@pytest.fixture(scope="module")
def worked(target: Target, runs: Runs, workdir: Path) -> list[Worked]:
    made = [Worked(side, runs) for side in sides(workdir, target.api_url)]
    try:
        for each in made:
            for name, flow in RUNS.items():
                each.create(name, flow)
        for step in (Worked.await_ends, Worked.cancel, Worked.stop):
            for each in made:
                step(each)
    finally:
        for each in made:
            each.worker.terminate(5)
    return made


def test_same(worked: list[Worked], api: httpx.Client) -> None:
    last: list[Any] = []

    def same() -> bool:
        last[:] = [as_stock(each.told(api)) for each in worked]
        for told in last:  # who dies at once may take its first heartbeat along
            crashed = told["prefect.flow-run.RUN crashed"]
            crashed[:] = [event for event in crashed if event["event"] != "prefect.flow-run.heartbeat"]
        return bool(last[0] == last[1])

    eventually(same, "both tell the same", 60, 1, lambda: differences(*last))


def test_everything_was_told(worked: list[Worked], api: httpx.Client) -> None:
    """So that the comparison is one of something."""
    names = {event["event"] for events in worked[1].told(api).values() for event in events}
    assert names >= {
        "prefect.worker.started", "prefect.worker.submitted-flow-run", "prefect.worker.executed-flow-run",
        "prefect.worker.stopped", "prefect.runner.cancelled-flow-run", "prefect.flow-run.heartbeat",
        "prefect.flow-run.pull-step.executed", "prefect.flow-run.Crashed", "prefect.flow-run.Cancelled",
        "prefect.task-run.Completed", "prefect.deployment.created", "prefect.deployment.ready",
        "prefect.work-pool.ready",
    }  # fmt: skip
