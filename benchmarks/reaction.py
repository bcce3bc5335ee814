"""How soon an automation reacts: from an event that the stock client sends to the run that its action creates.

Both ends are times of this machine: when the client says the event occurred, and when the run was created. Events come
one at a time, on a server that has nothing else to do. Beside it: how soon workers can have a run that was created.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from rich.console import Console

from benchmarks import availability
from tests.support.database import Database, Postgres, SystemPostgres
from tests.support.prefect_env import ROOT, PrefectClient, finish
from tests.support.runs import open_api
from tests.support.servers import Ensemble, SempreServer, run_sempre

GOAL_MS = 500.0
GOAL_POLLABLE_MS = 100.0
PATIENCE = 30.0  # seconds for the last runs to appear
SCRIPTS = ROOT / "tests" / "conformance" / "flows"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--firings", type=int, default=60, help="events sent (default %(default)s)")
    parser.add_argument("--every", type=float, default=0.3, help="seconds between two (default %(default)s)")
    parser.add_argument("--topology", choices=["solo", "ensemble"], default="solo", help="what is measured")
    parser.add_argument("--json", type=Path, dest="output", help="write the figures to this file")


def run(options: argparse.Namespace, console: Console) -> int:
    """Measure, report; 1 if a goal is missed."""
    with tempfile.TemporaryDirectory(prefix="sempre-reaction-") as directory:
        workdir = Path(directory)
        with _target(options.topology, workdir) as (url, database), open_api(url) as api:
            _automate(api)
            _warm_up(api)
            client = PrefectClient(url, workdir, SCRIPTS)
            limit = 60 + options.firings * (options.every + 0.5)
            finish(
                client.start_script("emit_events.py", "bench.reaction", str(options.firings), str(options.every)), limit
            )
            reactions = _reactions(api, options.firings)
            legs = [tuple(row.values()) for row in database.fetch(_LEGS)]
            available = asyncio.run(availability.measure(url, workdir / "home", options.firings, options.every / 3))
    figures = {name: _figures(values) for name, values in {**_by_leg(reactions, legs), **available}.items()}
    for name, figure in figures.items():
        console.print(f"{name:32} p50 {figure['p50']:6.1f} ms   p95 {figure['p95']:6.1f} ms   {figure['count']} times")
    if options.output:
        options.output.write_text(json.dumps({"topology": options.topology, "ms": figures}, indent=2) + "\n")
    return int(figures[_WHOLE]["p95"] > GOAL_MS or figures[availability.POLLABLE]["p95"] > GOAL_POLLABLE_MS)


@contextmanager
def _target(topology: str, workdir: Path) -> Iterator[tuple[str, Database]]:
    postgres = SystemPostgres(durable=True) if SystemPostgres.available() else Postgres(durable=True)
    with ExitStack() as stack:
        stack.callback(postgres.stop)
        database = postgres.create()
        run_sempre("server", "database", "upgrade", "-y", home=workdir / "migration-home", database=database)
        target: Ensemble | SempreServer
        if topology == "ensemble":
            target = Ensemble(workdir / topology, database)
        else:
            target = SempreServer(workdir / topology, database=database)
        stack.callback(target.stop)
        target.start()
        yield target.api_url, database


def _automate(api: httpx.Client) -> None:
    flow = api.post("/flows/", json={"name": "reaction"}).raise_for_status().json()
    deployment = api.post("/deployments/", json={"name": "reaction", "flow_id": flow["id"]}).raise_for_status().json()
    automation = {
        "name": "reaction",
        "trigger": {"type": "event", "posture": "Reactive", "expect": ["bench.reaction"], "threshold": 1, "within": 0},
        "actions": [
            {
                "type": "run-deployment",
                "source": "selected",
                "deployment_id": deployment["id"],
                "parameters": {"number": "{{ event.payload.number }}", "occurred": "{{ event.occurred }}"},
            }
        ],
    }
    api.post("/automations/", json=automation).raise_for_status()


def _warm_up(api: httpx.Client) -> None:
    """Until everything has started and done once what it is measured at."""
    now = datetime.now(UTC).isoformat()
    event = {"id": str(uuid4()), "occurred": now, "event": "bench.reaction", "payload": {"number": _WARM_UP}}
    api.post("/events", json=[{**event, "resource": {"prefect.resource.id": "bench.reaction"}}]).raise_for_status()
    deadline = time.monotonic() + PATIENCE
    while not api.post("/flow_runs/filter", json={}).raise_for_status().json():
        if time.monotonic() > deadline:
            raise AssertionError("nothing comes of the first event")
        time.sleep(0.2)


def _reactions(api: httpx.Client, count: int) -> list[dict[str, Any]]:
    """The runs, one for each event."""
    deadline = time.monotonic() + PATIENCE
    while True:
        runs: list[dict[str, Any]] = []
        while page := api.post("/flow_runs/filter", json={"limit": 200, "offset": len(runs)}).raise_for_status().json():
            runs += page
        runs = [run for run in runs if run["parameters"]["number"] != _WARM_UP]
        if len({run["parameters"]["number"] for run in runs}) == count == len(runs):
            return runs
        if time.monotonic() > deadline:
            missing = sorted({*range(count)} - {run["parameters"]["number"] for run in runs})
            raise AssertionError(f"{len(runs)} runs of {count} events, none of those numbered {missing}")
        time.sleep(0.2)


# When the event was sent, received, answered by a firing, and the action ended.
_LEGS = """
SELECT e.occurred, e.received, f.fired_at, t.received AS told, a.finished
FROM event e
    JOIN automation_firing f ON f.firing->'triggering_event'->>'id' = e.id::text
    JOIN event t ON t.id = (f.event->>'id')::uuid
    JOIN automation_action a ON a.firing_id = f.id
WHERE e.event = 'bench.reaction' AND (e.payload->>'number')::int >= 0 ORDER BY e.seq
"""
_WARM_UP = -1
_WHOLE = "event sent - run created"


def _by_leg(reactions: list[dict[str, Any]], legs: list[tuple[datetime, ...]]) -> dict[str, list[float]]:
    whole = [
        _milliseconds(
            datetime.fromisoformat(run["parameters"]["occurred"].replace("Z", "+00:00")),
            datetime.fromisoformat(run["created"].replace("Z", "+00:00")),
        )
        for run in reactions
    ]
    names = ("sent - received", "received - fired", "fired - told", "told - action ended")
    found: dict[str, list[float]] = {_WHOLE: whole}
    for name, index in zip(names, range(4), strict=True):
        found[name] = [_milliseconds(*list(pairwise(leg))[index]) for leg in legs]
    return found


def _milliseconds(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds() * 1000


def _figures(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": cuts[49], "p95": cuts[94], "max": max(values), "count": len(values)}
