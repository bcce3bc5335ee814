"""Cron lines: five fields, then optionally seconds, then optionally years."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from cronsim import CronSim, CronSimError

__all__ = ["cron_walls", "validate_cron"]

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# In the order of the engine: seconds first. (lowest, highest) value of a term; weekdays are brought to 0..6 here.
_BOUNDS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6), (1970, 2099))
_DAY, _MONTH, _WEEKDAY, _YEAR = 3, 4, 5, 6
_TERM = re.compile(r"(?P<first>\*|\?|[A-Z]{3}|\d+)(?:-(?P<last>[A-Z]{3}|\d+))?(?:/(?P<step>\d+))?")
_NTH = re.compile(r"(?P<day>[A-Z]{3}|\d)#(?P<nth>[1-5])")
_LAST_WEEKDAY = re.compile(r"L(?P<after>[A-Z]{3}|\d)|(?P<before>[A-Z]{3}|\d)L")


def validate_cron(cron: str) -> None:
    """Raise ``ValueError`` unless the line can be followed."""
    if any(field.upper() in ("R", "H") for field in cron.split()):
        raise ValueError(f'Random and Hashed expressions are unsupported, received: "{cron}"')
    try:
        _engine(_normalize(cron), _january(2020), day_or=True)
    except (CronSimError, ValueError) as error:
        raise ValueError(f'Invalid cron string: "{cron}"') from error


def cron_walls(cron: str, start: datetime, day_or: bool) -> Iterator[datetime]:
    """Matches in naive local time from ``start`` (inclusive, rounded up to the second) on, ascending, without end.

    Ends only where the calendar does, or when nothing matches for decades. Raises ``ValueError`` for a bad line.
    """
    if start.microsecond:
        start = start.replace(microsecond=0) + timedelta(seconds=1)
    line = _normalize(cron)
    if line.years is None:
        yield from _run(line, start, day_or)
        return
    for year in sorted(line.years):
        if year < start.year:
            continue
        for wall in _run(line, max(start, _january(year)), day_or):
            if wall.year != year:
                break
            yield wall


def _january(year: int) -> datetime:
    return datetime(year, 1, 1)  # noqa: DTZ001 - wall clock


class _Line(NamedTuple):
    fields: tuple[str, ...]  # six, seconds first
    both_days: bool  # both day of month and weekday restrict something
    years: frozenset[int] | None


def _run(line: _Line, start: datetime, day_or: bool) -> Iterator[datetime]:
    try:
        engine = _engine(line, start - timedelta(seconds=1), day_or)
        while True:
            yield next(engine)
    except (StopIteration, OverflowError):  # nothing matches for decades, or the calendar ends
        return


def _engine(line: _Line, after: datetime, day_or: bool) -> CronSim:
    engine = CronSim(" ".join(line.fields), after)
    # The engine derives this from how the fields are spelled (a leading star); we from what they allow.
    engine.day_and = not (day_or and line.both_days)
    return engine


def _normalize(cron: str) -> _Line:
    """Spell the line out as plain lists.

    The engine knows neither reversed ranges (``FRI-MON``), ``?``, ``L5``, nor years, wants the seconds first, and
    treats ``*/2`` as a field without restriction.
    """
    given = _ALIASES.get(cron.strip().lower(), cron).upper().split()
    if not 5 <= len(given) <= 7:
        raise ValueError("a cron line has five to seven fields")
    years = frozenset(int(year) for year in _field(_YEAR, given[6])) if len(given) == 7 else None
    second = given[5] if len(given) > 5 else "0"
    expanded = [_field(index, text) for index, text in enumerate((second, *given[:5]))]
    low, high = _BOUNDS[_DAY]
    limited = {
        _DAY: len(set(expanded[_DAY]) - {"L", "LW"}) <= high - low,
        _WEEKDAY: sum(text.isdigit() for text in expanded[_WEEKDAY]) < 7,
    }
    fields = tuple(",".join(values) if limited.get(index, True) else "*" for index, values in enumerate(expanded))
    return _Line(fields, all(limited.values()), years)


def _field(index: int, text: str) -> list[str]:
    values: dict[str, None] = {}
    for term in text.split(","):
        values.update(dict.fromkeys(_term(index, term)))
    return list(values)


def _term(index: int, term: str) -> list[str]:
    if index == _DAY and term in ("L", "LW"):
        return [term]
    if index == _WEEKDAY:
        if found := _NTH.fullmatch(term):
            return [f"{_value(index, found['day']) % 7}#{found['nth']}"]
        if found := _LAST_WEEKDAY.fullmatch(term):
            return [f"{_value(index, found['after'] or found['before']) % 7}L"]
    found = _TERM.fullmatch(term)
    if found is None:
        raise ValueError(f"cannot read {term!r}")
    low, high = _BOUNDS[index]
    step = int(found["step"] or 1)
    if step < 1:
        raise ValueError("a step must be positive")
    if found["first"] in ("*", "?"):
        if found["last"] or (found["first"] == "?" and index not in (_DAY, _WEEKDAY)):
            raise ValueError(f"cannot read {term!r}")
        first, last = low, high
    else:
        first = _value(index, found["first"])
        last = _value(index, found["last"]) if found["last"] else (high if found["step"] else first)
    if index == _WEEKDAY and first == 7 and not found["last"]:
        first, last = 0, (high if found["step"] else 0)
    if first > last:  # a range over the end of the week, the year, the hour
        last += high - low + 1
    return [str(low + (value - low) % (high - low + 1)) for value in range(first, last + 1, step)]


def _value(index: int, text: str) -> int:
    if index == _MONTH and text in _MONTHS:
        return _MONTHS.index(text) + 1
    if index == _WEEKDAY and text in _WEEKDAYS:
        return _WEEKDAYS.index(text)
    low, high = _BOUNDS[index]
    value = int(text)
    if not low <= value <= (7 if index == _WEEKDAY else high):
        raise ValueError(f"{value} is out of range")
    return value
