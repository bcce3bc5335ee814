"""What a run's times say as of now: how long it has run, and how late it started or is.

The same two rules three times: for one row in hand, and as columns for sums over many rows.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Float, and_, case, cast, extract, func
from sqlalchemy.sql.elements import ColumnElement

from sempre.core.states import TERMINAL

__all__ = ["estimates", "lateness", "run_time"]

_TERMINAL = frozenset(type.value for type in TERMINAL)


def estimates(row: Any, now: datetime) -> tuple[float, float]:
    """Run time and lateness in seconds as of ``now``, from a row's or mapping's run columns."""
    seconds: float = row["total_run_time"]
    if row["state_type"] == "RUNNING":
        seconds += (now - row["state_timestamp"]).total_seconds()
    expected, start = row["expected_start_time"], row["start_time"]
    delta = 0.0
    if start is not None and expected is not None:
        delta = max(0.0, (start - expected).total_seconds())
    elif start is None and expected is not None and expected < now and row["state_type"] not in _TERMINAL:
        delta = (now - expected).total_seconds()
    return seconds, delta


def run_time(run: Any) -> ColumnElement[float]:
    """The estimated run time in seconds of the runs of a table (its columns), as of the statement's start."""
    running = _seconds(func.now() - run.state_timestamp)
    total: ColumnElement[float] = run.total_run_time
    return total + case((run.state_type == "RUNNING", running), else_=0.0)


def lateness(run: Any) -> ColumnElement[float]:
    """The estimated lateness in seconds of the runs of a table, as of the statement's start; 0 for those on time."""
    waits = and_(
        run.start_time.is_(None), run.expected_start_time < func.now(), run.state_type.not_in(sorted(_TERMINAL))
    )
    return case(
        (run.start_time > run.expected_start_time, _seconds(run.start_time - run.expected_start_time)),
        (waits, _seconds(func.now() - run.expected_start_time)),
        else_=0.0,
    )


def _seconds(span: ColumnElement[Any]) -> ColumnElement[float]:
    return cast(extract("epoch", span), Float)
