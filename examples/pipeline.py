"""A month of weather readings, from a raw file to a report: the pipeline of `make demo`.

read -> validate -> summarise, once per station and in parallel -> write -> publish. One station's first attempt fails
on purpose, so that a retry can be watched. `pace` only makes it slow enough to watch (and to kill the server under it).
"""

from __future__ import annotations

import csv
import json
import time
from dataclasses import asdict, fields
from pathlib import Path

from examples.readings import (
    Day,
    Month,
    Period,
    Reading,
    Rejected,
    daily,
    monthly,
    partition,
    reasons,
    summary,
    validate,
    weeks,
)
from sempre import flow, get_run_logger, runtime, task, unmapped
from sempre.artifacts import create_markdown_artifact
from sempre.task_runners import ThreadPoolTaskRunner

DATA = Path(__file__).parent / "data"
# Its link is the worst of all: the first attempt of each run fails.
FLAKY_STATION = "gale"
REPORT_KEY = "weather-report"


@task(retries=2, retry_delay_seconds=1)
def read(source: str) -> list[str]:
    """The lines of the file."""
    return Path(source).read_text(encoding="utf-8").splitlines()


@task
def check(lines: list[str], names: dict[str, str], month: str) -> tuple[dict[str, list[Reading]], list[Rejected]]:
    """Good readings by station, and the rows that are not used."""
    good, rejected = validate(lines, names, Period.month(month))
    logger = get_run_logger()
    logger.info("%d of %d rows are good", len(good), len(lines) - 1)
    for reason, count in reasons(rejected).items():
        logger.warning("%d rows rejected: %s", count, reason)
    return partition(good), rejected


@task(retries=3, retry_delay_seconds=1, task_run_name="summarise {station}")
def summarise(station: str, readings: list[Reading], pace: float) -> list[Day]:
    """One station's days, week by week."""
    logger = get_run_logger()
    days: list[Day] = []
    for number, week in enumerate(weeks(readings), start=1):
        time.sleep(pace)
        days += daily(week)
        logger.info("%s: week %d, %d readings", station, number, len(week))
        if station == FLAKY_STATION and runtime.task_run.run_count == 1:
            raise ConnectionError(f"{station} hung up (on purpose, at the first attempt)")
    return days


@task
def write(output: str, days: list[Day], months: list[Month], rejected: list[Rejected]) -> str:
    """`daily.csv`, `rejected.csv` and `summary.json` in a directory named after the run; returns the directory."""
    directory = Path(output) / str(runtime.flow_run.id)
    directory.mkdir(parents=True, exist_ok=True)
    for name, kind, rows in (("daily", Day, days), ("rejected", Rejected, rejected)):
        with (directory / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(kind)])
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
    report = {
        "rows": {"used": sum(month.readings for month in months), "rejected": reasons(rejected)},
        "stations": [asdict(month) for month in months],
    }
    (directory / "summary.json").write_text(json.dumps(report, indent=2, default=str) + "\n", encoding="utf-8")
    return str(directory)


@task
def publish(text: str) -> None:
    """The summary as an artifact; each run adds a version under the same key."""
    create_markdown_artifact(text, key=REPORT_KEY, description="A month of weather")


@flow(name="weather-report", task_runner=ThreadPoolTaskRunner(max_workers=2), flow_run_name="{month} at pace {pace}")
def weather_report(
    source: str = str(DATA / "weather.csv"), output: str = "results", month: str = "2025-10", pace: float = 0.0
) -> str:
    """Report one month.

    Args:
        source: the CSV file with the readings.
        output: where to write; each run gets a directory of its own there.
        month: year and month, such as 2025-10.
        pace: seconds to wait before each week of each station.
    """
    with (DATA / "stations.csv").open(newline="", encoding="utf-8") as file:
        names = {row["station"]: row["name"] for row in csv.DictReader(file)}
    stations, rejected = check(read(source), names, month)
    futures = summarise.map(list(stations), list(stations.values()), unmapped(pace))
    per_station: list[list[Day]] = futures.result()
    months = [monthly(days) for days in per_station]
    directory = str(write(output, [day for days in per_station for day in days], months, rejected))
    publish(summary(months, names, reasons(rejected)))
    return directory


if __name__ == "__main__":
    print(weather_report())
