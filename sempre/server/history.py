"""Run histories: how many runs of each state were expected to start in each of a row of equal intervals."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, and_, func, literal, select
from sqlalchemy.dialects.postgresql import INTERVAL, TIMESTAMP

from sempre.db.pool import Executor
from sempre.schemas import lists
from sempre.server.errors import Unprocessable
from sempre.server.estimates import lateness, run_time
from sempre.server.filters.conditions import Condition
from sempre.server.lists import figures

__all__ = ["Intervals", "intervals_of", "read_history"]

MAX_INTERVALS = 500


@dataclass(frozen=True, slots=True)
class Intervals:
    """``count`` intervals of length ``step`` from ``start``, each without its end."""

    start: datetime
    step: timedelta
    count: int

    @property
    def end(self) -> datetime:
        return self.start + self.count * self.step


def intervals_of(asked: lists.Intervals) -> Intervals:
    """As many as it takes to cover the span asked for, at most the first 500; the last may reach past its end.

    Raises Unprocessable for a step below one second.
    """
    start, end, step = asked.history_start, asked.history_end, asked.history_interval_seconds
    if step < timedelta(seconds=1):
        raise Unprocessable("History interval must not be less than 1 second.")
    intervals = Intervals(start, step, min(max(0, -((start - end) // step)), MAX_INTERVALS))
    try:
        _ = intervals.end
    except OverflowError:
        raise Unprocessable("The last history interval must end before the year 10000.") from None
    return intervals


async def read_history(db: Executor, runs: Table, condition: Condition, intervals: Intervals) -> list[dict[str, Any]]:
    """The histories of the ``runs`` (flow or task runs) that satisfy ``condition``; intervals without runs included."""
    history = [
        {
            "interval_start": intervals.start + number * intervals.step,
            "interval_end": intervals.start + (number + 1) * intervals.step,
            "states": [],
        }
        for number in range(intervals.count)
    ]
    if not history:
        return []
    for row in await figures(db, _counted(runs, condition, intervals)):
        state = dict(row)
        number = (state.pop("interval_start") - intervals.start) // intervals.step
        history[number]["states"].append(state)
    return history


def _counted(runs: Table, condition: Condition, intervals: Intervals) -> Any:
    start = literal(intervals.start, TIMESTAMP(timezone=True))
    end = literal(intervals.end, TIMESTAMP(timezone=True))
    run = runs.c
    placed = (
        select(
            # Whole numbers inside: to divide seconds would be exact only as a numeric, which is slow.
            func.date_bin(literal(intervals.step, INTERVAL), run.expected_start_time, start).label("interval_start"),
            run.state_type,
            run.state_name,
            run_time(run).label("run_time"),
            lateness(run).label("lateness"),
        )
        .where(and_(condition, run.expected_start_time >= start, run.expected_start_time < end))
        .where(run.state_type.is_not(None))
        .subquery()
    )
    c = placed.c
    return select(
        c.interval_start,
        c.state_type,
        c.state_name,
        func.count().label("count_runs"),
        # Clocks of clients differ: a run may seem to have ended before it began.
        func.sum(func.greatest(c.run_time, 0.0)).label("sum_estimated_run_time"),
        func.sum(func.greatest(c.lateness, 0.0)).label("sum_estimated_lateness"),
    ).group_by(c.interval_start, c.state_type, c.state_name)
