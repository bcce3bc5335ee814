"""What a run must have written, worked out from the raw file by another route than the pipeline's.

One regular expression says what a good row is, and every measurement is an integer number of tenths: none of
examples/readings.py is used, so that the two can disagree.
"""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

_GOOD = re.compile(
    r"(?P<key>(?P<station>brack|cairn|eel|gale|linden|orch),(?P<day>2025-10-(?:0[1-9]|[12]\d|3[01]))T(?:[01]\d|2[0-3]):00Z)"
    r",(?P<temperature>-?[0-4]?\d\.\d)"  # 55 and -60 degrees C are the limits, and nothing comes near them but 85
    r",(?:\d\d?|100)?"
    r",(?:[0-6]?\d\.\d)?"
    r",(?P<rain>[01]?\d?\d\.\d)?"
)


@dataclass(frozen=True)
class StationTotals:
    """Of one station's month, temperatures and rain in tenths."""

    readings: int
    days: int
    coldest: int
    warmest: int
    rain: int


@dataclass(frozen=True)
class Totals:
    """Rows used, rows not used, and each station's totals."""

    used: int
    rejected: int
    stations: dict[str, StationTotals]


def expected(source: Path) -> Totals:
    """The totals of a raw file of October 2025."""
    seen: set[str] = set()
    found: defaultdict[str, list[tuple[str, int, int]]] = defaultdict(list)
    lines = source.read_text(encoding="utf-8").splitlines()[1:]
    for line in lines:
        good = _GOOD.fullmatch(line)
        if good and good["key"] not in seen:
            seen.add(good["key"])
            found[good["station"]].append((good["day"], _tenths(good["temperature"]), _tenths(good["rain"] or "0")))
    stations = {
        station: StationTotals(
            readings=len(hours),
            days=len({day for day, _, _ in hours}),
            coldest=min(temperature for _, temperature, _ in hours),
            warmest=max(temperature for _, temperature, _ in hours),
            rain=sum(rain for _, _, rain in hours),
        )
        for station, hours in sorted(found.items())
    }
    return Totals(len(seen), len(lines) - len(seen), stations)


def written(directory: Path) -> Totals:
    """The totals of what a run wrote, from its `daily.csv` and `rejected.csv`. Raises OSError, KeyError, ValueError."""
    days: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _rows(directory / "daily.csv"):
        days[row["station"]].append(row)
    stations = {
        station: StationTotals(
            readings=sum(int(row["hours"]) for row in rows),
            days=len({row["day"] for row in rows}),
            coldest=min(_tenths(row["coldest"]) for row in rows),
            warmest=max(_tenths(row["warmest"]) for row in rows),
            rain=sum(_tenths(row["rain"]) for row in rows),
        )
        for station, rows in sorted(days.items())
    }
    used = sum(totals.readings for totals in stations.values())
    return Totals(used, sum(1 for _ in _rows(directory / "rejected.csv")), stations)


def differences(directory: Path, wanted: Totals) -> list[str]:
    """What a run's files say that is not as expected, a sentence each; none when all is well."""
    try:
        actual = written(directory)
        claimed = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
        rain = {station["station"]: _tenths(station["rain"]) for station in claimed["stations"]}
    except (OSError, KeyError, ValueError) as error:
        return [f"the result in {directory} cannot be read: {error!r}"]
    found = []
    for what, left, right in (
        ("rows used", actual.used, wanted.used),
        ("rows rejected", actual.rejected, wanted.rejected),
        ("rows rejected in the summary", sum(claimed["rows"]["rejected"].values()), wanted.rejected),
        ("stations", list(actual.stations), list(wanted.stations)),
        ("rain in the summary", rain, {station: totals.rain for station, totals in wanted.stations.items()}),
    ):
        if left != right:
            found.append(f"{what}: {left}, expected {right}")
    for station, totals in wanted.stations.items():
        if actual.stations.get(station) != totals:
            found.append(f"{station}: {actual.stations.get(station)}, expected {totals}")
    return found


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _tenths(text: str) -> int:
    """`-3.4` as -34. Raises ValueError when there is more after the point than tenths."""
    tenths = Decimal(text) * 10
    if tenths != int(tenths):
        raise ValueError(f"{text} is no number of tenths")
    return int(tenths)
