"""Figures that cost much, given to everybody who asks the same.

Whoever asks while such a figure is being found waits for that one. And one that took long is given again for a time:
``REUSE`` times as long as it took, so that the same question keeps Postgres busy for at most a fraction of the time,
however many pages with a counter are open. That is for large figures, in which nobody misses what happened a moment
ago. What is cheap or small is always asked afresh: whoever has made a run finds it counted.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

__all__ = ["SharedAnswers"]

CHEAP_SECONDS = 0.1
REUSE = 20.0
LONGEST_SECONDS = 30.0

Ask = Callable[[], Awaitable[Any]]


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
        self._asked: dict[Hashable, asyncio.Task[Any]] = {}
        self._known: OrderedDict[Hashable, tuple[Any, float]] = OrderedDict()

    async def get(self, question: Hashable, ask: Ask) -> Any:
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

    def _begin(self, question: Hashable, ask: Ask) -> asyncio.Task[Any]:
        task = self._asked[question] = asyncio.create_task(self._ask(question, ask))
        task.add_done_callback(_heard)
        return task

    async def _ask(self, question: Hashable, ask: Ask) -> Any:
        began = self._clock()
        try:
            answer = await ask()
            self._keep(question, answer, self._clock() - began)
            return answer
        finally:
            del self._asked[question]

    def _keep(self, question: Hashable, answer: Any, seconds: float) -> None:
        self._known.pop(question, None)
        if seconds < CHEAP_SECONDS or not self._is_large(answer):
            return
        self._known[question] = answer, self._clock() + min(REUSE * seconds, LONGEST_SECONDS)
        if len(self._known) > self._size:
            self._known.popitem(last=False)


def _heard(task: asyncio.Task[Any]) -> None:
    """An error nobody waits for any more is no news."""
    if not task.cancelled():
        task.exception()
