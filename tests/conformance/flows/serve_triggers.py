"""Two deployments that run on events, and one that takes long: `serve_triggers.py POOL`."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator, arg-type, call-arg"

import sys
import time
from pathlib import Path

from prefect import flow, runtime, serve
from prefect.events import DeploymentEventTrigger


def on(event: str) -> DeploymentEventTrigger:
    return DeploymentEventTrigger(
        name=f"on {event}", enabled=True, expect={event}, parameters={"number": "{{ event.payload.number }}"}
    )


@flow(name="triggered")
def triggered(number: int = 0) -> int:
    print(f"{runtime.flow_run.id} got {number}", flush=True)
    return number


@flow(name="lingering")
def lingering() -> None:
    while True:
        time.sleep(0.2)


if __name__ == "__main__":
    stored = flow.from_source(source=str(Path(__file__).parent), entrypoint="serve_triggers.py:triggered")
    stored.deploy("stored", work_pool_name=sys.argv[1], triggers=[on("assess.stored")], build=False, push=False)
    serve(
        triggered.to_deployment("served", triggers=[on("assess.served")]),
        lingering.to_deployment("served"),
        pause_on_shutdown=False,
    )
