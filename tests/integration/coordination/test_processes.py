"""Real processes that take turns, are killed and frozen; by rows alone and with Docket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.integration.coordination import replica
from tests.integration.coordination.rounds import Rounds
from tests.support.database import Database
from tests.support.processes import ManagedProcess
from tests.support.redis_server import RedisServer
from tests.support.wait import eventually

# Whoever has a turn and is killed is replaced in less, and by nobody before the interval is over if not for its lease.
_REPLACED = 60.0


class Start(Protocol):
    def __call__(self, name: str, **services: Mapping[str, Any]) -> ManagedProcess: ...


@pytest.fixture
def rounds(database: Database) -> Rounds:
    return Rounds(database)


@pytest.fixture(params=["rows", "docket"])
def start(request: pytest.FixtureRequest, database: Database, workdir: Path, rounds: Rounds) -> Iterator[Start]:
    """Start a replica; all share one Redis, or none."""
    redis: RedisServer | None = request.getfixturevalue("redis_server") if request.param == "docket" else None
    processes: list[ManagedProcess] = []
    env = {"SEMPRE_SERVER_DOCKET_URL": redis.url} if redis else {}

    def begin(name: str, **services: Mapping[str, Any]) -> ManagedProcess:
        process = replica.start(name, services, workdir / request.node.name, database, env)
        processes.append(process)
        process.wait_for_output("started", 60)
        return process

    yield begin
    for process in processes:
        process.kill()


def test_one_round_per_interval(start: Start, rounds: Rounds) -> None:
    for name in ("a", "b", "c"):
        start(name, quick={"interval": 0.5}, steady={"interval": 1})
    rounds.wait("quick", 24, 90)
    for service, interval in (("quick", 0.5), ("steady", 1)):
        gaps = rounds.gaps(service)
        assert interval <= min(gaps) < 2 * interval, gaps
        assert len(rounds.lost(service)) <= 1, "of a process that stood still for longer than its lease, if any"


def test_who_is_killed_in_a_round_is_replaced(start: Start, rounds: Rounds) -> None:
    first = start("first", rare={"interval": 3600, "seconds": 600})
    rounds.wait("rare", 1, 60)
    start("second", rare={"interval": 3600})
    first.kill()
    killed = rounds.now()
    (began, *_) = rounds.wait("rare", 1, _REPLACED, by="second")
    assert began > killed


def test_who_was_frozen_ends_nobody_elses_turn(start: Start, rounds: Rounds) -> None:
    first = start("first", rare={"interval": 3600, "seconds": 30, "error": "of the zombie"})
    rounds.wait("rare", 1, 60)
    start("second", rare={"interval": 3600, "seconds": 600})
    first.pause()
    frozen = rounds.now()
    (began, *_) = rounds.wait("rare", 1, _REPLACED, by="second")
    assert began > frozen
    taken = rounds.row("rare")
    first.resume()
    eventually(lambda: "of the zombie" in first.output(), "the zombie ends its round", 90)
    eventually(lambda: "taken over" in first.output(), "and learns that it was replaced")
    row = rounds.row("rare")
    kept = ("owner", "started", "fence", "completed", "error")
    assert [row[key] for key in kept] == [taken[key] for key in kept]
    assert row["lease_until"] is not None
    assert len(rounds.of("rare")) == 2


def test_processes_with_different_services_complement_each_other(start: Start, rounds: Rounds) -> None:
    one = {"interval": 1}
    left = start("left", only_left=one, shared=one)
    start("right", shared=one, only_right=one)
    start("both", only_left=one, shared=one, only_right=one)
    services = ("only_left", "shared", "only_right")
    for service in services:
        rounds.wait(service, 8, 60)
    left.kill()
    for service in services:
        rounds.wait(service, len(rounds.of(service)) + 5, _REPLACED)
        assert min(rounds.gaps(service)) >= 1, service
