"""What type checkers make of decorated functions. mypy reads this file; running it only shows that it can run."""

from __future__ import annotations

import asyncio
from typing import Any, assert_type

from sempre import State, flow, task
from sempre.futures import PrefectFuture, PrefectFutureList
from tests.unit.sdk.fakes import FakeWorld


@task
def double(x: int) -> str:
    return str(2 * x)


@task(retries=2, tags=["a"])
async def later(x: int) -> float:
    return x / 2


@flow
def plain(a: int, b: str = "b") -> int:
    return a


@flow(name="named", retries=1, log_prints=True)
async def waited(a: int) -> str:
    return str(a)


def test_types(world: FakeWorld) -> None:
    @flow
    def inside() -> None:
        assert_type(double(1), str)
        assert_type(double(1, return_state=True), State[str])
        assert_type(double.submit(1), PrefectFuture[str])
        assert_type(double.submit(1).result(), str)
        assert_type(double.map([1, 2]), PrefectFutureList[str])
        assert_type(double.map([1, 2]).result(), list[str])
        assert_type(later.submit(1), PrefectFuture[float])
        assert_type(double.with_options(retries=3)(1), str)

    async def loop() -> None:
        assert_type(await later(1), float)
        assert_type(await waited(1), str)
        assert_type(await waited(1, return_state=True), State[str])

    inside()
    asyncio.run(loop())
    assert assert_type(plain(1, b="c"), int) == 1
    assert assert_type(plain(1, return_state=True), State[int]).is_completed()
    assert assert_type(plain.fn(1), int) == 1


def wrong() -> Any:  # never called: each line must be an error to a type checker
    double("a", y=3)  # type: ignore[call-overload]
    plain()  # type: ignore[call-overload]
    task(no_such_option=1)  # type: ignore[call-overload]
