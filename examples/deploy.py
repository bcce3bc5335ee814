"""Deploys the pipeline to a process work pool, on a schedule: `python -m examples.deploy --pool demo`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect.schedules import Interval

from examples.pipeline import weather_report

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", required=True, help="a work pool of type process")
    parser.add_argument("--name", default="demo", help="name of the deployment")
    parser.add_argument("--output", default="results", help="where runs write their results")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds per week of readings, for runs asked for")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between scheduled runs")
    options = parser.parse_args()
    every = timedelta(seconds=options.every)
    # The first one in a full interval from now, and without pauses: scheduled runs are quick.
    schedule = Interval(every, anchor_date=datetime.now(UTC) + every, parameters={"pace": 0.0})
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
