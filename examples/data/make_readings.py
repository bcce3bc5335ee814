"""Makes `weather.csv` and `planted.json` beside this file: `python examples/data/make_readings.py`.

The readings are invented, but in the way real ones come out of a network of cheap stations: weather that passes over
all of them with a delay, days and nights, gaps, stuck clocks, sensors that answer with their power-on value. The
random numbers are seeded, so that the files come out the same each time.
"""

from __future__ import annotations

import csv
import json
import math
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).parent
START = datetime(2025, 10, 1, tzinfo=UTC)
HOURS = 31 * 24
SEED = 20251001
# How many readings of each kind are spoilt. The reasons are those of examples/readings.py.
SPOILT = {
    "wrong number of fields": 9,
    "unknown station": 7,
    "unreadable time": 6,
    "time outside the period": 11,
    "temperature missing": 38,
    "temperature is not a number": 8,
    "temperature out of range": 17,
    "humidity out of range": 12,
    "wind out of range": 5,
    "rain out of range": 9,
    "duplicate reading": 26,
}

Fields = list[str]


def weather(random_: random.Random) -> list[tuple[float, float]]:
    """(deviation of the air in degrees C, wetness 0 to 1) of each hour: slow fronts, shared by all stations."""
    air, moisture, hours = 0.0, 0.0, []
    for _ in range(HOURS + 24):
        air = 0.985 * air + random_.gauss(0, 0.45)
        moisture = 0.96 * moisture + random_.gauss(0, 0.28) - 0.02 * air * 0.1
        hours.append((air, max(0.0, math.tanh(moisture - 0.9))))
    return hours


def station_hours(station: dict[str, str], fronts: list[tuple[float, float]], random_: random.Random) -> list[Fields]:
    """One row per hour, some lost, some values missing: station, time, temperature, humidity, wind, rain."""
    altitude, exposure, delay = float(station["altitude_m"]), float(station["exposure"]), int(station["delay_hours"])
    noise, gust, rows = 0.0, 2.0, []
    for hour in range(HOURS):
        air, wet = fronts[hour + 24 - delay]
        noise = 0.8 * noise + random_.gauss(0, 0.25)
        gust = 0.9 * gust + random_.gauss(0.35, 0.7) * exposure
        swing = (4.2 - 3.0 * wet) * math.sin((hour % 24 - 9) / 24 * 2 * math.pi)
        temperature = 12.5 - 0.0065 * altitude - 0.12 * hour / 24 + air + swing + noise
        humidity = min(100, max(22, 80 - 3.1 * swing + 22 * wet + random_.gauss(0, 3)))
        rain = random_.expovariate(1 / (2.4 * wet)) if wet > 0.05 and random_.random() < wet + 0.2 else 0.0
        if random_.random() < 0.012:
            continue  # never arrived
        rows.append(
            [
                station["station"],
                f"{START + timedelta(hours=hour):%Y-%m-%dT%H:%MZ}",
                f"{temperature:.1f}",
                "" if random_.random() < 0.01 else f"{humidity:.0f}",
                "" if random_.random() < 0.02 else f"{abs(gust) + 4 * wet * exposure:.1f}",
                "" if random_.random() < 0.008 else f"{round(rain * 5) / 5:.1f}",  # a tipping bucket counts 0.2 mm
            ]
        )
    return rows


def spoil(rows: list[Fields], random_: random.Random) -> list[Fields]:
    """Spoil as many rows as SPOILT says, each in one way; copies go some rows below the one they repeat."""
    order = iter(random_.sample(range(len(rows)), sum(SPOILT.values())))
    copies = []
    for reason, count in SPOILT.items():
        for _ in range(count):
            at = next(order)
            if reason == "duplicate reading":
                copies.append((at + random_.randint(1, 40), list(rows[at])))
            else:
                rows[at] = _spoilt(rows[at], reason, random_)
    for at, copy in sorted(copies, reverse=True):
        rows.insert(at, copy)
    return rows


def _spoilt(row: Fields, reason: str, random_: random.Random) -> Fields:
    name, time, *_ = row
    values = {
        "unknown station": (0, [name[:2], name.upper(), "test"]),
        "unreadable time": (1, [time.replace("T", "T2"), "0000-00-00T00:00Z", time[:9]]),
        # The clock without its battery begins at the same moment again.
        "time outside the period": (1, ["2000-01-01T00:00Z", "2000-01-01T01:00Z", "2000-01-01T02:00Z"]),
        "temperature missing": (2, [""]),
        "temperature is not a number": (2, ["ERR", "nan", "1O.4"]),
        "temperature out of range": (2, ["85.0", "-127.0"]),
        "humidity out of range": (3, ["127", "-1", "255"]),
        "wind out of range": (4, ["99.9", "-3.0"]),
        "rain out of range": (5, ["-0.2", "819.0"]),
    }
    if reason == "wrong number of fields":
        return row[: random_.randint(1, 5)]
    index, choices = values[reason]
    return [*row[:index], random_.choice(choices), *row[index + 1 :]]


def main() -> None:
    random_ = random.Random(SEED)
    with (HERE / "stations.csv").open(newline="") as file:
        stations = list(csv.DictReader(file))
    fronts = weather(random_)
    rows = [row for station in stations for row in station_hours(station, fronts, random_)]
    # As they arrive: by time, but a station with a bad link delivers late.
    rows.sort(key=lambda row: (row[1], row[0]))
    for at in random_.sample(range(len(rows) - 60), 80):
        rows.insert(at + random_.randint(5, 60), rows.pop(at))
    rows = spoil(rows, random_)
    with (HERE / "weather.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["station", "observed_at", "temperature_c", "humidity_pct", "wind_ms", "rain_mm"])
        writer.writerows(rows)
    planted = {"rows": len(rows), "rejected": dict(sorted(Counter(SPOILT).items()))}
    (HERE / "planted.json").write_text(json.dumps(planted, indent=2) + "\n")


if __name__ == "__main__":
    main()
