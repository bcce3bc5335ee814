"""What our workers run while everything is killed: retries, mapped tasks, transactions and subflows, which note outside
the system what is executed.

`SEMPRE_TEST_LEDGER` is the ledger's file; results are kept in the folder `kept` beside it. A body notes whether its
result was there already when it began (`kept`): then it should not have begun.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Any

from sempre import flow, get_run_logger, runtime, task, unmapped
from sempre.transactions import Transaction, transaction
from tests.chaos.ledger import Ledger
from tests.chaos.rounds import WIDTH, first_of_part, first_step, keys_of_round, part_key, stage_key, step_key, undone

LEDGER = Path(os.environ["SEMPRE_TEST_LEDGER"])
KEPT = LEDGER.with_name("kept")
HELD = LEDGER.with_name("held")
_ledger = Ledger(LEDGER)
_holding: dict[str, int] = {}


def note(kind: str, **facts: object) -> None:
    _ledger.write(kind, pid=os.getpid(), **facts)


def body(at: dict[str, Any], key: str, **facts: object) -> None:
    """The execution of a task begins."""
    note("body", id=str(runtime.task_run.id), run=at["run"], key=key, kept=(KEPT / key).exists(), **facts)


def _key(context: Any, parameters: dict[str, Any]) -> str:
    run, number = parameters["at"]["run"], parameters["number"]
    return stage_key(run, number, parameters["part"]) if "part" in parameters else step_key(run, number)


_PERSISTED: dict[str, Any] = {"persist_result": True, "result_storage": str(KEPT), "cache_key_fn": _key}


@task(retries=2, retry_delay_seconds=0.2, **_PERSISTED)
def step(at: dict[str, Any], number: int) -> int:
    if number % 4 == 0 and runtime.task_run.run_count == 1:
        note("refused", run=at["run"], number=number)
        raise ValueError("the first attempt fails")
    body(at, step_key(at["run"], number), number=number)
    time.sleep(at["pace"])
    return number


@task(**_PERSISTED)
def stage(at: dict[str, Any], number: int, part: str) -> str:
    body(at, stage_key(at["run"], number, part), number=number, staged=True)
    if part == "b" and undone(number):
        note("broken", run=at["run"], attempt=at["attempt"], number=number)
        raise ValueError("this transaction is undone")
    return f"{number}{part}"


@stage.on_rollback
def undo(txn: Transaction) -> None:
    at = txn.get("at")
    note("undone", run=at["run"], attempt=at["attempt"], number=txn.get("number"), key=txn.key)


def staged(at: dict[str, Any], number: int) -> None:
    with contextlib.suppress(ValueError), transaction() as txn:
        txn.set("at", at)
        txn.set("number", number)
        stage(at, number, "a")
        stage(at, number, "b")


@flow(name="chaos-worked-part", persist_result=True, result_storage=str(KEPT))
def part(at: dict[str, Any], first: int) -> int:
    note("part", id=str(runtime.flow_run.id), run=at["run"], key=part_key(at["run"], first))
    return sum(step.map(unmapped(at), range(first, first + 2)).result())


def _begin() -> dict[str, Any]:
    """Notes who executes the run, and whether somebody else does so at this moment: the lock is let go by whoever
    dies."""
    run, attempt = str(runtime.flow_run.id), runtime.flow_run.run_count
    note("begin", run=run, attempt=attempt)
    if run not in _holding:
        HELD.mkdir(exist_ok=True)
        _holding[run] = os.open(HELD / run, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(_holding[run], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("overlap", run=run)
    return {"run": run, "attempt": attempt}


def _rounds(rounds: int, pace: float, fails_in: int | None = None) -> int:
    at = {**_begin(), "pace": pace}
    total = 0
    for number in range(rounds):
        first, inner = first_step(number), first_of_part(number)
        total += sum(step.map(unmapped(at), range(first, first + WIDTH)).result())
        staged(at, number)
        if inner is not None:
            total += part(at, inner)
        note("joined", run=at["run"], keys=sorted(keys_of_round(at["run"], number)))
        said = f"round {number} of {at['run']}, attempt {at['attempt']} in process {os.getpid()}"
        note("log", run=at["run"], message=said)
        get_run_logger().info(said)
        if number == fails_in:
            raise ValueError("this attempt fails")
    note("end", run=at["run"], attempt=at["attempt"], value=total)
    return total


@flow(name="chaos-worked-mapped")
def mapped(rounds: int, pace: float) -> int:
    return _rounds(rounds, pace)


@flow(name="chaos-worked-retrying", retries=1, retry_delay_seconds=3)
def retrying(rounds: int, pace: float) -> int:
    return _rounds(rounds, pace, rounds // 2 if runtime.flow_run.run_count == 1 else None)


@flow(name="chaos-worked-failing", retries=1, retry_delay_seconds=1)
def failing(rounds: int, pace: float) -> int:
    return _rounds(rounds, pace, rounds - 1)
