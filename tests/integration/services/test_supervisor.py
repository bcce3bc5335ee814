"""Turns between replicas, and what the supervisor does about rounds that fail, hang or die."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from sempre.db.pool import Database as Pool
from sempre.server.feed.doorbell import Doorbell
from sempre.server.scope import Scope
from sempre.server.services import periodic
from sempre.server.services import supervisor as supervisors
from sempre.server.services.listing import list_services
from sempre.server.services.registry import SERVICES
from sempre.server.services.service import Service
from sempre.server.services.supervisor import ServiceFailed, Supervisor
from tests.support.database import Database
from tests.support.scopes import open_scope, until

Run = Callable[[Scope], Awaitable[None]]


def service(run: Run, interval: float = 0.1, **more: Any) -> Service:
    return Service(
        name=f"test_{uuid4().hex[:8]}",
        description="",
        section="late_runs",
        enabled=lambda settings: True,
        interval=lambda settings: interval,
        run=run,
        **more,
    )


async def row_of(scope: Scope, name: str) -> dict[str, Any]:
    row = await scope.db.fetchrow("SELECT *, next_run <= clock_timestamp() AS due FROM service WHERE name = $1", name)
    return dict(row) if row else {}


async def test_replicas_share_the_intervals_from_start_to_start(scope: Scope, replica: Scope) -> None:
    starts: set[datetime] = set()

    async def run(here: Scope) -> None:
        starts.add(await here.db.fetchval("SELECT started FROM service WHERE name = $1", shared.name))

    shared = service(run, 0.2)
    both = [Supervisor(s, [shared]) for s in (scope, replica)]
    for one in both:
        one.start()
    await until(lambda: len(starts) >= 5, "five rounds")
    await asyncio.gather(*(one.stop() for one in both))
    gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(sorted(starts))]
    assert min(gaps) >= 0.2, gaps


async def test_without_coordination_every_replica_runs(database: Database) -> None:
    ran: set[int] = set()

    async def run(here: Scope) -> None:
        ran.add(id(here))

    off = {"SEMPRE_SERVER_SERVICES_COORDINATION_ENABLED": "false"}
    alone = service(run, 30)
    async with open_scope(database, off) as first, open_scope(database, off) as second:
        both = [Supervisor(s, [alone]) for s in (first, second)]
        for one in both:
            one.start()
        await until(lambda: len(ran) == 2, "both run at once")
        await asyncio.gather(*(one.stop() for one in both))


async def test_a_failure_is_recorded_and_tried_again(scope: Scope, caplog: pytest.LogCaptureFixture) -> None:
    rounds = 0

    async def run(_: Scope) -> None:
        nonlocal rounds
        rounds += 1
        if rounds < 3:
            raise ValueError("not yet")

    flaky = service(run, 0.1)
    one = Supervisor(scope, [flaky])
    one.start()

    async def failed() -> bool:
        return (await row_of(scope, flaky.name)).get("error") == "ValueError: not yet"

    async def recovered() -> bool:
        row = await row_of(scope, flaky.name)
        return row["error"] is None and row["completed"] is not None

    await until(failed, "the error is recorded")
    await until(recovered, "a later round succeeds and clears it")
    assert one.ages()[flaky.name] < 60
    assert one.late() == {}
    await one.stop()
    assert "failed" in caplog.text


async def test_stop_gives_a_cut_round_back(scope: Scope, database: Database) -> None:
    started = asyncio.Event()

    async def run(_: Scope) -> None:
        started.set()
        await asyncio.Event().wait()

    endless = service(run, 3600)
    async with open_scope(database, {"SEMPRE_SERVER_SERVICES_DRAIN_SECONDS": "0"}) as impatient:
        one = Supervisor(impatient, [endless])
        one.start()
        await started.wait()
        assert not (await row_of(scope, endless.name))["due"]
        await one.stop()
    assert (await row_of(scope, endless.name))["due"]


async def test_stop_waits_for_a_round_in_flight(scope: Scope) -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    async def run(_: Scope) -> None:
        started.set()
        await finish.wait()

    slow = service(run, 3600)
    one = Supervisor(scope, [slow])
    one.start()
    await started.wait()
    stopping = asyncio.create_task(one.stop())
    finish.set()
    await stopping
    row = await row_of(scope, slow.name)
    assert row["completed"] is not None
    assert not row["due"]


async def _die(_: Scope) -> None:
    raise KeyError("always")


async def test_a_loop_that_keeps_dying_ends_the_process(
    scope: Scope, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisors, "_RESTART_SECONDS", 0.01)
    failures: list[ServiceFailed] = []
    one = Supervisor(scope, [service(_die, continuous=True)], on_failure=failures.append)
    one.start()
    await until(lambda: failures, "the supervisor gives up")
    assert "keeps dying: KeyError: 'always'" in str(failures[0])
    await one.stop()


async def test_a_database_that_is_away_is_waited_for(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periodic, "_AWAY_SECONDS", 0.05)
    nowhere = Pool("postgresql://nobody@127.0.0.1:1/none")
    await nowhere.open()
    rounds = 0

    async def run(_: Scope) -> None:
        nonlocal rounds
        rounds += 1

    away = Scope(nowhere, scope.settings, Doorbell(nowhere))
    failures: list[ServiceFailed] = []
    waiting = service(run, 0.05)
    one = Supervisor(away, [waiting], on_failure=failures.append)
    one.start()
    await until(lambda: one.ages()[waiting.name] > 0.5, "its age says how long it waits")
    assert (rounds, failures) == (0, [])
    assert one.late() == {}, "a restart would not bring the database back"
    await one.stop()
    await nowhere.close()


async def test_the_list_says_what_ran_last(scope: Scope) -> None:
    listed = await list_services(scope.settings, scope.db)
    assert [each["name"] for each in listed] == [each.name for each in SERVICES]
    assert len({each.name for each in SERVICES}) == len(SERVICES)
    assert all(each["environment_variable"].startswith("SEMPRE_SERVER_SERVICES_") for each in listed)
