"""Evaluates automations: one consumer of the event log for each shard of them.

Processes share the shards: each takes what nobody works, and what others have too much of. Shards without automations
are not worked at all.
"""

import asyncio
import time
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from sempre.db.pool import Database
from sempre.db.waiting import wait_at_most
from sempre.server.events.consumer import pass_over, take_share
from sempre.server.scope import Scope
from sempre.server.triggers.definitions import CONSUMER, SHARDS
from sempre.server.triggers.known import KnownAutomations
from sempre.server.triggers.reading import RecentEvents
from sempre.server.triggers.shard import Shard

__all__ = ["run"]

# How long shards without automations stay where they are in the log; and how long a process without any sleeps if no
# doorbell tells of a new one.
_REST_SECONDS = 0.8
# How often what such shards have left behind is cleared away.
_TIDY_SECONDS = 60.0


class _Engine:
    """What a process keeps from round to round."""

    def __init__(self, scope: Scope) -> None:
        known, recent = KnownAutomations(), RecentEvents()
        self._scope = scope
        self._known = known
        self._shards = [Shard(scope, known, number, recent=recent) for number in range(SHARDS)]
        self._looked = 0.0
        self._tidied = time.monotonic()

    async def round(self, seconds: float) -> None:
        """Through what there is, then whenever the doorbell rings, for ``seconds``."""
        with self._scope.doorbell.listening("automations") as news:
            await self._pass_over_idle()
            working = [shard for shard in self._shards if not self._known.view(shard.number).is_empty]
            if not working:
                self._looked = 0.0
                await wait_at_most(_REST_SECONDS, news)
                return
        await take_share(self._scope.db, CONSUMER)
        await asyncio.gather(*(shard.run_for(seconds) for shard in working))

    async def _pass_over_idle(self) -> None:
        now = time.monotonic()
        if now - self._looked < _REST_SECONDS and not self._known.is_stale():
            return
        self._looked = now
        for shard in self._shards:
            await shard.consumer.exist()  # what is sent from now on is theirs to see
        idle = await pass_over(self._scope.db, CONSUMER, self._idle)
        if now - self._tidied > _TIDY_SECONDS:
            self._tidied = now
            for number in idle:
                await self._shards[number].look()

    async def _idle(self) -> Sequence[int]:
        await self._known.refresh(self._scope.db)
        return [number for number in range(SHARDS) if self._known.view(number).is_empty]


_engines: WeakKeyDictionary[Database, _Engine] = WeakKeyDictionary()


async def run(scope: Scope) -> None:
    """One round of ``loop_seconds``, or a longer one while there are no automations."""
    engine = _engines.get(scope.db)
    if engine is None:
        engine = _engines[scope.db] = _Engine(scope)
    await engine.round(scope.settings.services.triggers.loop_seconds)
