"""Runs of deployments, executed by processes of their own: suspended, cancelled, crashed."""

import os
import time
from pathlib import Path
from typing import Any

from sempre import flow, runtime, suspend_flow_run, task


def note(text: str) -> None:
    with Path(os.environ["EXAMPLES_NOTED"]).open("a") as file:
        file.write(f"{text}\n")


@task(persist_result=True)
def prepare(number: int) -> int:
    note(f"prepare {number}")
    return number


@flow(persist_result=True, flow_run_name="suspending {number}")
def suspending(number: int) -> int:
    prepared = prepare(number)
    answer: int = suspend_flow_run(wait_for_input=int, timeout=60)
    note(f"suspending {prepared} {answer} {runtime.deployment.name} {runtime.flow_run.run_count}")
    return prepared + answer


def cancelled(flow: Any, flow_run: Any, state: Any) -> None:
    note(f"cancelled {state.type.value}")


@flow(on_cancellation=[cancelled])
def waiting() -> None:
    note("waiting")
    time.sleep(300)


@task
def add(left: int, right: int) -> int:
    return left + right


@flow
def adding() -> int:
    return add.submit(add(1, 2), 3).result()


@flow
def failing() -> None:
    raise ValueError("no")


@flow
def exiting() -> None:
    os._exit(3)
