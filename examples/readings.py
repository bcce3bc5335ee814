"""The rules of the example pipeline: which weather readings are good, and what a day and a month of them say.

Pure functions over values. The pipeline wraps them in tasks; the tests call them directly. Measurements are Decimal:
sums of tenths then come out the same in whatever order they are added.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import groupby

COLUMNS = ("station", "observed_at", "temperature_c", "humidity_pct", "wind_ms", "rain_mm")
# What these instruments can measure, ends included: degrees C, percent, m/s, mm in an hour.
RANGES = {
    "temperature": (Decimal(-60), Decimal(55)),
    "humidity": (Decimal(0), Decimal(100)),
    "wind": (Decimal(0), Decimal(75)),
    "rain": (Decimal(0), Decimal(250)),
}
HEATING_BASE = Decimal("15.5")  # degrees C; a day's mean below it counts as heating degree days


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` to before `end`, both aware."""

    start: datetime
    end: datetime

    @classmethod
    def month(cls, month: str) -> Period:
        """`2025-10` as a period in UTC. Raises ValueError for another form."""
        start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
        end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        return cls(start, end)


@dataclass(frozen=True, slots=True)
class Reading:
    """One hour at one station. Only the temperature is never missing."""

    station: str
    at: datetime
    temperature: Decimal
    humidity: Decimal | None
    wind: Decimal | None
    rain: Decimal | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is not used: its line in the file (the heading is line 1), why, and what it said."""

    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Day:
    """One station's day: hours observed, temperatures in degrees C, highest wind in m/s, rain in mm."""

    station: str
    day: date
    hours: int
    coldest: Decimal
    mean: Decimal
    warmest: Decimal
    wind: Decimal | None
    rain: Decimal
    frost_hours: int


@dataclass(frozen=True, slots=True)
class Month:
    """One station's month; `wettest` is the day with the most rain, `degree_days` the heating degree days."""

    station: str
    days: int
    readings: int
    coldest: Decimal
    mean: Decimal
    warmest: Decimal
    rain: Decimal
    wettest: date
    frost_hours: int
    degree_days: Decimal


class BadRow(ValueError):
    """A row cannot be used; the text is the reason."""


def validate(lines: Iterable[str], stations: Iterable[str], period: Period) -> tuple[list[Reading], list[Rejected]]:
    """Read CSV lines, the heading first, into readings and rejected rows; each row is in one of the two.

    Raises ValueError when the heading is not COLUMNS: then it is another file, not a bad row.
    """
    rows = csv.reader(lines)
    if tuple(next(rows, ())) != COLUMNS:
        raise ValueError(f"the first line is not {','.join(COLUMNS)}")
    known = frozenset(stations)
    seen: set[tuple[str, datetime]] = set()
    readings, rejected = [], []
    for fields in rows:
        try:
            reading = parse(fields, known, period)
            if (reading.station, reading.at) in seen:
                raise BadRow("duplicate reading")
        except BadRow as reason:
            rejected.append(Rejected(rows.line_num, str(reason), ",".join(fields)))
        else:
            seen.add((reading.station, reading.at))
            readings.append(reading)
    return readings, rejected


