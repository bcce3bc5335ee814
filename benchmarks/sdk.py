"""What our SDK costs beside the stock one, in one run against one server, in alternating rounds.

`python -m benchmarks sdk` starts a server of its own. Measured are

- importing: wall time and CPU of a fresh process, less those of an empty one;
- tasks: wall and CPU time per submitted task that does nothing, from the first `submit` to the last result;
- memory: the peak of the process of such a flow (Linux only);
- starting: from "run this deployment" to Running on an idle process worker with default settings.

Ratios are stock / ours of the medians. `--quick` is one round of everything, to see that it works.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.sdk_start import IdleWorker, at_rest
from tests.support.prefect_env import ROOT, interpreter
from tests.support.servers import SempreServer

IMPORT = "from {package} import flow, task"
TASKS = """
import json, sys, time
from {package} import flow, task

@task
def nothing():
    pass

@flow
def many(n):
    wall, cpu = time.perf_counter(), time.process_time()
    for future in [nothing.submit() for _ in range(n)]:
        future.result()
    return (time.perf_counter() - wall) / n * 1e6, (time.process_time() - cpu) / n * 1e6

many(20)
figures = [many(int(n)) for n in sys.argv[1:]]
# Not ru_maxrss, which a process inherits from the one that started it.
(peak,) = [int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")]
print("FIGURES", json.dumps([figures, peak]))
"""
GOALS = {"import, wall ms": 10.0, "200 tasks, wall us each": 5.0, "2000 tasks, wall us each": 5.0, "memory, MB": 2.0}
Figures = dict[str, dict[str, list[float]]]
"""What was measured -> side -> a figure for each round."""


@dataclass(frozen=True)
class Side:
    name: str
    python: str
    package: str
    folder: Path
    environment: dict[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default %(default)s)")
    parser.add_argument("--tasks", type=int, nargs="+", default=[200, 2000], help="tasks per flow (default 200 2000)")
    parser.add_argument("--starts", type=int, default=5, help="runs of a deployment each (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="one round of everything")
    parser.add_argument("--output", type=Path, default=Path(".bench/sdk.json"), help="JSON file (default %(default)s)")


def run(options: argparse.Namespace, console: Console) -> int:
    if options.quick:
        options.rounds = options.starts = 1
    figures: Figures = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as folder:
        server = SempreServer(Path(folder) / "server")
        server.start()
        try:
            sides = _sides(Path(folder), server.api_url)
            for _ in range(options.rounds):
                for side in sides:
                    _import(figures, side)
                    _tasks(figures, side, options.tasks)
            _starts(figures, sides, server.api_url, options.starts)
        finally:
            server.stop()
    console.print(_table(figures))
    _write(figures, options.output)
    console.print(f"written to {options.output}")
    return 0


def _sides(folder: Path, api_url: str) -> list[Side]:
    pythons = {"stock": (str(interpreter()), "prefect"), "ours": (sys.executable, "sempre")}
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SEMPRE_"))}
    made = []
    for name, (python, package) in pythons.items():
        home = folder / name
        own = {"HOME": str(home / "home"), "API_URL": api_url, "LOGGING_LEVEL": "ERROR"}
        settings = {f"{product}_{key}": value for product in ("PREFECT", "SEMPRE") for key, value in own.items()}
        environment = {**kept, **settings, "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1"}
        environment["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
        home.mkdir()
        made.append(Side(name, python, package, home, environment))
    return made


def _import(figures: Figures, side: Side) -> None:
    empty = _cost([side.python, "-c", "pass"], side.environment)
    full = _cost([side.python, "-c", IMPORT.format(package=side.package)], side.environment)
    figures["import, wall ms"][side.name].append(full[0] - empty[0])
    figures["import, CPU ms"][side.name].append(full[1] - empty[1])


def _cost(argv: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Milliseconds of a process: on the wall, and of CPU, user and system."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(argv, env=environment, check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall * 1000, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def _tasks(figures: Figures, side: Side, counts: list[int]) -> None:
    script = side.folder / "tasks.py"
    script.write_text(TASKS.format(package=side.package))
    argv = [side.python, str(script), *map(str, counts)]
    output = subprocess.run(argv, env=side.environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    found, peak = json.loads(output.rpartition("FIGURES ")[2])
    for count, (wall, cpu) in zip(counts, found, strict=True):
        figures[f"{count} tasks, wall us each"][side.name].append(wall)
        figures[f"{count} tasks, CPU us each"][side.name].append(cpu)
    figures["memory, MB"][side.name].append(peak)


def _starts(figures: Figures, sides: list[Side], api_url: str, count: int) -> None:
    """One worker at a time, so that neither disturbs the other."""
    for side in sides:
        worker = IdleWorker(side.name, side.python, side.package, side.environment, side.folder / "flows", api_url)
        try:
            for number in range(count):
                figures["run deployment to Running, s"][side.name].append(worker.seconds_to_running(at_rest(number)))
        finally:
            worker.stop()


def _ratio(sides: dict[str, list[float]]) -> float:
    stock, ours = (statistics.median(sides[name]) for name in ("stock", "ours"))
    return stock / max(ours, 0.001)


def _table(figures: Figures) -> Table:
    table = Table("", "stock", "ours", "ratio", "goal")
    for what, sides in figures.items():
        medians = [f"{statistics.median(sides[name]):.2f}" for name in ("stock", "ours")]
        goal = f"{GOALS[what]:g}" if what in GOALS else "ours < 1" if "Running" in what else ""
        table.add_row(what, *medians, f"{_ratio(sides):.1f}", goal)
    return table


def _write(figures: Figures, output: Path) -> None:
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    ratios = {what: round(_ratio(sides), 2) for what, sides in figures.items()}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"machine": machine, "ratios": ratios, "figures": figures}, indent=2) + "\n")
