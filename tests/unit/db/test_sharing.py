"""Expensive answers are shared: one question at a time, and again for a while, in proportion to what it cost."""

from __future__ import annotations

import asyncio

import pytest

from sempre.db.sharing import CHEAP_SECONDS, LONGEST_SECONDS, REUSE, SharedAnswers
from tests.support.scopes import until


class Oracle:
    """Answers with a number that grows, after as long as it is told to take."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.takes = 0.0
        self.asked = 0
        self.gate: asyncio.Event | None = None
        self.error: Exception | None = None
        self.large = True
        self.answers = SharedAnswers(lambda _: self.large, size=2, clock=lambda: self.now)

    async def get(self, question: str = "how many") -> int:
        number: int = await self.answers.get(question.encode(), self._answer)
        return number

    async def _answer(self) -> int:
        self.asked += 1
        number = self.asked
        if self.gate:
            await self.gate.wait()
        self.now += self.takes
        if self.error:
            raise self.error
        return number


@pytest.fixture
def oracle() -> Oracle:
    return Oracle()


async def test_what_is_cheap_is_asked_every_time(oracle: Oracle) -> None:
    oracle.takes = CHEAP_SECONDS * 0.9
    assert [await oracle.get() for _ in range(3)] == [1, 2, 3]


async def test_what_is_small_is_asked_every_time(oracle: Oracle) -> None:
    oracle.takes, oracle.large = 10.0, False
    assert [await oracle.get() for _ in range(3)] == [1, 2, 3]


async def test_those_who_ask_for_what_is_small_get_what_was_asked_after_they_did(oracle: Oracle) -> None:
    oracle.gate, oracle.large = asyncio.Event(), False
    first = asyncio.create_task(oracle.get())
    await until(lambda: oracle.asked == 1, "the first is asked")
    later = [asyncio.create_task(oracle.get()) for _ in range(3)]
    await until(lambda: not any(task.done() for task in later), "the others wait")
    oracle.gate.set()
    assert await first == 1
    assert await asyncio.gather(*later) == [2, 2, 2]


async def test_what_is_expensive_holds_in_proportion_to_its_cost(oracle: Oracle) -> None:
    oracle.takes = 0.5
    assert await oracle.get() == 1
    oracle.now += REUSE * 0.5 - 0.01
    assert await oracle.get() == 1
    oracle.now += 0.02
    assert await oracle.get() == 2


async def test_no_answer_is_older_than_the_limit(oracle: Oracle) -> None:
    oracle.takes = 100 * LONGEST_SECONDS
    assert await oracle.get() == 1
    oracle.now += LONGEST_SECONDS - 0.01
    assert await oracle.get() == 1
    oracle.now += 0.02
    assert await oracle.get() == 2


async def test_those_who_ask_meanwhile_get_the_same_answer(oracle: Oracle) -> None:
    oracle.gate = asyncio.Event()
    asking = [asyncio.create_task(oracle.get()) for _ in range(5)]
    other = asyncio.create_task(oracle.get("another question"))
    await until(lambda: oracle.asked >= 2, "both questions are asked")
    oracle.gate.set()
    assert await asyncio.gather(*asking) == [1] * 5
    assert await other == 2
    assert await oracle.get() == 3


async def test_one_who_goes_away_takes_nothing_from_the_others(oracle: Oracle) -> None:
    oracle.gate = asyncio.Event()
    first = asyncio.create_task(oracle.get())
    second = asyncio.create_task(oracle.get())
    await until(lambda: oracle.asked >= 1, "the question is asked")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    oracle.gate.set()
    assert await second == 1


async def test_an_error_is_everybodys_and_is_forgotten(oracle: Oracle) -> None:
    oracle.takes, oracle.error = 1.0, ValueError("no")
    for outcome in await asyncio.gather(oracle.get(), oracle.get(), return_exceptions=True):
        assert isinstance(outcome, ValueError)
    assert oracle.asked == 1
    oracle.error = None
    assert await oracle.get() == 2


async def test_only_so_many_answers_are_kept(oracle: Oracle) -> None:
    oracle.takes = 0.5
    assert [await oracle.get(question) for question in ("a", "b", "c")] == [1, 2, 3]
    assert await oracle.get("c") == 3
    assert await oracle.get("b") == 2
    assert await oracle.get("a") == 4
