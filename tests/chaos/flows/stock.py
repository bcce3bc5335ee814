"""What stock workers run: notes outside the system what is executed. `CHAOS_LEDGER` names the ledger's file."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

import json
import os
import time
from uuid import uuid4

from prefect import flow, get_run_logger, runtime, task

LEDGER = os.open(os.environ["CHAOS_LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def note(kind: str, **facts: object) -> None:
    line = {"kind": kind, "at": round(time.time(), 4), **facts}
    os.write(LEDGER, json.dumps(line).encode() + b"\n")


@task
def step(number: int) -> int:
    note("stock_task", id=str(runtime.task_run.id), run=str(runtime.flow_run.id), number=number)
    get_run_logger().info("step %d", number)
    time.sleep(0.3)
    return number


@flow(name="storm-stock")
def stock() -> int:
    body = uuid4().hex
    note("stock_begin", id=str(runtime.flow_run.id), body=body, pid=os.getpid())
    total: int = sum(future.result() for future in [step.submit(number) for number in range(3)])
    note("stock_end", id=str(runtime.flow_run.id), body=body)
    return total
