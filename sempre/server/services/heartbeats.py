"""Listens to the heartbeats of flow runs, and marks runs Crashed whose heartbeats stopped."""

import asyncio
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from sempre.db.pool import Database
from sempre.server.events.consumer import Consumer
from sempre.server.heartbeats.presence import present
from sempre.server.heartbeats.recording import consumer
from sempre.server.heartbeats.silence import crash_silent_runs
from sempre.server.scope import Scope

__all__ = ["judge", "run"]

# Shorter than the lease of a consumer, so that one replica listens all the time.
_LISTEN_SECONDS = 1.0


@dataclass
class _Kept:
    listening: Consumer
    judged: float | None = None  # the loop's time


# What a process keeps from round to round, for as long as its pool lives.
_kept: WeakKeyDictionary[Database, _Kept] = WeakKeyDictionary()


async def run(scope: Scope) -> None:
    """One round: listen for a moment, and judge every ``loop_seconds``."""
    kept = _kept.get(scope.db)
    if kept is None:
        kept = _kept[scope.db] = _Kept(consumer(scope))
    interval = scope.settings.services.heartbeats.loop_seconds
    await kept.listening.run_for(min(_LISTEN_SECONDS, interval))
    now = asyncio.get_running_loop().time()
    if kept.listening.held and (kept.judged is None or now - kept.judged >= interval):
        kept.judged = now
        await judge(scope, kept.listening)


async def judge(scope: Scope, listening: Consumer) -> None:
    """Mark runs Crashed that were silent for too long while somebody took events in, once all of those were read."""
    here = await present(scope.db)
    if here is None:
        return
    _, is_all_heard = await listening.step()
    if is_all_heard:
        await crash_silent_runs(scope, here)
