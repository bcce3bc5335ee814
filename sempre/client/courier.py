"""Who empties an outbox: in order, in batches, for as long as it takes."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sempre.client.outbox import Outbox

__all__ = ["Away", "Courier", "Load", "Unacceptable"]

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
_TRIES_ALONE = 3

log = logging.getLogger("sempre.client")


class Away(Exception):
    """Not now: the API cannot be reached, or cannot take it at the moment."""


class Unacceptable(Exception):
    """Something of what was brought will never be taken."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much is brought at once, and how many seconds the first of it waits for more."""

    count: int
    size: int
    linger: float


class Courier:
    """Brings what is in an outbox to where `deliver` takes it; a batch counts as delivered when that returns.

    While the API is away everything waits on disk. A record that is refused by itself, three times, is dropped and
    that said: it would hold up all that follow.
    """

    def __init__(self, outbox: Outbox, deliver: Callable[[list[bytes]], Awaitable[None]], load: Load) -> None:
        self.outbox = outbox
        self._deliver = deliver
        self._load = load
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()
        self._failures = 0
        self._refusals = 0

    async def run(self, *, until_empty: bool = False) -> None:
        """Deliver for ever, or until the outbox is empty."""
        while True:
            if not self.outbox:
                self._idle.set()
                self._hurry.clear()
                if until_empty:
                    return
                await self.outbox.wait()
            self._idle.clear()
            if self._load.linger and not self._failures:
                await self.outbox.wait_for_more(self._load.linger, self._load.size, self._hurry)
            await self._bring()

    async def _bring(self) -> None:
        count = 1 if self._refusals else self._load.count
        batch = self.outbox.take(count, self._load.size)
        if not batch:
            return
        try:
            await self._deliver(batch)
        except Away as error:
            await self._later(error)
        except Unacceptable as error:
            self._refused(batch, error)
        except Exception as error:  # a courier that ends is worse than one that stumbles
            log.exception("Delivering %s failed; it is tried again.", self.outbox.kind)
            await self._later(Away(str(error)))
        else:
            self.outbox.delivered(len(batch))
            self._refusals = 0
            if self._failures > 1:
                log.info("The API is back; %s are delivered again.", self.outbox.kind)
            self._failures = 0

    async def _later(self, error: Away) -> None:
        self._failures += 1
        if self._failures == 2:
            log.warning("The API cannot be reached (%s); %s wait in %s.",
                        error, self.outbox.kind, self.outbox.journal.directory)  # fmt: skip
        if self._failures >= 2:
            self.outbox.write_down()
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures - 1, 8))
        await asyncio.sleep(pause * (0.8 + 0.4 * random.random()))  # noqa: S311

    def _refused(self, batch: list[bytes], error: Unacceptable) -> None:
        self._refusals += 1
        if len(batch) == 1 and self._refusals > _TRIES_ALONE:
            log.error("One of the %s was refused and is dropped (%s): %s", self.outbox.kind, error, batch[0][:500])
            self.outbox.delivered(1)
            self._refusals = 0

    async def flush(self, seconds: float) -> bool:
        """Deliver what is there now without waiting for more; True if all of it was in `seconds`. Backstage only."""
        self._hurry.set()
        if not self.outbox:
            return True
        self._idle.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
