"""Figures that cost much, given to everybody who asks the same.

Whoever asks while such a figure is being found waits for that one. And one that took long is given again for a time:
``REUSE`` times as long as it took, so that the same question keeps Postgres busy for at most a fraction of the time,
however many pages with a counter are open. That is for large figures, in which nobody misses what happened a moment
ago. What is cheap or small is always asked afresh: whoever has made a run finds it counted.

Other processes may be told what was found (``store``), for as long as it is given again here.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

__all__ = ["SharedAnswers", "Store"]

CHEAP_SECONDS = 0.1
REUSE = 20.0
LONGEST_SECONDS = 30.0

Ask = Callable[[], Awaitable[Any]]


class Store(Protocol):
    """Answers that processes tell each other. Neither method raises anything, nor takes long: without an answer from
    here it is asked for as if there were no store."""

    async def read(self, question: bytes) -> tuple[Any, float] | None:
        """An answer, and for how many seconds it may still be given."""

    async def write(self, question: bytes, answer: Any, seconds: float) -> None: ...


class SharedAnswers:
    """Answers by question, at most ``size`` of them. Answers are not copied: nobody may change one.

    ``is_large`` tells of an answer whether it may be some seconds old.
    """

    def __init__(
        self, is_large: Callable[[Any], bool], size: int = 200, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._is_large = is_large
        self._size = size
        self._clock = clock
        self._asked: dict[bytes, asyncio.Task[Any]] = {}
        self._known: OrderedDict[bytes, tuple[Any, float]] = OrderedDict()
        self._telling: set[asyncio.Task[None]] = set()
        self.store: Store | None = None

    async def get(self, question: bytes, ask: Ask) -> Any:
        """The answer of ``ask``, or a recent one. What it raises is raised for all who wait, and forgotten."""
        answer, until = self._known.get(question, (None, 0.0))
        if self._clock() < until:
            return answer
        task = self._asked.get(question)
        if task is not None:
            # One who goes away takes nothing from the others, who wait for the same.
            answer = await asyncio.shield(task)
            if self._is_large(answer):
                return answer
            # It may have been asked before what the caller did last. One that is asked from now on was not.
        return await asyncio.shield(self._asked.get(question) or self._begin(question, ask))

    def _begin(self, question: bytes, ask: Ask) -> asyncio.Task[Any]:
        task = self._asked[question] = asyncio.create_task(self._ask(question, ask))
        task.add_done_callback(_heard)
        return task

    async def _ask(self, question: bytes, ask: Ask) -> Any:
        try:
            self._known.pop(question, None)
            told = await self.store.read(question) if self.store else None
            if told is not None:
                self._keep(question, *told)
                return told[0]
            began = self._clock()
            answer = await ask()
            took = self._clock() - began
            if took >= CHEAP_SECONDS and self._is_large(answer):
                self._keep(question, answer, REUSE * took)
                self._tell(question, answer, REUSE * took)
            return answer
        finally:
            del self._asked[question]

    def _keep(self, question: bytes, answer: Any, seconds: float) -> None:
        self._known[question] = answer, self._clock() + min(seconds, LONGEST_SECONDS)
        if len(self._known) > self._size:
            self._known.popitem(last=False)

    def _tell(self, question: bytes, answer: Any, seconds: float) -> None:
        """Nobody waits for that."""
        if self.store is not None:
            task = asyncio.create_task(self.store.write(question, answer, min(seconds, LONGEST_SECONDS)))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)


def _heard(task: asyncio.Task[Any]) -> None:
    """An error nobody waits for any more is no news."""
    if not task.cancelled():
        task.exception()
