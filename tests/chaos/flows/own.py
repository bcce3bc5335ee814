"""A flow of our own SDK with retried and mapped tasks and transactions, which notes outside what is executed.

`SEMPRE_TEST_LEDGER` is the ledger's file. In its middle the flow waits until the file beside it, `gate`, exists.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import os
import time
from pathlib import Path

from sempre import flow, get_run_logger, runtime, task
from sempre.transactions import Transaction, transaction
from tests.chaos.ledger import Ledger

LEDGER = Path(os.environ["SEMPRE_TEST_LEDGER"])
GATE = LEDGER.with_name("gate")
WIDTH = 8
_ledger = Ledger(LEDGER)


@task(persist_result=True, retries=2, retry_delay_seconds=0.2)
def step(number: int) -> int:
    if number % 4 == 0 and runtime.task_run.run_count == 1:
        _ledger.write("refused", number=number)
        raise ValueError("the first attempt fails")
    _ledger.write("body", id=str(runtime.task_run.id), number=number)
    time.sleep(0.05)
    return number


@task(persist_result=True)
def gate() -> bool:
    _ledger.write("gate", id=str(runtime.task_run.id))
    while not GATE.exists():
        time.sleep(0.02)
    return True


@task(persist_result=True)
def stage(number: int, part: str) -> str:
    _ledger.write("staged", id=str(runtime.task_run.id), number=number, part=part)
    if part == "b" and number % 3 == 2:
        raise ValueError("this transaction is undone")
    return f"{number}{part}"


@stage.on_rollback
def undo(txn: Transaction) -> None:
    _ledger.write("undone", key=txn.key)


def staged(number: int) -> int:
    """1 if both parts were committed, 0 if they were undone."""
    try:
        with transaction():
            stage(number, "a")
            stage(number, "b")
    except ValueError:
        return 0
    return 1


@flow(name="chaos-own")
def journey(rounds: int) -> int:
    total = 0
    for number in range(rounds):
        if number == rounds // 2:
            gate()
        total += sum(step.map(range(number * WIDTH, (number + 1) * WIDTH)).result())
        staged(number)
        said = f"round {number} of process {os.getpid()}"
        _ledger.write("log", message=said)
        get_run_logger().info(said)
    _ledger.write("result", value=total)
    return total
