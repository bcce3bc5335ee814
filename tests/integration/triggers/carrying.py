"""Automations that owe actions, and runners that carry them out, as tests of runners need them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from sempre.server.actions import perform as perform_module
from sempre.server.actions.invocation import Invocation
from sempre.server.actions.runner import Runner
from tests.integration.triggers.engine import Engine, automate, send
from tests.support.events import an_event
from tests.support.rooms import Rooms

_ANY = {"type": "event", "posture": "Reactive", "expect": ["it.happened"], "threshold": 1, "within": 0}
Json = dict[str, Any]


async def fire(rooms: Rooms, *actions: Json, events: int = 1, about: Json | None = None) -> UUID:
    """An automation that owes these actions. Returns its id."""
    id = await automate(rooms.scope, _ANY, *actions)
    engine = Engine(rooms.scope)
    await engine.drain()
    await send(rooms.scope, *(an_event(related=[about] if about else []) for _ in range(events)))
    await engine.drain()
    return id


async def outcomes(rooms: Rooms) -> list[Json]:
    rows = await rooms.scope.db.fetch(
        """
        SELECT event, payload FROM event
        WHERE event IN ('prefect.automation.action.executed', 'prefect.automation.action.failed') ORDER BY seq
        """
    )
    return [dict(row) for row in rows]


async def rows_of(rooms: Rooms) -> list[Json]:
    rows = await rooms.scope.db.fetch("SELECT * FROM automation_action ORDER BY firing_id, action_index")
    return [dict(row) for row in rows]


async def lapse(rooms: Rooms) -> None:
    """As if every claim had run out."""
    await rooms.scope.db.execute(
        "UPDATE automation_action SET due = now(), claimed_until = now() WHERE status = 'running'"
    )


@asynccontextmanager
async def working(*runners: Runner) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(runner.run_for(60)) for runner in runners]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(runner.stop(0) for runner in runners))


async def ended(rooms: Rooms, count: int) -> bool:
    return len([row for row in await rows_of(rooms) if row["status"] in ("done", "failed")]) == count


def performing(monkeypatch: pytest.MonkeyPatch, perform: Callable[[Invocation], Awaitable[None]]) -> None:
    """Let ``do-nothing`` do this, and ``call-webhook``, too."""
    for type in ("do-nothing", "call-webhook"):
        monkeypatch.setitem(perform_module._BY_TYPE, type, perform)