def parse(fields: Sequence[str], stations: frozenset[str], period: Period) -> Reading:
    """One row of COLUMNS as a reading. Raises BadRow."""
    if len(fields) != len(COLUMNS):
        raise BadRow("wrong number of fields")
    station, observed_at, *measurements = fields
    if station not in stations:
        raise BadRow("unknown station")
    try:
        at = datetime.strptime(observed_at, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
    except ValueError:
        raise BadRow("unreadable time") from None
    if not period.start <= at < period.end:
        raise BadRow("time outside the period")
    temperature, humidity, wind, rain = (_measured(name, text) for name, text in zip(RANGES, measurements, strict=True))
    if temperature is None:
        raise BadRow("temperature missing")
    return Reading(station, at, temperature, humidity, wind, rain)


def _measured(name: str, text: str) -> Decimal | None:
    """A measurement, None when it is missing. Raises BadRow."""
    if not text:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise BadRow(f"{name} is not a number") from None
    if not value.is_finite():
        raise BadRow(f"{name} is not a number")
    lowest, highest = RANGES[name]
    if not lowest <= value <= highest:
        raise BadRow(f"{name} out of range")
    return value


def partition(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    """Readings by station, stations by name, readings by time."""
    stations: defaultdict[str, list[Reading]] = defaultdict(list)
    for reading in sorted(readings, key=lambda reading: (reading.station, reading.at)):
        stations[reading.station].append(reading)
    return dict(stations)


def weeks(readings: Iterable[Reading]) -> Iterator[list[Reading]]:
    """One station's readings, ordered by time, in the pieces the pipeline works in: calendar weeks."""
    for _, week in groupby(readings, key=lambda reading: reading.at.isocalendar()[:2]):
        yield list(week)


def daily(readings: Iterable[Reading]) -> list[Day]:
    """One station's days (UTC); the readings must be ordered by time. Days without a reading are left out."""
    return [_day(day, list(hours)) for day, hours in groupby(readings, key=lambda reading: reading.at.date())]


def _day(day: date, hours: Sequence[Reading]) -> Day:
    temperatures = [reading.temperature for reading in hours]
    return Day(
        station=hours[0].station,
        day=day,
        hours=len(hours),
        coldest=min(temperatures),
        mean=_tenths(sum(temperatures, Decimal(0)) / len(hours)),
        warmest=max(temperatures),
        wind=max((reading.wind for reading in hours if reading.wind is not None), default=None),
        rain=sum((reading.rain for reading in hours if reading.rain is not None), Decimal("0.0")),
        frost_hours=sum(temperature < 0 for temperature in temperatures),
    )


def monthly(days: Sequence[Day]) -> Month:
    """What one station's days add up to. Raises ValueError when there are none."""
    if not days:
        raise ValueError("a month needs at least one day")
    readings = sum(day.hours for day in days)
    return Month(
        station=days[0].station,
        days=len(days),
        readings=readings,
        coldest=min(day.coldest for day in days),
        mean=_tenths(sum((day.mean * day.hours for day in days), Decimal(0)) / readings),
        warmest=max(day.warmest for day in days),
        rain=sum((day.rain for day in days), Decimal("0.0")),
        wettest=max(days, key=lambda day: day.rain).day,
        frost_hours=sum(day.frost_hours for day in days),
        degree_days=sum((max(HEATING_BASE - day.mean, Decimal("0.0")) for day in days), Decimal("0.0")),
    )


def _tenths(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.1"))


def reasons(rejected: Iterable[Rejected]) -> dict[str, int]:
    """How many rows were rejected for each reason, the commonest first."""
    counts: defaultdict[str, int] = defaultdict(int)
    for row in rejected:
        counts[row.reason] += 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def summary(months: Sequence[Month], names: Mapping[str, str], counts: Mapping[str, int]) -> str:
    """The month in Markdown: a table of stations and, below, why rows were not used."""
    rows = [
        f"| {names[m.station]} | {m.readings} | {m.coldest} | {m.mean} | {m.warmest} | {m.rain} | {m.wettest:%d %b} "
        f"| {m.frost_hours} | {m.degree_days} |"
        for m in months
    ]
    used, unused = sum(m.readings for m in months), sum(counts.values())
    return "\n".join(
        [
            "| Station | Readings | Coldest °C | Mean °C | Warmest °C | Rain mm | Wettest | Frost h | Degree days |",
            "| :-- | --: | --: | --: | --: | --: | --: | --: | --: |",
            *rows,
            "",
            f"{used} of {used + unused} rows were used. The others: "
            + (", ".join(f"{reason} ({count})" for reason, count in counts.items()) or "none")
            + ".",
        ]
    )
