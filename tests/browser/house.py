"""The server with everything in it that the UI can show, and the names under which tests find it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.prefect_env import PrefectClient
from tests.support.processes import ManagedProcess
from tests.support.runs import Json, Runs
from tests.support.servers import SempreServer

FLOWS = Path(__file__).parent / "flows"
POOL = "hall"
WORKER = "bassoonist"


@dataclass(frozen=True)
class House:
    """A running server, a worker of the stock client, and `ids` by the names that paths of pages use.

    `furnished` is when the last of it was made (seconds since 1970).
    """

    server: SempreServer
    runs: Runs
    worker: ManagedProcess
    ids: dict[str, str]
    furnished: float


def furnish(server: SempreServer, runs: Runs, workdir: Path) -> House:
    """Let the stock client make everything there is to see, and start a worker."""
    client = PrefectClient(server.api_url, workdir, FLOWS)
    output = client.script("world.py", POOL)
    worker = client.start_cli("worker", "start", "--pool", POOL, "--name", WORKER)
    made: Json = json.loads(next(line for line in output.splitlines() if line.startswith("@@"))[2:])
    flow_runs = {run["name"]: run for run in runs.flow_runs()}
    symphony = flow_runs["symphony-no-1"]
    tasks = {task["name"].rpartition("-")[0]: task["id"] for task in runs.wait_task_runs(symphony["id"], 8)}
    found = {
        "symphony": symphony["id"],
        "encore": next(run["id"] for run in flow_runs.values() if run["parent_task_run_id"] in tasks.values()),
        "cacophony": flow_runs["cacophony-one"]["id"],
        "fermata": flow_runs["fermata-one"]["id"],
        "flow": symphony["flow_id"],
        "transform": tasks["transform"],
        "document": tasks["document"],
        "score": runs.post("/artifacts/filter", {"artifacts": {"key": {"any_": ["score"]}}})[0]["id"],
        **_applause(runs),
    }

    def online() -> bool:
        return [each["name"] for each in runs.post(f"/work_pools/{POOL}/workers/filter")] == [WORKER]

    worker.wait_for(online, "is known to the server")
    return House(server, runs, worker, {**made, **found}, time.time())


def _applause(runs: Runs) -> dict[str, str]:
    """Day and id of the event that the flow emitted."""
    answer = runs.post("/events/filter", {"filter": {"event": {"name": ["orchestra.applause"]}}})
    event = answer["events"][0]
    return {"event": event["id"], "day": event["occurred"][:10]}
