"""Lists at size: seed a large database, make the calls of the UI and the CLI, report how long they take.

``python -m benchmarks large`` takes twenty minutes and some 26 GB of disk at scale 1, all of it in a temporary folder
that is removed afterwards. ``--keep`` leaves the database there and says how to measure it again with ``--url``.
``--recorded benchmarks/ui_calls.jsonl`` measures what the pages of a UI ask for. The windows of calls move along with
the time, so that no repeat is answered from memory unless the call names no window.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table

from benchmarks.http import Connection
from benchmarks.large_calls import Call, calls_of
from benchmarks.large_seed import seed, size_of
from sempre.db import migrate
from sempre.db.embedded import start_embedded, stop_embedded
from tests.support.database import Database
from tests.support.net import LOOPBACK
from tests.support.servers import SempreServer

__all__ = ["add_arguments", "run"]

GOAL_MS = 200.0
_MOST_MS = 10_000.0  # spent on one call
# The measured server must not drop the days that were just made, nor plan runs while others are measured.
_SERVER = {
    "SEMPRE_SERVER_EVENTS_RETENTION_SECONDS": "7776000",
    "SEMPRE_SERVER_LOGS_RETENTION_SECONDS": "7776000",
    "SEMPRE_SERVER_FLOW_RUN_GRAPH_MAX_NODES": "10000",
}


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one call over its repeats, as a client sees them; ``first`` is the one before them."""

    name: str
    path: str
    repeats: int
    p50: float
    p95: float
    worst: float
    first: float


@dataclass(frozen=True)
class _Given(Database):
    """A database somebody else keeps."""

    given: str = ""

    @property
    def url(self) -> str:
        return self.given


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scale", type=float, default=1.0, help="1 = a million flow runs (default %(default)s)")
    parser.add_argument("--url", help="measure this seeded database instead of making one")
    parser.add_argument("--keep", action="store_true", help="leave the database and say where it is")
    parser.add_argument("--folder", type=Path, help="where the temporary folder goes (default: the system's)")
    parser.add_argument("--repeats", type=int, default=20, help="of each call (default %(default)s)")
    parser.add_argument("--only", default="", help="calls whose name contains this")
    parser.add_argument("--recorded", type=Path, help="measure these calls, for instance benchmarks/ui_calls.jsonl")
    parser.add_argument("--json", type=Path, dest="output", help="write the figures to this file")


def run(options: argparse.Namespace, console: Console) -> int:
    """Seed unless a database is given, measure, report; 1 if a call misses the goal."""
    with _database(options, console.print) as (url, facts):
        facts["sizes"] = [asdict(size) for size in asyncio.run(_sizes(url))]
        timings = _measure(url, options, console.print)
    console.print(_table(timings))
    gigabytes = sum(size["bytes"] for size in facts["sizes"]) / 1e9
    slow = [timing.name for timing in timings if timing.p95 > GOAL_MS]
    console.print(
        f"{gigabytes:.1f} GB; {len(timings) - len(slow)} of {len(timings)} calls within {GOAL_MS:g} ms at p95"
    )
    if options.output:
        facts["timings"] = [asdict(timing) for timing in timings]
        options.output.write_text(json.dumps(facts, indent=2) + "\n")
    return bool(slow)


@contextmanager
def _database(options: argparse.Namespace, say: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if options.url:
        yield options.url, {}
        return
    home = Path(tempfile.mkdtemp(prefix="sempre-large-", dir=options.folder))
    # The embedded server steps down from root to another user, who must be able to get here.
    home.chmod(0o755)
    try:
        embedded = start_embedded(home)
        asyncio.run(migrate.upgrade(embedded.dsn))
        with _hurried(embedded.dsn):
            seconds = asyncio.run(seed(embedded.dsn, options.scale, say))
        say(f"seeded in {seconds:.0f} s")
        yield embedded.dsn, {"scale": options.scale, "seed_seconds": seconds}
        if options.keep:
            say(f"kept in {home}: --url '{embedded.dsn}'")
    finally:
        if not options.keep:
            stop_embedded(home, force=True)
            shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _hurried(url: str) -> Iterator[None]:
    """Nothing is lost if the load is: neither wait for the disk nor for checkpoints."""

    async def execute(*statements: str) -> None:
        connection = await asyncpg.connect(url)
        for statement in (*statements, "SELECT pg_reload_conf()"):
            await connection.execute(statement)
        await connection.close()

    hurry = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "'8GB'", "autovacuum": "off"}
    asyncio.run(execute(*(f"ALTER SYSTEM SET {name} = {value}" for name, value in hurry.items())))
    yield
    asyncio.run(execute(*(f"ALTER SYSTEM RESET {name}" for name in hurry), "CHECKPOINT"))


async def _sizes(url: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await size_of(connection)
    finally:
        await connection.close()


def _measure(url: str, options: argparse.Namespace, say: Any) -> list[Timing]:
    workdir = Path(tempfile.mkdtemp(prefix="sempre-large-server-"))
    server = SempreServer(workdir, database=_Given("", "", url), services=False, env=_SERVER)
    server.start()
    try:
        calls = asyncio.run(calls_of(url, options.recorded))

        def chosen() -> list[Call]:
            return [call for call in calls() if options.only in call.name]

        say(f"measuring {len(chosen())} calls")
        return asyncio.run(_time_all(server.port, chosen, options.repeats))
    finally:
        server.stop()
        shutil.rmtree(workdir, ignore_errors=True)


async def _time_all(port: int, calls: Callable[[], Sequence[Call]], repeats: int) -> list[Timing]:
    timings = []
    async with Connection(LOOPBACK, port) as connection:
        for number, call in enumerate(calls()):
            taken: list[float] = []
            # The first one compiles and fills caches, as somebody's first click does; it is not counted.
            while len(taken) <= repeats and sum(taken) < _MOST_MS:
                call = calls()[number]
                began = time.perf_counter()
                with suppress(RuntimeError):  # what takes too long is answered 503
                    await connection.call(call.method, f"/api{call.path}", call.body)
                taken.append(1000 * (time.perf_counter() - began))
            timings.append(_timing(call, taken[0], taken[1:] or taken))
    return timings


def _timing(call: Call, first: float, taken: list[float]) -> Timing:
    p95 = statistics.quantiles(taken, n=20, method="inclusive")[-1] if len(taken) > 1 else taken[0]
    return Timing(call.name, call.path, len(taken), statistics.median(taken), p95, max(taken), first)


def _table(timings: Sequence[Timing]) -> Table:
    table = Table("call", "path", "p50 ms", "p95 ms", "worst ms", "first ms")
    for timing in sorted(timings, key=lambda timing: -timing.p95):
        figures = [f"{value:.1f}" for value in (timing.p50, timing.p95, timing.worst, timing.first)]
        table.add_row(
            timing.name, timing.path.partition("-")[0], *figures, style="red" if timing.p95 > GOAL_MS else None
        )
    return table
