"""Runs of deployments in processes of their own, with the stock SDK and with ours: suspended, cancelled, terminated."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.sdk.recorded import Recorded, anonymous
from tests.conformance.sdk.sides import Side, sides
from tests.conformance.sdk.told import as_stock, comparable, differences, events_about
from tests.support.processes import ManagedProcess
from tests.support.runs import Runs
from tests.support.servers import Target
from tests.support.wait import eventually

# Whether a process took more than the 15 seconds to begin after which a run is late is not compared.
_LATE = ("SCHEDULED Late", "prefect.flow-run.Late")
# The stock command ends at SIGTERM without a word, and its run stays as it is: see docs/sdk.md.
_NOT_TOLD = {"terminated": ("prefect.flow-run.Crashed",)}


class Deployed:
    """One side's deployments, and what their runs noted."""

    def __init__(self, side: Side, runs: Runs) -> None:
        self.side = side
        self.runs = runs
        self.processes: list[ManagedProcess] = []

    def create(self, flow: str, **parameters: Any) -> str:
        """A new run of the flow; returns its id."""
        flow_id = self.runs.post("/flows/", {"name": flow})["id"]
        body = {
            "name": f"{self.side.name}-here",
            "flow_id": flow_id,
            "entrypoint": f"deployed.py:{flow}",
            "path": str(self.side.folder),
            "enforce_parameter_schema": False,
        }
        deployment = self.runs.post("/deployments/", body)
        run = {"name": f"one that is {flow}", "parameters": parameters}
        return str(self.runs.post(f"/deployments/{deployment['id']}/create_flow_run", run)["id"])

    def execute(self, run_id: str) -> ManagedProcess:
        command = ("-m", self.side.package, "flow-run", "execute", run_id)
        process = self.side.start(f"execute-{len(self.processes)}", *command)
        self.processes.append(process)
        return process

    def noted(self) -> list[str]:
        path = Path(self.side.environment["EXAMPLES_NOTED"])
        return path.read_text().splitlines() if path.exists() else []


class Course:
    """What happens to the runs of one side."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed = deployed
        self.ids = {
            "suspended": deployed.create("suspending", number=7),
            "cancelled": deployed.create("waiting"),
            "terminated": deployed.create("waiting"),
        }
        found = [(name, deployed.runs.flow_run(id)) for name, id in self.ids.items()]
        self.names = {run[f"{kind}id"]: f"{kind}{name}" for name, run in found for kind in ("", "flow_", "deployment_")}

    def begin(self) -> None:
        self.processes = {name: self.deployed.execute(id) for name, id in self.ids.items()}

    def interrupt(self) -> None:
        runs = self.deployed.runs
        eventually(lambda: self.deployed.noted().count("waiting") == 2, "both runs wait", 90)
        runs.post(f"/flow_runs/{self.ids['cancelled']}/set_state", {"state": {"type": "CANCELLING"}})
        self.processes["terminated"].signal(signal.SIGTERM)

    def resume(self) -> None:
        assert self.processes["suspended"].wait(90) == 0
        self.deployed.runs.wait_state(self.ids["suspended"], "Suspended")
        self.deployed.runs.post(f"/flow_runs/{self.ids['suspended']}/resume", {"run_input": {"value": 5}})
        self.processes["resumed"] = self.deployed.execute(self.ids["suspended"])

    def end(self) -> None:
        for process in self.processes.values():
            process.wait(90)


@pytest.fixture(scope="module")
def courses(target: Target, runs: Runs, workdir: Path) -> dict[str, Course]:
    made = {side.name: Course(Deployed(side, runs)) for side in sides(workdir, target.api_url)}
    try:
        for step in (Course.begin, Course.interrupt, Course.resume, Course.end):
            for course in made.values():
                step(course)
    finally:
        for course in made.values():
            for process in course.deployed.processes:
                process.terminate(5)
    return made


@pytest.mark.parametrize("name", ["suspended", "cancelled", "terminated"])
def test_same(courses: dict[str, Course], api: httpx.Client, runs: Runs, name: str) -> None:
    recorded = Recorded(api)

    def both() -> list[Any]:
        return [_told(recorded.flow_run(runs.flow_run(course.ids[name])), side) for side, course in courses.items()]

    eventually(lambda: (pair := both())[0] == pair[1], f"{name} runs are the same", 60, 0.5, both)


@pytest.mark.parametrize("name", ["suspended", "cancelled", "terminated"])
def test_the_same_is_told(courses: dict[str, Course], api: httpx.Client, name: str) -> None:
    """Event by event: by runs, their tasks, and who executes them."""

    def both() -> list[Any]:
        return [_events(course, name, api) for course in courses.values()]

    eventually(
        lambda: (pair := both())[0] == pair[1],
        f"the same is told of {name} runs",
        60,
        0.5,
        lambda: differences(*both()),
    )


def _events(course: Course, name: str, api: httpx.Client) -> dict[str, list[Any]]:
    events = events_about(api, f"prefect.flow-run.{course.ids[name]}")
    told = comparable(events, course.names, without=(*_LATE, *_NOT_TOLD.get(name, ())))
    found: dict[str, list[Any]] = anonymous(as_stock(told), course.deployed.side.name)
    return found


def _told(run: Any, side: str) -> Any:
    told = anonymous(run, side)
    del told["other_events"]  # what runners and loaders tell of themselves: see above
    for name in ("states", "events"):
        told[name] = [each for each in told[name] if each not in _LATE]
    if side == "stock" and told["states"][-1] == "RUNNING Running":
        # The stock command ends at SIGTERM without a word, and its run stays as it is: see docs/sdk.md.
        told["states"].append("CRASHED Crashed")
        told["events"].append("prefect.flow-run.Crashed")
    return told


def test_what_ran(courses: dict[str, Course]) -> None:
    stock, ours = (sorted(course.deployed.noted()) for course in courses.values())
    assert [line.replace("stock-", "ours-") for line in stock] == ours
    assert "cancelled CANCELLING" in ours
    assert ours.count("prepare 7") == 1, "what was kept is not done again"


def test_exit_codes(courses: dict[str, Course]) -> None:
    ours = courses["ours"].processes
    assert {name: process.popen.returncode for name, process in ours.items()} == {
        "suspended": 0, "resumed": 0, "cancelled": 0, "terminated": 143,
    }  # fmt: skip
