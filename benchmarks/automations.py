"""Evaluating automations: how many events per second one process takes through all its shards.

``python -m benchmarks automations`` seeds a database of its own with automations, each for the runs of a deployment of
its own, and measures what it takes to bring the engine from one end of a backlog to the other: with few and many
automations that cannot match, with a million open buckets beside, and with none at all.

Events per second belong to a machine. What an event costs, beside what it costs with ten automations in the same run,
does not: that decides how the program exits.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.table import Table

from sempre.db import migrate
from sempre.db.embedded import start_embedded, stop_embedded
from sempre.db.pool import Database
from sempre.schemas.events import Event
from sempre.server.events.append import append, encode
from sempre.server.feed.doorbell import Doorbell
from sempre.server.ids import new_id
from sempre.server.scope import Scope
from sempre.server.settings import load_settings
from sempre.server.triggers.counters import hash_of
from sempre.server.triggers.definitions import SHARDS, shard_of
from sempre.server.triggers.known import KnownAutomations
from sempre.server.triggers.reading import RecentEvents
from sempre.server.triggers.shard import Shard
from tests.support.processes import tree_cpu_seconds

__all__ = ["add_arguments", "run"]

GOAL = 3000.0  # events per second
DEARER = 4.0  # times the CPU of an event with _FEW automations that nothing may cost
_FEW = 10
_WITH = 10_000  # automations of the goal
_PART = 50_000  # buckets in one statement
_STATES = ("Pending", "Running", "Completed")


@dataclass(frozen=True, slots=True)
class Figure:
    """``events`` taken in ``seconds``; ``counted`` of them in buckets."""

    name: str
    events: int
    counted: int
    seconds: float
    load_seconds: float
    engine_cpu_ms: float  # per event
    postgres_cpu_ms: float

    @property
    def per_second(self) -> float:
        return self.events / self.seconds

    @property
    def cpu_ms(self) -> float:
        return self.engine_cpu_ms + self.postgres_cpu_ms


def add_arguments(parser: argparse.ArgumentParser) -> None:
    short = os.environ.get("SEMPRE_BENCH") == "short"
    events, buckets = (6_000, 200_000) if short else (12_000, 1_000_000)
    parser.add_argument("--events", type=int, default=events, help="per figure (default %(default)s)")
    parser.add_argument("--buckets", type=int, default=buckets, help="open beside (default %(default)s)")
    parser.add_argument("--folder", type=Path, help="where the temporary folder goes (default: the system's)")
    parser.add_argument("--json", type=Path, dest="output", help="write the figures to this file")


def run(options: argparse.Namespace, console: Console) -> int:
    """Seed, measure, report; 1 if an event costs too much more with many automations than with few."""
    home = Path(tempfile.mkdtemp(prefix="sempre-automations-", dir=options.folder))
    # The embedded server steps down from root to another user, who must be able to get here.
    home.chmod(0o755)
    try:
        embedded = start_embedded(home)
        asyncio.run(migrate.upgrade(embedded.dsn))
        figures = asyncio.run(_measure(embedded.dsn, _postmaster(embedded.data_directory), options, console))
    finally:
        stop_embedded(home, force=True)
        shutil.rmtree(home, ignore_errors=True)
    table = Table("", "events", "counted", "events/s", "goal", "engine CPU, ms", "Postgres CPU, ms")
    for figure in figures:
        cpu = (f"{figure.engine_cpu_ms:.3f}", f"{figure.postgres_cpu_ms:.3f}")
        table.add_row(
            figure.name, f"{figure.events}", f"{figure.counted}", f"{figure.per_second:.0f}", f"{GOAL:.0f}", *cpu
        )
    console.print(table)
    if options.output:
        options.output.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
    few = next(figure for figure in figures if figure.name == _named(_FEW))
    dear = [figure for figure in figures if figure.cpu_ms > DEARER * few.cpu_ms]
    for figure in dear:
        console.print(f"{figure.name}: an event costs {figure.cpu_ms / few.cpu_ms:.1f} times that with {few.name}")
    return int(bool(dear))


def _named(automations: int) -> str:
    return f"{automations} automations"


def _postmaster(folder: Path) -> int:
    return int((folder / "postmaster.pid").read_text().splitlines()[0])


async def _measure(url: str, postgres: int, options: argparse.Namespace, console: Console) -> list[Figure]:
    settings = load_settings(env={"SEMPRE_SERVER_DATABASE_CONNECTION_URL": url})
    db = Database(url, size=8)
    await db.open()
    figures: list[Figure] = []
    try:
        bench = _Bench(Scope(db, settings, Doorbell(db)), options.events, postgres)
        figures.append(await bench.figure("no automations"))
        for many in (_FEW, 1000, _WITH):
            await bench.grow(many)
            figures.append(await bench.figure(_named(many)))
        await bench.seed_buckets(options.buckets)
        figures.append(await bench.figure(f"{_named(many)}, {options.buckets} open buckets"))
        figures.append(await bench.figure(f"{_named(many)}, events that concern none", foreign=True))
        for figure in figures:
            console.print(f"{figure.name}: {figure.per_second:.0f} events/s (loaded in {figure.load_seconds:.2f} s)")
    finally:
        await db.close()
    return figures


class _Bench:
    def __init__(self, scope: Scope, events: int, postgres: int) -> None:
        self.scope = scope
        self.postgres = postgres  # the process id
        self.events = events
        self.random = random.Random(7)
        self.deployments: list[UUID] = [new_id() for _ in range(_WITH)]
        self.automations = 0
        self.owners: list[tuple[UUID, UUID]] = []  # trigger and automation, one for each deployment
        self.open_buckets = 0

    async def grow(self, many: int) -> None:
        """Have as many automations, each of a deployment of its own."""
        wanted = self.deployments[self.automations : many]
        ids = [new_id() for _ in wanted]
        triggers = [_trigger(deployment) for deployment in wanted]
        # The engine takes no events that came before an automation was as it is; these have been there for long.
        await self.scope.db.execute(
            """
            INSERT INTO automation (id, workspace_id, created, updated, name, description, enabled, tags, trigger,
                actions, actions_on_trigger, actions_on_resolve)
            SELECT a.id, $1, now() - interval '1 hour', now() - interval '1 hour', 'automation ' || a.id, '', true,
                   '{}', a.trigger::jsonb, '[{"type": "do-nothing"}]', '[]', '[]'
            FROM unnest($2::uuid[], $3::text[]) AS a(id, trigger)
            """,
            self.scope.workspace_id,
            ids,
            [json.dumps(trigger) for trigger in triggers],
        )
        self.owners += [(UUID(trigger["id"]), id) for trigger, id in zip(triggers, ids, strict=True)]
        self.automations = many

    async def seed_buckets(self, many: int) -> None:
        """Open buckets, spread over all automations, of runs whose events come later."""
        for start in range(0, many, _PART):
            numbers = range(start, min(start + _PART, many))
            owners = [self.owners[number % len(self.owners)] for number in numbers]
            keys = [_run_resource(UUID(int=number)) for number in numbers]
            await self.scope.db.execute(
                """
                INSERT INTO automation_bucket (
                    trigger_id, key_hash, key, automation_id, workspace_id, shard, proactive, satisfied, window_start,
                    window_end, count, last_number, last_occurred
                )
                SELECT b.trigger_id, b.hash, ARRAY[b.key], b.automation_id, $1, b.shard, false, false,
                       now() - interval '1 hour', now() + interval '1 day', 1, 1, now()
                FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::int[])
                    AS b(trigger_id, hash, key, automation_id, shard)
                """,
                self.scope.workspace_id,
                [trigger_id for trigger_id, _ in owners],
                [hash_of((key,)) for key in keys],
                keys,
                [automation_id for _, automation_id in owners],
                [shard_of(automation_id) for _, automation_id in owners],
            )
        await self.scope.db.execute("VACUUM ANALYZE automation_bucket")
        self.open_buckets = many

    async def figure(self, name: str, *, foreign: bool = False) -> Figure:
        known_automations = KnownAutomations()
        recent = RecentEvents()
        shards = [Shard(self.scope, known_automations, number, False, recent) for number in range(SHARDS)]
        began = time.perf_counter()
        await known_automations.refresh(self.scope.db)
        load_seconds = time.perf_counter() - began
        await asyncio.gather(*(shard.consumer.drain() for shard in shards))
        deployments = [new_id()] if foreign else self.deployments[: self.automations] or self.deployments[:10]
        await self._append(deployments)
        await self.scope.db.execute("CHECKPOINT")
        began = time.perf_counter()
        engine, postgres = time.process_time(), tree_cpu_seconds(self.postgres)
        await asyncio.gather(*(shard.consumer.drain() for shard in shards))
        seconds = time.perf_counter() - began
        per_event = 1000 / self.events
        engine, postgres = time.process_time() - engine, tree_cpu_seconds(self.postgres) - postgres
        counted = 0 if foreign or not self.automations else self.events
        return Figure(name, self.events, counted, seconds, load_seconds, engine * per_event, postgres * per_event)

    async def _append(self, deployments: Sequence[UUID]) -> None:
        maximum = self.scope.settings.events.maximum_size_bytes
        for start in range(0, self.events, 1000):
            events = [self._event(deployments) for _ in range(min(1000, self.events - start))]
            encoded = [encode(event, self.scope.workspace_id, maximum) for event in events]
            await append(self.scope.db, [event for event in encoded if event is not None])

    def _event(self, deployments: Sequence[UUID]) -> Event:
        """A transition of a flow run as the server tells it."""
        deployment, run_id = self.random.choice(deployments), new_id()
        if self.open_buckets:
            number = self.random.randrange(self.open_buckets)
            deployment, run_id = deployments[number % len(deployments)], UUID(int=number)
        state = self.random.choice(_STATES)
        now = datetime.now(UTC)
        related = [
            _related("flow", f"flow.{UUID(int=1)}", "a flow"),
            _related("deployment", f"deployment.{deployment}", "a deployment"),
            _related("work-queue", f"work-queue.{UUID(int=2)}", "default"),
            _related("work-pool", f"work-pool.{UUID(int=3)}", "a pool"),
            {"prefect.resource.id": "prefect.tag.nightly", "prefect.resource.role": "tag"},
        ]
        told = {"name": state, "type": state.upper()}
        return Event.model_validate(
            {
                "id": new_id(),
                "occurred": now,
                "event": f"prefect.flow-run.{state}",
                "resource": {
                    "prefect.resource.id": _run_resource(run_id),
                    "prefect.resource.name": "dark-armadillo",
                    "prefect.run-count": "1",
                    "prefect.state-message": "",
                    "prefect.state-name": state,
                    "prefect.state-type": state.upper(),
                    "prefect.state-timestamp": now.isoformat(),
                },
                "related": related,
                "payload": {"intended": {"from": None, "to": state.upper()}, "validated_state": told},
            }
        )


def _run_resource(run_id: UUID) -> str:
    return f"prefect.flow-run.{run_id}"


def _related(role: str, id: str, name: str) -> dict[str, str]:
    return {"prefect.resource.id": f"prefect.{id}", "prefect.resource.role": role, "prefect.resource.name": name}


def _trigger(deployment: UUID) -> dict[str, Any]:
    """Ten transitions of runs of the deployment within an hour."""
    return {
        "type": "event",
        "id": str(new_id()),
        "posture": "Reactive",
        "match": {"prefect.resource.id": "prefect.flow-run.*"},
        "match_related": [{"prefect.resource.id": f"prefect.deployment.{deployment}"}],
        "after": [],
        "expect": ["prefect.flow-run.*"],
        "for_each": ["prefect.resource.id"],
        "threshold": 10,
        "within": 3600.0,
    }
