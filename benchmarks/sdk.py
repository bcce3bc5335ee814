"""What our SDK costs beside the stock one: importing it, and a task that does nothing.

`python -m benchmarks.sdk` starts a server of its own and runs the same script with both packages against it, in
alternating rounds. Import: user and system CPU of a fresh process, less that of an empty one. Tasks: wall and CPU time
per submitted task, from the first `submit` to the last result. Ratios are stock / ours of the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

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
print("FIGURES", json.dumps([many(int(n)) for n in sys.argv[1:]]))
"""
Figures = dict[tuple[str, str], list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default %(default)s)")
    parser.add_argument("--tasks", type=int, nargs="+", default=[200, 2000], help="tasks per flow (default 200 2000)")
    parser.add_argument("--json", type=Path, dest="output", help="write the figures to this file")
    options = parser.parse_args()
    pythons = {"stock": (str(interpreter()), "prefect"), "ours": (sys.executable, "sempre")}
    figures: Figures = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        server = SempreServer(Path(folder) / "server")
        server.start()
        try:
            for _ in range(options.rounds):
                for name, (python, package) in pythons.items():
                    environment = _environment(Path(folder) / name, server.api_url)
                    _import(figures, name, python, package, environment)
                    _tasks(figures, name, python, package, environment, options.tasks)
        finally:
            server.stop()
    _show(figures)
    if options.output:
        options.output.write_text(json.dumps({f"{who}: {what}": seen for (who, what), seen in figures.items()}))


def _environment(home: Path, api_url: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SEMPRE_"))}
    own = {f"{product}_{key}": value for product in ("PREFECT", "SEMPRE") for key, value in (
        ("HOME", str(home)), ("API_URL", api_url), ("LOGGING_LEVEL", "ERROR"),
    )}  # fmt: skip
    return {**kept, **own, "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1"}


def _import(figures: Figures, name: str, python: str, package: str, environment: dict[str, str]) -> None:
    empty = _cpu([python, "-c", "pass"], environment)
    figures[name, "import, CPU ms"].append(_cpu([python, "-c", IMPORT.format(package=package)], environment) - empty)


def _cpu(argv: list[str], environment: dict[str, str]) -> float:
    """CPU milliseconds of a process, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def _tasks(
    figures: Figures, name: str, python: str, package: str, environment: dict[str, str], counts: list[int]
) -> None:
    script = Path(environment["SEMPRE_HOME"]).with_suffix(".py")
    script.write_text(TASKS.format(package=package))
    argv = [python, str(script), *map(str, counts)]
    output = subprocess.run(argv, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    for count, (wall, cpu) in zip(counts, json.loads(output.rpartition("FIGURES ")[2]), strict=True):
        figures[name, f"{count} tasks, wall us each"].append(wall)
        figures[name, f"{count} tasks, CPU us each"].append(cpu)


def _show(figures: Figures) -> None:
    table = Table("", "stock", "ours", "ratio")
    for what in dict.fromkeys(what for _, what in figures):
        stock, ours = (statistics.median(figures[name, what]) for name in ("stock", "ours"))
        table.add_row(what, f"{stock:.1f}", f"{ours:.1f}", f"{stock / max(ours, 0.01):.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
