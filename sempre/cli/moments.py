"""Times and durations as people read and write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from sempre.cli.errors import CliError

_UNITS = (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0))
_WRITTEN = {
    "d": 86400, "day": 86400, "days": 86400, "w": 604800, "week": 604800, "weeks": 604800,
    "h": 3600, "hour": 3600, "hours": 3600, "hr": 3600, "hrs": 3600,
    "m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
    "": 1, "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
}  # fmt: skip
_PART = re.compile(r"\s*(?:and\s+|,\s*)?(\d+(?:\.\d+)?|an?\b)\s*([a-z]*)")


def parse_moment(text: str) -> datetime:
    """An API's timestamp. Python 3.11 reads every form of ISO 8601 that servers write."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def duration(seconds: float) -> str:
    """`3 minutes`, `1 hour`; the largest unit that is full."""
    for unit, size in _UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}" + ("s" if count != 1 else "")
    return "0 seconds"


def ago(text: str | None, now: datetime | None = None) -> str:
    """`3 minutes ago` or `in 3 minutes`; empty for no time at all."""
    if not text:
        return ""
    seconds = ((now or datetime.now(UTC)) - parse_moment(text)).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{duration(seconds)} ago" if seconds > 0 else f"in {duration(-seconds)}"


def local_time(text: str) -> str:
    """A timestamp in the zone of whoever reads it, to the millisecond."""
    return parse_moment(text).astimezone().isoformat(" ", "milliseconds")[:23]


def parse_duration(text: str) -> timedelta:
    """`90`, `1h 30m`, `in 2 hours`, `1 day and 3 hours`, `1:30:00`. Raises CliError."""
    rest = text.strip().lower().removeprefix("in ").strip()
    if match := re.fullmatch(r"(\d+):([0-5]\d)(?::([0-5]\d))?", rest):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return timedelta(hours=hours, minutes=minutes, seconds=seconds)
    total, at = 0.0, 0
    while at < len(rest):
        match = _PART.match(rest, at)
        if match is None or match.end() == at or match[2] not in _WRITTEN:
            raise CliError(f"{text!r} is no duration; write for instance '90', '1h 30m' or '2 hours'.")
        total += (1.0 if match[1].startswith("a") else float(match[1])) * _WRITTEN[match[2]]
        at = match.end()
    if not rest:
        raise CliError("The duration is empty; write for instance '90', '1h 30m' or '2 hours'.")
    return timedelta(seconds=total)


def parse_time(text: str, now: datetime | None = None) -> datetime:
    """`now`, `tomorrow 9:00`, `14:30`, `2026-12-01 09:00`, `2026-12-01T09:00:00+01:00`, `in 2 hours`. A time without a
    zone is meant in the zone of this machine. Raises CliError."""
    from dateutil.parser import ParserError, parse

    present = (now or datetime.now(UTC)).astimezone()
    words = text.strip().lower()
    if words == "now":
        return present
    if words.startswith("in "):
        return present + parse_duration(words)
    day = present.replace(hour=0, minute=0, second=0, microsecond=0)
    for name, days in (("today", 0), ("tomorrow", 1)):
        if words.startswith(name):
            day, words = day + timedelta(days=days), words.removeprefix(name).strip().removeprefix("at ").strip()
    try:
        moment: datetime = parse(words, default=day.replace(tzinfo=None)) if words else day
    except (ParserError, OverflowError):
        raise CliError(f"{text!r} is no time; write for instance '2026-12-01 09:00' or 'tomorrow 9:00'.") from None
    return moment if moment.tzinfo else moment.astimezone()
