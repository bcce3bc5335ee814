"""Evaluates automations: one consumer of the event log for each shard of them."""

import asyncio
from weakref import WeakKeyDictionary

from sempre.db.pool import Database
from sempre.server.scope import Scope
from sempre.server.triggers.definitions import SHARDS
from sempre.server.triggers.known import KnownAutomations
from sempre.server.triggers.shard import Shard

__all__ = ["run"]

# What a process keeps from round to round, for as long as its pool lives: the automations it has read.
_shards: WeakKeyDictionary[Database, tuple[Shard, ...]] = WeakKeyDictionary()


async def run(scope: Scope) -> None:
    """One round of ``loop_seconds``: through what there is, then whenever the doorbell rings."""
    shards = _shards.get(scope.db)
    if shards is None:
        known = KnownAutomations()
        shards = _shards[scope.db] = tuple(Shard(scope, known, number) for number in range(SHARDS))
    await asyncio.gather(*(shard.run_for(scope.settings.services.triggers.loop_seconds) for shard in shards))
