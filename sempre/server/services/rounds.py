"""The rounds of periodic services in flight in this process. Each has its turn by a lease that is renewed meanwhile."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from sempre.db.errors import DatabaseUnavailable
from sempre.server.coordination.turns import Coordination, Turn, patience
from sempre.server.scope import Scope
from sempre.server.services.pulse import Pulse
from sempre.server.services.service import Service

__all__ = ["Rounds", "in_words"]

log = logging.getLogger("sempre.services")

RENEW_SECONDS = 2.0
_AGAIN_SECONDS = 10.0  # at most, until a round that the database's absence ended is repeated
_CUT_SECONDS = 2.0  # for a round that was cancelled to end
_RELEASE_SECONDS = 1.0  # to give turns back; not given back they run out
_LONGEST_ERROR = 2000


@dataclass(frozen=True, slots=True)
class _Round:
    service: Service
    interval: float
    turn: Turn


class Rounds:
    """``ended`` is called after each round."""

    def __init__(self, scope: Scope, turns: Coordination, pulse: Pulse, ended: Callable[[], None]) -> None:
        self._scope = scope
        self._turns = turns
        self._pulse = pulse
        self._ended = ended
        self._running: dict[str, tuple[asyncio.Task[None], _Round]] = {}
        self._failures: dict[str, int] = {}

    def __contains__(self, service: Service) -> bool:
        return service.name in self._running

    def begin(self, service: Service, turn: Turn) -> None:
        self._pulse.begun(service.name, service.longest_round)
        begun = _Round(service, service.interval(self._scope.settings), turn)
        task = asyncio.create_task(self._run(begun), name=f"round-{service.name}")
        self._running[service.name] = (task, begun)

    async def keep(self) -> None:
        """Renew the turns of all rounds, for ever."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if turns := [begun.turn for _, begun in self._running.values()]:
                with contextlib.suppress(DatabaseUnavailable):
                    await self._turns.renew(turns)

    async def drain(self, seconds: float) -> None:
        """Let the rounds end for so long; cut the rest and give its turns back."""
        if self._running:
            await asyncio.wait([task for task, _ in self._running.values()], timeout=seconds)
        cut = dict(self._running)
        for task, _ in cut.values():
            task.cancel()
        if cut:
            await asyncio.wait([task for task, _ in cut.values()], timeout=_CUT_SECONDS)
            with contextlib.suppress(DatabaseUnavailable, TimeoutError):
                async with asyncio.timeout(_RELEASE_SECONDS):
                    await self._turns.release([begun.turn for _, begun in cut.values()])

    async def _run(self, begun: _Round) -> None:
        try:
            await self._round(begun)
        finally:
            del self._running[begun.service.name]
            self._pulse.completed(begun.service.name)
            self._ended()

    async def _round(self, begun: _Round) -> None:
        """Every failure is recorded; those that patience may help are answered with it."""
        service, interval = begun.service, begun.interval
        began = time.monotonic()
        error: str | None = None
        extra = 0.0
        try:
            async with asyncio.timeout(service.longest_round):
                await service.run(self._scope)
            self._failures.pop(service.name, None)
        except DatabaseUnavailable as away:
            log.warning("%s waits for the database: %s", service.name, away)
            error = in_words(away)
            interval = min(interval, _AGAIN_SECONDS)
        except Exception as failure:
            log.exception("%s failed", service.name)
            error = in_words(failure)
            failures = self._failures[service.name] = self._failures.get(service.name, 0) + 1
            extra = patience(failures, interval)
        seconds = time.monotonic() - began
        try:
            turn, turns = begun.turn, self._turns
            if not await turns.finish(turn, interval=interval, patience=extra, seconds=seconds, error=error):
                log.warning("%s was taken over by another replica during a round of %.1f s", service.name, seconds)
        except DatabaseUnavailable as away:
            log.warning("the end of a round of %s is not written down, so it is repeated: %s", service.name, away)


def in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
