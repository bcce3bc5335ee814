"""A flow of task bursts and a subflow that notes outside the system whatever is executed.

Arguments: ledger file, rounds. Prints one line with the id of the run once it is over.
"""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

import json
import os
import sys
import time
from collections.abc import Callable

import httpx
from prefect import flow, get_run_logger, runtime, task

LEDGER = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
ROUNDS = int(sys.argv[2])
BURST = 20


def note(kind: str, **facts: object) -> None:
    os.write(LEDGER, json.dumps({"kind": kind, **facts}).encode() + b"\n")


@task
def step(number: int) -> int:
    note("body", id=str(runtime.task_run.id), number=number)
    get_run_logger().info("step %d", number)
    time.sleep(0.05)
    return number


@flow(name="chaos-inner")
def inner(number: int) -> int:
    note("executed", id=str(runtime.flow_run.id))
    return int(step(number))


def until_somebody_answers(call: Callable[[], int]) -> int:
    """The client gives up at once when nobody answers the first request of a new connection, as a subflow opens one;
    afterwards it is patient by itself. Nothing has been started then."""
    while True:
        try:
            return call()
        except httpx.ConnectError:
            time.sleep(0.5)


@flow(name="chaos-burst")
def burst() -> int:
    note("executed", id=str(runtime.flow_run.id))
    note("outer", id=str(runtime.flow_run.id))
    total = 0
    for number in range(ROUNDS):
        futures = [step.submit(number * BURST + index) for index in range(BURST)]
        total += sum(future.result() for future in futures)
        time.sleep(1.0)
    return total + until_somebody_answers(lambda: int(inner(-1)))


if __name__ == "__main__":
    result = burst()
    note("result", value=result)
