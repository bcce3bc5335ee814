"""How many runs were under way at once, by the server's own times."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

__all__ = ["most_at_once"]


class Timed(Protocol):
    """What began and ended."""

    @property
    def start_time(self) -> datetime | None: ...
    @property
    def end_time(self) -> datetime | None: ...


def most_at_once(runs: Iterable[Timed]) -> int:
    """The greatest number of runs between their start and end at one moment; one that ends as another starts does not
    count."""
    changes = [
        change
        for run in runs
        if run.start_time is not None and run.end_time is not None
        for change in ((run.start_time, 1), (run.end_time, -1))
    ]
    now = most = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most
