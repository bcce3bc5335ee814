"""Flows that a process worker runs."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

import os
import time
from typing import Any

from prefect import flow, runtime, suspend_flow_run, task
from prefect.input import RunInput


class Approval(RunInput):
    approved: bool


@task
def add(left: int, right: int) -> int:
    return left + right


@flow(name="quick", log_prints=True)
def quick(x: int = 1, linger: float = 0) -> int:
    print(f"quick got {x}")
    time.sleep(linger)
    return int(add(x, 1))


def on_cancellation(flow: Any, flow_run: Any, state: Any) -> None:
    print(f"cancellation hook of {flow_run.id}", flush=True)


@flow(name="endless", on_cancellation=[on_cancellation])
def endless() -> None:
    while True:
        time.sleep(0.2)


@flow(name="suspending", log_prints=True)
def suspending() -> bool:
    print(f"run count {runtime.flow_run.run_count}")
    answer = suspend_flow_run(wait_for_input=Approval, timeout=120)
    print(f"approved {answer.approved}")
    return bool(answer.approved)


@flow(name="dying")
def dying() -> None:
    os._exit(3)
