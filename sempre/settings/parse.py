"""From the text of an environment variable to a typed value. Every error says what would be accepted."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

TRUE = frozenset({"true", "t", "1", "yes", "y", "on"})
FALSE = frozenset({"false", "f", "0", "no", "n", "off"})

_UNIT_SECONDS = {
    "w": 604800.0, "week": 604800.0, "weeks": 604800.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0,
    "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "hours": 3600.0,
    "m": 60.0, "min": 60.0, "mins": 60.0, "minute": 60.0, "minutes": 60.0,
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0,
    "ms": 0.001,
}  # fmt: skip
_NUMBER_UNIT = re.compile(r"\s*,?\s*(\d+(?:\.\d+)?)\s*([a-z]+)", re.IGNORECASE)
_CLOCK = re.compile(r"^(?:(\d+)\s*d(?:ays?)?\s*,?\s*)?(\d+):(\d{1,2}):(\d{1,2}(?:\.\d+)?)$", re.IGNORECASE)
_ISO = re.compile(
    r"^P(?:(?P<w>\d+(?:\.\d+)?)W)?(?:(?P<d>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<h>\d+(?:\.\d+)?)H)?(?:(?P<m>\d+(?:\.\d+)?)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?$",
    re.IGNORECASE,
)


def parse_bool(text: str) -> bool:
    """`true/1/yes/on` and `false/0/no/off`, any case."""
    lowered = text.strip().lower()
    if lowered in TRUE:
        return True
    if lowered in FALSE:
        return False
    raise ValueError("is not a yes or no; write true or false")


def parse_int(text: str) -> int:
    """A whole number."""
    try:
        return int(text.strip().replace("_", ""))
    except ValueError:
        raise ValueError("is not a whole number") from None


def parse_float(text: str) -> float:
    """A finite number."""
    try:
        value = float(text.strip())
    except ValueError:
        raise ValueError("is not a number") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("is not a finite number")
    return value


def parse_duration(text: str) -> float:
    """Seconds from `90`, `0.5`, `15s`, `2h30m`, `2 days`, `1 day, 2:00:00`, `1:00:00` or ISO 8601 such as `P2D`."""
    stripped = text.strip()
    try:
        return parse_float(stripped)
    except ValueError:
        pass
    if clock := _CLOCK.match(stripped):
        days, hours, minutes, seconds = clock.groups()
        return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if len(stripped) > 1 and stripped[-1].upper() != "T" and (iso := _ISO.match(stripped)):
        return sum(float(value) * _UNIT_SECONDS[unit] for unit, value in iso.groupdict().items() if value)
    total, position = 0.0, 0
    while position < len(stripped):
        part = _NUMBER_UNIT.match(stripped, position)
        if part is None or part.group(2).lower() not in _UNIT_SECONDS:
            raise ValueError("is not a duration; write seconds (90), 15s, 2h30m, 2 days, 1:00:00 or P2D")
        total += float(part.group(1)) * _UNIT_SECONDS[part.group(2).lower()]
        position = part.end()
    if not stripped:
        raise ValueError("is empty")
    return total


def parse_list(text: str) -> tuple[str, ...]:
    """Comma separated words; a JSON array works too."""
    stripped = text.strip()
    if stripped.startswith("["):
        try:
            return tuple(str(item) for item in json.loads(stripped))
        except ValueError:
            raise ValueError("is not a JSON array") from None
    return tuple(part.strip() for part in stripped.split(",") if part.strip())


def parse_path(text: str) -> Path:
    """A path; `~` is the home directory."""
    return Path(text.strip()).expanduser()


def parse_text_map(text: str) -> dict[str, str]:
    """A JSON object from text to text."""
    return {str(key): str(value) for key, value in _json_object(text, '{"X-Team": "data"}').items()}


def parse_duration_map(text: str) -> dict[str, float]:
    """A JSON object from event name to duration."""
    raw = _json_object(text, '{"prefect.flow-run.heartbeat": "7 days"}')
    return {str(key): parse_duration(str(value)) for key, value in raw.items()}


def _json_object(text: str, example: str) -> dict[str, Any]:
    try:
        raw = json.loads(text)
    except ValueError:
        raise ValueError("is not JSON") from None
    if not isinstance(raw, dict):
        raise ValueError(f"is not a JSON object such as {example}")
    return raw


def parse_codes(text: str) -> tuple[int, ...]:
    """Comma separated HTTP status codes."""
    try:
        codes = tuple(int(part) for part in parse_list(text))
    except ValueError:
        raise ValueError("is not a comma list of status codes; write for instance 500,504") from None
    if not all(100 <= code <= 599 for code in codes):
        raise ValueError("names a number that is no HTTP status; they go from 100 to 599")
    return codes


def parse_log_level(text: str) -> str:
    """A logging level name."""
    upper = text.strip().upper()
    if upper == "WARN":
        upper = "WARNING"
    if upper not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
        raise ValueError("is not a log level; write DEBUG, INFO, WARNING, ERROR or CRITICAL")
    return upper


def as_text(value: Any) -> str:
    """An override or profile value as the text an environment variable would have carried."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return repr(value.total_seconds())
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value)
    return str(value)
