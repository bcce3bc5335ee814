"""Processes that die, freeze and lose their connections, at moments drawn from a seed."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable

from tests.support.processes import ManagedProcess
from tests.support.servers import Ensemble, SempreServer, ServicesProcess

_GAP = (0.5, 3.0)
_DEAD = (0.1, 3.0)
_FROZEN = (1.0, 6.0)  # services are fenced off after 3 s


class Faults:
    """Two hands: one on the API servers, one on the services processes, each holding down at most one at a time."""

    def __init__(self, ensemble: Ensemble, draw: random.Random) -> None:
        self.ensemble = ensemble
        self.counts: Counter[str] = Counter()
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        seeds = draw.random(), draw.random()
        self._hands = [
            threading.Thread(target=self._hand, args=("api", self._api, random.Random(seeds[0])), daemon=True),
            threading.Thread(
                target=self._hand, args=("services", self._services, random.Random(seeds[1])), daemon=True
            ),
        ]

    def start(self) -> Faults:
        for hand in self._hands:
            hand.start()
        return self

    def finish(self) -> None:
        """Stop doing harm; everything runs again when this returns."""
        self._stop.set()
        for hand in self._hands:
            hand.join(90)
            assert not hand.is_alive(), "a fault did not end"
        if self._failures:
            raise self._failures[0]

    def _hand(self, kind: str, strike: Callable[[random.Random], str], draw: random.Random) -> None:
        try:
            while not self._stop.wait(draw.uniform(*_GAP)):
                self.counts[f"{kind} {strike(draw)}"] += 1
        except BaseException as error:
            self._failures.append(error)

    def _api(self, draw: random.Random) -> str:
        index = draw.randrange(len(self.ensemble.servers))
        if draw.random() < 0.2:
            self.ensemble.proxy.cut(index)
            return "cut"
        return self._strike(self.ensemble.servers[index], draw)

    def _services(self, draw: random.Random) -> str:
        return self._strike(draw.choice(self.ensemble.services), draw)

    def _strike(self, victim: SempreServer | ServicesProcess, draw: random.Random) -> str:
        if draw.random() < 0.5:
            victim.kill()
            self._stop.wait(draw.uniform(*_DEAD))
            victim.start()
            return "kill -9"
        process = victim.process
        assert isinstance(process, ManagedProcess)
        process.pause()
        self._stop.wait(draw.uniform(*_FROZEN))
        process.resume()
        return "freeze"
