"""Time zones by IANA name, and wall-clock times placed on the time line."""

import heapq
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

__all__ = ["earliest_wall_clock", "is_zone", "load_zone", "localize", "validate_timezone", "with_offset"]


@lru_cache(maxsize=1024)
def load_zone(name: str) -> tzinfo:
    """The zone of an IANA name. Raises ``ValueError`` with the text clients know if there is none."""
    try:
        # "localtime" is a file on many machines but no zone: it means something else on each of them.
        if name and name != "localtime" and not name.startswith(("posix/", "right/")):
            return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # missing, a directory, unreadable, or a path outside the database
        pass
    raise ValueError(f'Invalid timezone: "{name}" (specify in IANA tzdata format, for example, America/New_York)')


def is_zone(name: str) -> bool:
    """Whether ``name`` is a zone of the IANA database."""
    try:
        load_zone(name)
    except ValueError:
        return False
    return True


def validate_timezone(name: str) -> None:
    """Raise ``ValueError`` unless ``name`` is a zone of the IANA database."""
    load_zone(name)


def with_offset(instant: datetime, zone: tzinfo) -> datetime:
    """The instant in local time under a fixed offset.

    Not under the zone itself: two datetimes sharing one zone object compare by wall clock, which misorders the
    repeated hour in autumn. It prints the same.
    """
    local = instant.astimezone(zone)
    offset = local.utcoffset()
    return local.replace(tzinfo=timezone(offset) if offset else UTC, fold=0)


_DAY = timedelta(days=1)  # the longest jump a zone ever made (Samoa lost 30 December 2011)


def earliest_wall_clock(start: datetime, zone: tzinfo) -> datetime:
    """The first naive local time that may denote an instant at or after ``start``.

    Wall-clock times that a forward jump skips are read with the offset before the jump and so land behind it; hence
    the smaller of the offsets now and a day ago.
    """
    moment = start.astimezone(UTC)
    offsets = [at.astimezone(zone).utcoffset() for at in (moment, moment - _DAY)]
    return moment.replace(tzinfo=None) + min(offset or timedelta(0) for offset in offsets)


def localize(walls: Iterable[datetime], zone: tzinfo) -> Iterator[datetime]:
    """Turn ascending naive local times into ascending, distinct UTC instants.

    A repeated time means its first occurrence, a skipped one is moved behind the jump; the latter can overtake
    regular times, so an instant is held back until no earlier one can follow.
    """
    waiting: list[datetime] = []
    last: datetime | None = None
    for wall in walls:
        try:
            first = wall.replace(tzinfo=zone).astimezone(UTC)
            floor = min(first, wall.replace(tzinfo=zone, fold=1).astimezone(UTC))
        except OverflowError:  # the edge of the calendar
            continue
        heapq.heappush(waiting, first)
        while waiting and waiting[0] <= floor:
            instant = heapq.heappop(waiting)
            if instant != last:
                last = instant
                yield instant
    while waiting:
        instant = heapq.heappop(waiting)
        if instant != last:
            last = instant
            yield instant
