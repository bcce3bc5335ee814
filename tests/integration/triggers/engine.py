"""Automations, events for them, and the engine that evaluates them, in the test's own process."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from sempre.db.pool import Executor
from sempre.schemas.automations import AutomationCreate
from sempre.schemas.events import Event
from sempre.schemas.triggers import with_new_ids
from sempre.server.automations import queries
from sempre.server.events.append import append, encode
from sempre.server.scope import Scope
from sempre.server.triggers.definitions import SHARDS
from sempre.server.triggers.known import KnownAutomations
from sempre.server.triggers.reading import RecentEvents
from sempre.server.triggers.shard import Shard

Json = dict[str, Any]
_EVENTS = TypeAdapter(list[Event])


class Engine:
    """A process of the engine: all its shards, which work when told to."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        known = KnownAutomations()
        recent = RecentEvents()
        self.shards = [Shard(scope, known, number, False, recent) for number in range(SHARDS)]

    async def drain(self) -> None:
        """Everything that is in the log."""
        for shard in self.shards:
            await shard.consumer.drain()

    async def look(self) -> None:
        """Everything that is due."""
        for shard in self.shards:
            await shard.look()


async def automate(scope: Scope, trigger: Json, *actions: Json, **fields: Any) -> UUID:
    """Store an automation. Returns its id."""
    created = AutomationCreate.model_validate(
        {"name": "an automation", "trigger": trigger, "actions": actions, **fields}
    )
    created.trigger = with_new_ids(created.trigger)
    values = {name: created.model_dump(mode="json")[name] for name in queries.FIELDS}
    row = await queries.create(scope.db, scope.workspace_id, values)
    assert row is not None
    id: UUID = row["id"]
    return id


async def send(scope: Scope, *events: Json, db: Executor | None = None) -> None:
    """Append events as clients send them, in a transaction (``db``) if there is one."""
    encoded = [
        encode(event, scope.workspace_id, scope.settings.events.maximum_size_bytes)
        for event in _EVENTS.validate_python(list(events))
    ]
    await append(db or scope.db, [event for event in encoded if event is not None])


async def firings(scope: Scope, automation_id: UUID) -> list[Json]:
    """The firings of an automation, in order."""
    rows = await scope.db.fetch(
        "SELECT firing FROM automation_firing WHERE automation_id = $1 ORDER BY fired_at, id", automation_id
    )
    return [row["firing"] for row in rows]
