"""How soon a run that is asked for is Running on an idle process worker, ours and the stock one, both as they come.

`python -m benchmarks.dispatch` starts a server of its own, a pool and a worker for each, and asks for one run at a time
in turns. Seconds from when the run was created to its Running state, both by the server's clock.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.support.prefect_env import ROOT, interpreter
from tests.support.processes import ManagedProcess
from tests.support.runs import FINAL, Runs, open_api
from tests.support.servers import SEMPRE, SempreServer
from tests.support.wait import eventually

FLOW = """
from {package} import flow

@flow
def nothing():
    pass
"""
PLAYERS = ("ours", "stock")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="runs of each (default %(default)s)")
    parser.add_argument("--only", choices=PLAYERS, help="measure this one alone")
    options = parser.parse_args()
    players = [options.only] if options.only else list(PLAYERS)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        server = SempreServer(folder / "server")
        server.start()
        workers: list[ManagedProcess] = []
        try:
            with open_api(server.api_url) as api:
                runs = Runs(api)
                deployments = {name: _prepared(runs, folder, name) for name in players}
                workers += [_worker(folder, name, server.api_url) for name in players]
                figures: dict[str, list[float]] = {name: [] for name in players}
                for turn in range(options.rounds + 1):
                    for name in players:
                        took = _took(runs, deployments[name])
                        if turn:  # the first one warms up
                            figures[name].append(took)
        finally:
            for worker in workers:
                worker.kill()
            server.stop()
    _show(figures)


def _prepared(runs: Runs, folder: Path, name: str) -> str:
    """A pool and a deployment; the deployment's id."""
    package = {"ours": "sempre", "stock": "prefect"}[name]
    code = folder / f"code-{name}"
    code.mkdir()
    (code / "flows.py").write_text(FLOW.format(package=package))
    template = runs.get("/collections/views/aggregate-worker-metadata")["prefect"]["process"]
    pool = {"name": name, "type": "process", "base_job_template": template["default_base_job_configuration"]}
    runs.post("/work_pools/", pool)
    flow = runs.post("/flows/", {"name": "nothing"})["id"]
    step = {f"{package}.deployments.steps.set_working_directory": {"directory": str(code)}}
    deployment = {
        "name": name, "flow_id": flow, "work_pool_name": name, "entrypoint": "flows.py:nothing", "pull_steps": [step],
    }  # fmt: skip
    return str(runs.post("/deployments/", deployment)["id"])


def _worker(folder: Path, name: str, api_url: str) -> ManagedProcess:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SEMPRE_"))}
    ours = name == "ours"
    product = "SEMPRE" if ours else "PREFECT"
    env = {**kept, f"{product}_HOME": str(folder / name), f"{product}_API_URL": api_url, "DO_NOT_TRACK": "1"}
    command: tuple[str | Path, ...] = SEMPRE if ours else (interpreter().with_name("prefect"),)
    if ours:
        env["PYTHONPATH"] = str(ROOT)
    command = (*command, "worker", "start", "--pool", name, "--name", name)
    return ManagedProcess.start(f"worker-{name}", command, log_dir=folder, env=env, cwd=folder)


def _took(runs: Runs, deployment: str) -> float:
    run = runs.post(f"/deployments/{deployment}/create_flow_run", {"state": {"type": "SCHEDULED"}})

    def over() -> dict[str, Any] | None:
        found = runs.flow_run(run["id"])
        return found if found["state_type"] in FINAL else None

    ended = eventually(over, "the run ends", 120, 0.2)
    assert ended["state_type"] == "COMPLETED", ended["state"]
    began = next(state for state in runs.states(run["id"]) if state["name"] == "Running")
    return (datetime.fromisoformat(began["timestamp"]) - datetime.fromisoformat(ended["created"])).total_seconds()


def _show(figures: dict[str, list[float]]) -> None:
    table = Table("seconds from created to Running", "median", "least", "most", "runs")
    for name, seen in figures.items():
        table.add_row(name, f"{statistics.median(seen):.2f}", f"{min(seen):.2f}", f"{max(seen):.2f}", str(len(seen)))
    Console().print(table)


if __name__ == "__main__":
    main()
