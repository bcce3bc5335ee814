"""When to look for work: when told that there is some, and every so often; and how much of it to take."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence

from sempre.client.errors import ClientError
from sempre.core.dispatching import is_stale, next_pause
from sempre.schemas.flow_runs import FlowRun
from sempre.sdk.serving.keeper import RunKeeper

__all__ = ["Dispatcher"]

Due = Callable[[int | None], Awaitable[Sequence[FlowRun]]]
log = logging.getLogger("sempre.serving")


class Dispatcher:
    """Gives the keeper what `due(most)` returns, at most `limit` runs at a time. Belongs to the player's loop."""

    def __init__(self, due: Due, *, limit: int | None, interval: float) -> None:
        self._due = due
        self._limit = limit
        self._interval = interval
        self._loop = asyncio.get_running_loop()
        self._wanted = asyncio.Event()
        self._full = False
        self._looked = time.monotonic()
        self._stopped = False

    def wake(self) -> None:
        """Look now. From any thread."""
        self._loop.call_soon_threadsafe(self._wanted.set)

    def freed(self) -> None:
        """A run has ended: if there was no room, there is now."""
        if self._full:
            self._wanted.set()

    def stop(self) -> None:
        """Look no more. From any thread."""
        self._stopped = True
        self.wake()

    @property
    def is_stale(self) -> bool:
        """Whether it should have looked long ago."""
        return is_stale(time.monotonic() - self._looked, self._interval)

    async def run(self, keeper: RunKeeper, *, once: bool = False) -> None:
        """Until it is stopped; `once`: one look."""
        failures = 0
        while not self._stopped:
            self._wanted.clear()
            self._looked = time.monotonic()
            try:
                await self._look(keeper)
                failures = 0
            except Exception as error:
                failures += 1
                known = isinstance(error, ClientError)
                log.warning("Looking for work failed (%d in a row): %s", failures, error, exc_info=not known)
            if once:
                return
            await self._rest(next_pause(self._interval, failures, random.random()))  # noqa: S311

    async def _look(self, keeper: RunKeeper) -> None:
        room = None if self._limit is None else max(0, self._limit - len(keeper.taken))
        # Without room too: it is by its looks that the server knows who serves a queue.
        asked = None if room is None else max(1, room)
        runs = await self._due(asked)
        self._full = room is not None and len(runs) >= room
        for run in runs if room is None else runs[:room]:
            keeper.take(run)

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._wanted.wait(), seconds)
        except TimeoutError:
            return
