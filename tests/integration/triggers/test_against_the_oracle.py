"""Random automations, random events and a crash between any two steps, on the real log: what fires is what the oracle
says, firing by firing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sempre.db.pool import Executor
from sempre.server.events.consumer import Work
from sempre.server.ids import new_id
from sempre.server.scope import Scope
from sempre.server.triggers import shard as shards
from sempre.server.triggers.shard import Shard
from tests.integration.triggers.engine import Engine, Json, automate, firings, send
from tests.support.trigger_oracle import SECOND, Oracle
from tests.support.trigger_plans import steps, triggers

_BUFFER = 60 * SECOND


class Crash(BaseException):
    """The process is gone."""


class Faults:
    """Dies when the given number of points has been passed; never if it is None."""

    def __init__(self, after: int | None = None) -> None:
        self._left = after

    def point(self) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise Crash

    def into(self, shard: Shard) -> None:
        """Points before and after all that a shard does."""
        consumer = shard.consumer
        commit = consumer._commit
        consumer.handler = self._around(consumer.handler)
        shard._watch = self._around(shard._watch)  # type: ignore[method-assign, assignment]
        shard._release_and_sweep = self._around(shard._release_and_sweep)  # type: ignore[method-assign, assignment]

        async def committed(*args: Any) -> bool:
            moved = await commit(*args)
            self.point()
            return moved

        consumer._commit = committed  # type: ignore[method-assign, assignment]

    def _around(self, handler: Callable[..., Awaitable[Work]]) -> Callable[..., Awaitable[Work]]:
        async def handled(*args: Any) -> Work:
            self.point()
            work = await handler(*args)
            self.point()
            if (write := work.write) is not None:

                async def written(tx: Executor) -> None:
                    self.point()
                    await write(tx)
                    self.point()

                work.write = written
            return work

        return handled


class _Time(datetime):
    """The engine's clock."""

    at: datetime

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return cls.at


class _Play:
    """The same steps for the engine and for the oracles."""

    def __init__(self, scope: Scope, base: datetime) -> None:
        self.scope = scope
        self.base = base
        self.engine = Engine(scope)
        self.oracles: dict[UUID, Oracle] = {}
        self.steps: list[Any] = []

    async def automate(self, plans: Sequence[Json]) -> None:
        for plan in plans:
            id = await automate(self.scope, _off_the_beat(plan))
            trigger = await self.scope.db.fetchval("SELECT trigger FROM automation WHERE id = $1", id)
            self.oracles[id] = Oracle(trigger)
        await self.scope.db.execute("UPDATE automation SET updated = $1 WHERE id = ANY($2)", self.base, [*self.oracles])

    async def step(self, step: Json, crashes: Sequence[int], *, race: bool) -> None:
        wall = step["wall"]
        self.steps.append((step, crashes, race))
        _Time.at = self.base + timedelta(microseconds=wall)
        if step["kind"] == "event":
            await self._send(step)
        else:
            # Something that just happened, so that no look lags behind: of a crash and a second try come two looks.
            await self._send(step | _just_now(wall))
            self._tick(wall)
        for after in crashes:
            dying = Engine(self.scope)
            faults = Faults(after)
            for shard in dying.shards:
                faults.into(shard)
            try:
                await _work(dying, step)
            except Crash:
                continue
        if race:
            await asyncio.gather(_work(self.engine, step), _work(Engine(self.scope), step))
        else:
            await _work(self.engine, step)

    async def _send(self, step: Json) -> None:
        wall, id = step["wall"], str(new_id())
        at = self.base + timedelta(microseconds=step["occurred"])
        event = {
            **{name: step[name] for name in ("event", "resource", "related")},
            "id": id,
            "occurred": at.isoformat(),
            "payload": {"number": step["number"]},
        }
        await send(self.scope, event)
        # What comes in now came in then; and whoever is not sure sends it again.
        await self.scope.db.execute("UPDATE event SET received = $2 WHERE id = $1", UUID(id), _Time.at)
        await send(self.scope, event)
        await send(self.scope, event)
        for oracle in self.oracles.values():
            oracle.see({**step, "id": id}, wall)

    def _tick(self, wall: int) -> None:
        for oracle in self.oracles.values():
            oracle.tick(wall, wall)
            oracle.sweep(wall - _BUFFER)

    async def compare(self) -> None:
        for id, oracle in self.oracles.items():
            said = [_told(firing) for firing in await firings(self.scope, id)]
            assert said == [_without_time(firing) for firing in oracle.fired], f"{oracle.root} {self.steps}"

    async def end(self) -> None:
        # The next stream begins at the same time of day: nothing may remember how late it became in this one.
        await self.scope.db.execute("DELETE FROM automation")
        await self.scope.db.execute("DELETE FROM event_consumer WHERE name = 'triggers'")


def _just_now(wall: int) -> Json:
    return {"event": "now", "resource": {"prefect.resource.id": "x.3"}, "related": [], "occurred": wall}


async def _work(engine: Engine, step: Json) -> None:
    await engine.drain()
    if step["kind"] != "event":
        await engine.look()


def _off_the_beat(trigger: Json) -> Json:
    """Steps are whole seconds apart. No two firings of children are to be exactly as far apart as their parent allows:
    all automations of a shard share the microseconds that keep firings in order."""
    if trigger["type"] == "event":
        return trigger
    within = None if trigger["within"] is None else trigger["within"] + 0.5
    return {**trigger, "within": within, "triggers": [_off_the_beat(child) for child in trigger["triggers"]]}


def _told(firing: Json) -> Json:
    return {
        "trigger": firing["trigger"]["id"],
        "labels": firing["triggering_labels"],
        "event": firing["triggering_event"] and firing["triggering_event"]["id"],
        "firings": [_told(child) for child in firing["triggering_firings"]],
    }


def _without_time(firing: Json) -> Json:
    told = {name: firing[name] for name in ("trigger", "labels", "event")}
    return {**told, "firings": [_without_time(child) for child in firing["firings"]]}


@settings(
    max_examples=20,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),  # every example takes seconds: none to spare for making it smaller
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    plans=st.lists(triggers(4), min_size=16, max_size=16),
    plan=steps(16),
    crashes=st.lists(st.lists(st.integers(0, 14), max_size=1), min_size=16, max_size=16),
    races=st.lists(st.booleans(), min_size=16, max_size=16),
)
async def test_whatever_crashes_every_firing_is_the_oracles(
    scope: Scope,
    monkeypatch: pytest.MonkeyPatch,
    plans: list[Json],
    plan: list[Json],
    crashes: list[list[int]],
    races: list[bool],
) -> None:
    monkeypatch.setattr(shards, "datetime", _Time)
    # Within the day, so that nothing is beyond its retention; the steps take less than an hour.
    _Time.at = base = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    play = _Play(scope, base)
    await play.automate(plans)
    try:
        await play.engine.drain()
        for step, deaths, race in zip(plan, crashes, races, strict=False):
            await play.step(step, deaths, race=race)
        await play.compare()
    finally:
        await play.end()
