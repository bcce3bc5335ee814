"""A flow that pauses twice, once for typed input; a second thread of the same client resumes it."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

import threading
import time
from typing import Any

from prefect import flow, get_client, pause_flow_run, resume_flow_run, runtime
from prefect.input import RunInput
from report import scenario  # type: ignore[import-not-found, unused-ignore]

run_ids: list[str] = []


class Person(RunInput):
    name: str
    age: int = 7


def resume_when_paused(count: int, run_input: dict[str, Any] | None) -> None:
    """Resume the run as soon as the server says Paused for the `count`-th time."""
    with get_client(sync_client=True) as client:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if len(run_ids) == count:
                run = client.read_flow_run(run_ids[-1])
                if run.state and run.state.is_paused():
                    break
            time.sleep(0.2)
    # The typed input's schema is written just before or after the state: ask until it is accepted.
    resume_flow_run(run_ids[-1], run_input=run_input)


@flow(name="pausing")
def pausing() -> str:
    run_ids.append(str(runtime.flow_run.id))
    person = pause_flow_run(wait_for_input=Person, timeout=60, poll_interval=1)
    run_ids.append(str(runtime.flow_run.id))
    pause_flow_run(timeout=60, poll_interval=1)
    return f"{person.name} is {person.age}"


def run_pausing() -> dict[str, Any]:
    def resumer() -> None:
        resume_when_paused(1, {"name": "Grace", "age": 40})
        resume_when_paused(2, None)

    thread = threading.Thread(target=resumer, daemon=True)
    thread.start()
    state = pausing(return_state=True)
    return {"flow_run_id": run_ids[0], "state": state.name, "result": state.result()}


@flow(name="pause-times-out")
def pause_times_out() -> None:
    run_ids.append(str(runtime.flow_run.id))
    pause_flow_run(timeout=2, poll_interval=1)


def run_pause_timeout() -> dict[str, Any]:
    state = pause_times_out(return_state=True)
    return {"flow_run_id": run_ids[-1], "state": state.name}


if __name__ == "__main__":
    scenario("pausing", run_pausing)
    scenario("pause_timeout", run_pause_timeout)
