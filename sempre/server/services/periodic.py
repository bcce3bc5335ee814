"""The loop of all periodic services of a process: takes the turns that are due and begins their rounds."""

import asyncio
import logging
from collections.abc import Sequence

from sempre.db.errors import DatabaseUnavailable
from sempre.db.waiting import wait_at_most
from sempre.server.coordination.docket import DocketCalls
from sempre.server.coordination.turns import Coordination, Wanted, pause
from sempre.server.scope import Scope
from sempre.server.services.pulse import Pulse
from sempre.server.services.rounds import Rounds
from sempre.server.services.service import Service

__all__ = ["Periodic"]

log = logging.getLogger("sempre.services")

_LOOK_SECONDS = 2.0  # longest sleep: a turn given back, or of somebody who died, is noticed within this time
_AWAY_SECONDS = 1.0  # between two looks at a database that is away
_BUSY_SECONDS = 2.0  # after which to call again for a service that is in a round here
_SHORTEST_SECONDS = 0.05  # between two calls for one service

Calls = dict[str, asyncio.Future[float]]


class Periodic:
    """``docket``: calls services when they fall due, where one is configured."""

    def __init__(self, scope: Scope, services: Sequence[Service], turns: Coordination, pulse: Pulse) -> None:
        self._services = services
        self._intervals = {each.name: each.interval(scope.settings) for each in services}
        self._turns = turns
        self._pulse = pulse
        self._wake = asyncio.Event()
        self._called: Calls = {}
        self._ended = False
        self.rounds = Rounds(scope, turns, pulse, self._wake.set)
        self.docket: DocketCalls | None = None
        docket = scope.settings.docket
        if docket.url is not None and scope.settings.services.coordination_enabled:
            self.docket = DocketCalls(docket, scope.installation, self._intervals, self.call)

    async def run(self) -> None:
        """Until ``end``. What begins goes on by itself (``rounds``)."""
        while not self._ended:
            self._wake.clear()
            called, self._called = self._called, {}
            seconds = _AWAY_SECONDS
            try:
                seconds = await self._look(called)
            except DatabaseUnavailable as away:
                log.warning("the services wait for the database: %s", away)
            finally:
                _answer(called, {})
            await wait_at_most(seconds, self._wake)

    def end(self) -> None:
        """Take no more turns. Who cancels ``run`` instead may leave one behind that was just taken."""
        self._ended = True
        self._wake.set()

    async def call(self, service: str) -> float:
        """Take the turn of ``service`` if it is due. Returns in how many seconds to call for it again."""
        future = self._called.setdefault(service, asyncio.get_running_loop().create_future())
        self._wake.set()
        return await asyncio.shield(future)

    async def _look(self, called: Calls) -> float:
        """Take what is due and begin with it. Returns in how many seconds to look again."""
        resting = {each.name: each for each in self._services if each not in self.rounds}
        if not resting:
            return _LOOK_SECONDS
        for name in resting:
            self._pulse.waiting(name)
        grace = self.docket.grace if self.docket else 0.0
        wanted = [Wanted(name, self._intervals[name], 0.0 if name in called else grace) for name in resting]
        answer = await self._turns.take(wanted)
        for turn in answer.taken:
            self.rounds.begin(resting[turn.service], turn)
            if self.docket and turn.service not in called:
                self.docket.missed(turn.service)
        for name in answer.waits:
            self._pulse.completed(name)
        _answer(called, answer.waits | {turn.service: self._intervals[turn.service] for turn in answer.taken})
        return pause((wait + grace for wait in answer.waits.values()), _LOOK_SECONDS)


def _answer(called: Calls, waits: dict[str, float]) -> None:
    for service, future in called.items():
        if not future.done():
            future.set_result(max(_SHORTEST_SECONDS, waits.get(service, _BUSY_SECONDS)))
