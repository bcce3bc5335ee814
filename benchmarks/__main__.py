"""Runs the benchmarks: `python -m benchmarks`, about three minutes.

Peer and Sempre run on the same Postgres program with databases of their own, are measured in alternating rounds by the
same load program, and stand still while the other one is measured. Ratios are peer / Sempre of the medians (throughput:
Sempre / peer), so more is better for Sempre in every line.

Others: `python -m benchmarks large` (how fast lists stay on a large database), `python -m benchmarks automations` (how
many events per second the trigger engine takes), `python -m benchmarks reaction` (how soon an action follows) and
`python -m benchmarks sdk` (what our SDK and worker cost beside the stock ones).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import automations, contenders, events_ingest, large, lifecycle, reaction, sdk
from benchmarks.contenders import Contender
from benchmarks.lifecycle import Result
from tests.support.database import Postgres, SystemPostgres

LINES = (
    ("lifecycle", "per_second", "flow-run lifecycles per second", 15.0),
    ("lifecycle", "server_cpu_ms", "server CPU per lifecycle, ms", 20.0),
    ("lifecycle", "postgres_cpu_ms", "Postgres CPU per lifecycle, ms", None),
    ("lifecycle", "load_cpu_ms", "load program's CPU per lifecycle, ms", None),
    ("events", "accepted_s", "events accepted, s", 4.0),
    ("events", "queryable_s", "events queryable, s", 8.0),
    ("events", "server_cpu_ms", "server CPU per event, ms", None),
    ("events", "postgres_cpu_ms", "Postgres CPU per event, ms", None),
)
Rounds = dict[str, dict[str, list[Result]]]


def median(rounds: Rounds, name: str, benchmark: str, key: str) -> float | None:
    values = [result[key] for result in rounds.get(name, {}).get(benchmark, [])]
    return statistics.median(values) if values else None


def ratio(rounds: Rounds, benchmark: str, key: str) -> float | None:
    """How many times better Sempre is; None unless both were measured."""
    peer, ours = (median(rounds, name, benchmark, key) for name in ("peer", "sempre"))
    if not peer or not ours:
        return None
    return ours / peer if key == "per_second" else peer / ours


def table(rounds: Rounds) -> Table:
    result = Table("", "peer", "sempre", "ratio", "goal")
    for benchmark, key, label, goal in LINES:
        values = [median(rounds, name, benchmark, key) for name in ("peer", "sempre")]
        cells = ["-" if value is None else f"{value:.3f}" for value in values]
        times = ratio(rounds, benchmark, key)
        result.add_row(label, *cells, f"{times:.1f}" if times else "-", f"{goal:g}" if goal else "")
    return result


def run(options: argparse.Namespace, postgres: Postgres, workdir: Path, say: Callable[[str], None]) -> Rounds:
    """Start the contenders and measure them in turn."""
    names = [options.only] if options.only else ["peer", "sempre"]
    rounds: Rounds = {name: {"lifecycle": [], "events": []} for name in names}
    running: list[Contender] = []
    try:
        for name in names:
            say(f"starting {name}")
            running.append(contenders.start(name, workdir, postgres))
        for contender in running:
            # Imports, prepared statements, caches.
            lifecycle.measure(contender, 2)
        for number in range(options.rounds):
            for contender in running:
                result = lifecycle.measure(contender, options.seconds)
                rounds[contender.name]["lifecycle"].append(result)
                say(f"round {number + 1}: {contender.name} {result['per_second']:.1f} lifecycles/s")
        for number in range(options.event_rounds):
            for contender in running:
                result = events_ingest.measure(contender, options.events, options.limit)
                rounds[contender.name]["events"].append(result)
                say(f"round {number + 1}: {contender.name} {options.events} events in {result['queryable_s']:.1f} s")
    finally:
        for contender in running:
            contender.process.kill()
    return rounds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    # SEMPRE_BENCH=short: enough to see that everything still runs; no figures to quote, and nobody beside.
    short = os.environ.get("SEMPRE_BENCH") == "short"
    count, seconds, events = (1, 2.0, 1_000) if short else (3, 6.0, 10_000)
    only = "sempre" if short else None
    parser.add_argument("--only", choices=["peer", "sempre"], default=only, help="measure one of them alone")
    parser.add_argument("--rounds", type=int, default=count, help="lifecycle rounds each (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=seconds, help="seconds per round (default %(default)s)")
    parser.add_argument("--events", type=int, default=events, help="events per round (default %(default)s)")
    parser.add_argument("--event-rounds", type=int, default=1, help="event rounds each (default 1)")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds one event round may take (default 120)")
    parser.add_argument("--output", type=Path, default=Path(".bench/latest.json"), help="JSON file")
    others = parser.add_subparsers(title="other benchmarks", metavar="")
    for name, other in (("large", large), ("automations", automations), ("reaction", reaction), ("sdk", sdk)):
        one = others.add_parser(name, help=other.__doc__)
        other.add_arguments(one)
        one.set_defaults(run=other.run)
    options = parser.parse_args()
    console = Console(highlight=False)
    if "run" in options:
        return int(options.run(options, console))
    if not SystemPostgres.available() and options.only != "sempre":
        console.print("The peer needs a Postgres with pg_trgm (initdb and postgres on PATH): measuring Sempre alone.")
        options.only = "sempre"
    postgres = SystemPostgres(durable=True) if SystemPostgres.available() else Postgres(durable=True)
    try:
        with tempfile.TemporaryDirectory(prefix="sempre-bench-") as directory:
            rounds = run(options, postgres, Path(directory), console.print)
    finally:
        postgres.stop()
    console.print(table(rounds))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    ratios = {f"{benchmark}.{key}": ratio(rounds, benchmark, key) for benchmark, key, _, _ in LINES}
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    report = {"at": datetime.now(UTC).isoformat(), "machine": machine, "ratios": ratios, "rounds": rounds}
    options.output.write_text(json.dumps(report, indent=2) + "\n")
    console.print(f"written to {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
