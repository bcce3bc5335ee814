"""flow.serve() with each kind of schedule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tests.support.prefect_env import PrefectClient
from tests.support.processes import ManagedProcess
from tests.support.runs import Json, Runs
from tests.support.wait import eventually

KINDS = {"cron": timedelta(minutes=1), "interval": timedelta(seconds=10), "rrule": timedelta(minutes=1)}


@pytest.fixture(scope="module")
def served(prefect: PrefectClient, runs: Runs) -> Iterator[ManagedProcess]:
    process = prefect.start_script("serve_schedules.py")
    deployments: list[Json] = []

    def registered() -> bool:
        deployments[:] = runs.post("/deployments/filter")
        return len(deployments) == len(KINDS)

    process.wait_for(registered, "registers its deployments")
    yield process
    process.terminate(10)


def deployment(runs: Runs, kind: str) -> Json:
    found: Json = runs.get(f"/deployments/name/ticking/by-{kind}")
    return found


def expected_times(runs: Runs, kind: str) -> list[datetime]:
    planned = runs.flow_runs(deployment_id={"any_": [deployment(runs, kind)["id"]]})
    return sorted(datetime.fromisoformat(run["expected_start_time"]) for run in planned if run["auto_scheduled"])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_runs_are_planned_at_the_times_of_the_schedule(served: ManagedProcess, runs: Runs, kind: str) -> None:
    assert served.running()
    times = eventually(lambda: expected_times(runs, kind)[:3], f"planned runs of {kind}", 90)
    eventually(lambda: len(expected_times(runs, kind)) >= 3, f"three planned runs of {kind}", 90)
    times = expected_times(runs, kind)
    assert {after - before for before, after in pairwise(times)} == {KINDS[kind]}, "no slot missing, none doubled"
    if kind == "cron":
        assert {time.second for time in times} == {0}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_planned_runs_are_run_in_time(served: ManagedProcess, runs: Runs, kind: str) -> None:
    criteria = {"deployment_id": {"any_": [deployment(runs, kind)["id"]]}, "state": {"type": {"any_": ["COMPLETED"]}}}
    (first, *_) = eventually(lambda: runs.flow_runs(**criteria), f"a completed run of {kind}", 120, detail=served.tail)
    assert first["parameters"] == {"kind": kind}
    assert first["auto_scheduled"] is True
    # The engine may be up to 10 s early; the server makes it wait.
    started, planned = (datetime.fromisoformat(first[key]) for key in ("start_time", "expected_start_time"))
    assert started >= planned - timedelta(seconds=1)
    history = runs.history(first["id"])
    assert history[0] == "Scheduled"
    assert history[-2:] == ["Running", "Completed"]
    assert history.count("Running") == 1


def test_interrupt_pauses_the_deployments(served: ManagedProcess, runs: Runs) -> None:
    """Last: it ends the served process."""
    served.interrupt()
    for kind in KINDS:
        assert deployment(runs, kind)["paused"] is True

        def unplanned(kind: str = kind) -> bool:
            planned = {"name": {"any_": ["Scheduled"]}}
            return not runs.flow_runs(deployment_id={"any_": [deployment(runs, kind)["id"]]}, state=planned)

        eventually(unplanned, f"planned runs of {kind} are withdrawn")
