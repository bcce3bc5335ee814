"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class WaitTimeout(AssertionError):
    """The condition did not hold before its deadline."""


def eventually(
    predicate: Callable[[], T | None],
    description: str,
    timeout: float = 60.0,
    interval: float = 0.1,
    detail: Callable[[], object] | None = None,
) -> T:
    """Call `predicate` until it returns something truthy and return that.

    `timeout` and `interval` are seconds. A predicate that raises AssertionError counts as "not yet".
    Raises WaitTimeout with the description, the last value or error, and `detail()` if given.
    """
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            value = predicate()
            if value:
                return value
            last = value
        except AssertionError as error:
            last = error
        if time.monotonic() >= deadline:
            more = f"\n{detail()}" if detail else ""
            raise WaitTimeout(f"not within {timeout:g} s: {description}; last: {last!r}{more}")
        time.sleep(interval)
