"""Schedules become runs: one for each time, none left out, none twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sempre.canary.canary import Canary
from sempre.canary.stage import Stage

__all__ = ["CANARY"]

_INTERVAL = timedelta(minutes=7)
_AT_LEAST = 3


def check(stage: Stage) -> None:
    anchor = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)
    schedule = {"interval": _INTERVAL.total_seconds(), "anchor_date": anchor.isoformat(), "timezone": "UTC"}
    deployment = stage.deploy("nap", schedules=[{"schedule": schedule, "active": True}])

    def times() -> list[datetime]:
        runs = stage.client.read_flow_runs(
            deployment_filter={"id": {"any_": [str(deployment)]}},
            flow_run_filter={"state": {"type": {"any_": ["SCHEDULED"]}}},
        )
        return sorted(run.expected_start_time for run in runs if run.expected_start_time is not None)

    planned = stage.wait(
        f"{_AT_LEAST} runs of a new schedule are planned", times, lambda found: len(found) >= _AT_LEAST
    )
    wanted = [anchor + number * _INTERVAL for number in range(len(planned))]
    stage.equal(planned, wanted, "the times of the planned runs")
    stage.client.pause_deployment(deployment)
    stage.wait("a paused deployment has no planned runs any more", times, lambda found: not found)


CANARY = Canary("schedules", "a schedule becomes one run for each of its times, and none while it is paused", check)
