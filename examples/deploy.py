"""Deploys the pipeline to a process work pool, on a schedule: `python -m examples.deploy --pool demo`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

from examples.pipeline import weather_report
from sempre.schedules import Interval

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", required=True, help="a work pool of type process")
    parser.add_argument("--name", default="demo", help="name of the deployment")
    parser.add_argument("--output", default="results", help="where runs write their results")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds per week of readings, for runs asked for")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between scheduled runs")
    parser.add_argument("--first", type=float, default=60.0, help="seconds from now to the first of them")
    options = parser.parse_args()
    # Scheduled runs do not wait at all: they are quick.
    schedule = Interval(
        timedelta(seconds=options.every),
        anchor_date=datetime.now(UTC) + timedelta(seconds=options.first),
        parameters={"pace": 0.0},
    )
    weather_report.from_source(source=str(ROOT), entrypoint="examples/pipeline.py:weather_report").deploy(
        name=options.name,
        work_pool_name=options.pool,
        parameters={"output": str(Path(options.output).resolve()), "pace": options.pace},
        schedules=[schedule],
        description="A month of weather readings, from a raw file to a report.",
        tags=["demo"],
        print_next_steps=False,
    )


if __name__ == "__main__":
    main()
