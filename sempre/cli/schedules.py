"""Schedules in words, and as commands describe them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sempre.cli.errors import CliError
from sempre.cli.moments import duration, parse_duration, parse_time
from sempre.cli.rest import Json


def schedule_in_words(item: Json) -> str:
    """`every 2 hours`, `cron 0 3 * * * (Europe/Berlin)`, with ` - paused` when it is."""
    schedule = item["schedule"]
    zone = schedule.get("timezone")
    if "interval" in schedule:
        text = f"every {_exact(float(schedule['interval']))}"
    elif "cron" in schedule:
        text = f"cron {schedule['cron']}"
    else:
        text = "rrule " + schedule["rrule"].split("\n")[-1].removeprefix("RRULE:")
    return text + (f" ({zone})" if zone and zone != "UTC" else "") + ("" if item["active"] else " - paused")


def _exact(seconds: float) -> str:
    whole = duration(seconds)
    return whole if parse_duration(whole).total_seconds() == seconds else f"{seconds:g} seconds"


def build_schedule(
    *,
    interval: str | None,
    cron: str | None,
    rrule: str | None,
    anchor_date: str | None = None,
    day_or: bool = True,
    timezone: str | None = None,
) -> Json:
    """The API's schedule for what was asked for. Raises CliError unless it is exactly one kind."""
    if sum(each is not None for each in (interval, cron, rrule)) != 1:
        raise CliError("Exactly one of --interval, --cron or --rrule says when to run.")
    if anchor_date and interval is None:
        raise CliError("--anchor-date goes with --interval.")
    zone: dict[str, Any] = {"timezone": timezone} if timezone else {}
    if cron is not None:
        return {"cron": cron, "day_or": day_or, **zone}
    if rrule is not None:
        return {"rrule": rrule, **zone}
    seconds = parse_duration(interval or "").total_seconds()
    anchor = parse_time(anchor_date) if anchor_date else datetime.now(UTC)
    return {"interval": seconds, "anchor_date": anchor.isoformat(), **zone}
