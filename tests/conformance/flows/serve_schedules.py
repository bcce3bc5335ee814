"""Three served deployments, one per kind of schedule."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

from datetime import timedelta

from prefect import flow, serve
from prefect.schedules import Cron, Interval, RRule


@flow(name="ticking", log_prints=True)
def ticking(kind: str) -> str:
    print(f"tick {kind}")
    return kind


if __name__ == "__main__":
    serve(
        ticking.to_deployment("by-cron", schedules=[Cron("* * * * *", timezone="UTC")], parameters={"kind": "cron"}),
        ticking.to_deployment(
            "by-interval", schedules=[Interval(timedelta(seconds=10))], parameters={"kind": "interval"}
        ),
        ticking.to_deployment("by-rrule", schedules=[RRule("FREQ=MINUTELY")], parameters={"kind": "rrule"}),
    )
