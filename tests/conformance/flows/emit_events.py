"""Sends events with the stock client, one at a time: `emit_events.py NAME COUNT SECONDS_BETWEEN [FLOW_RUN_ID]`."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

import sys
import time

from prefect.events import emit_event
from prefect.events.worker import EventsWorker


def main(name: str, count: int, between: float, *flow_runs: str) -> None:
    related = [
        {"prefect.resource.id": f"prefect.flow-run.{id}", "prefect.resource.role": "flow-run"} for id in flow_runs
    ]
    for number in range(count):
        emit_event(
            name, resource={"prefect.resource.id": f"{name}.source"}, related=related, payload={"number": number}
        )
        time.sleep(between)
    EventsWorker.instance().drain()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:])
