"""Served flows that run for a while: one with the client's own heartbeats, one that sends more of them itself."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

import sys
import time

from prefect import flow
from prefect.events import emit_event
from prefect.runtime import flow_run


@flow(name="hanging")
def hanging() -> None:
    time.sleep(300)


@flow(name="pulsing")
def pulsing() -> None:
    for _ in range(15):
        emit_event("prefect.flow-run.heartbeat", resource={"prefect.resource.id": f"prefect.flow-run.{flow_run.id}"})
        time.sleep(1)


if __name__ == "__main__":
    {"hanging": hanging, "pulsing": pulsing}[sys.argv[1]].serve("served")
