"""Flows and tasks as users write them, with what a checker has to make of each call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, assert_type

from pydantic import BaseModel

from sempre import Flow, State, Task, allow_failure, flow, get_run_logger, tags, task, unmapped
from sempre.cache_policies import INPUTS, TASK_SOURCE
from sempre.futures import PrefectFuture, PrefectFutureList, as_completed, wait
from sempre.states import Completed, Failed
from sempre.task_runners import ThreadPoolTaskRunner
from sempre.tasks import exponential_backoff

DAY = date(2025, 10, 5)


class Row(BaseModel):
    day: date
    amount: float


@task(retries=3, retry_delay_seconds=exponential_backoff(2), tags=["io"], timeout_seconds=10)
def extract(day: date, limit: int = 100) -> list[Row]:
    return [Row(day=day, amount=float(limit))]


@task(cache_policy=INPUTS + TASK_SOURCE, cache_expiration=timedelta(hours=1), result_serializer="json")
def total(rows: Sequence[Row]) -> float:
    return sum(row.amount for row in rows)


@task(task_run_name="load {table}")
def load(amount: float, table: str, *, dry_run: bool = False) -> None:
    get_run_logger().info("%s into %s", amount, table)


@flow(name="etl", task_runner=ThreadPoolTaskRunner(max_workers=4), log_prints=True, retries=1)
def etl(days: list[date], table: str = "totals") -> float:
    rows = extract(days[0])
    assert_type(rows, list[Row])
    amount = total(rows)
    assert_type(amount, float)
    load(amount, table, dry_run=True)
    load(amount, table=table)

    future = extract.submit(days[0], limit=5)
    assert_type(future, PrefectFuture[list[Row]])
    assert_type(future.result(), list[Row])
    assert_type(future.state, State[list[Row]])
    dependent = total.submit(future, wait_for=[future])
    assert_type(dependent.result(timeout=5), float)
    assert_type(total.submit(allow_failure(future)).result(raise_on_failure=False), float)

    several = extract.map(days, unmapped(3))
    assert_type(several, PrefectFutureList[list[Row]])
    assert_type(several.result(), list[list[Row]])
    totals = total.map(several)
    assert_type([one.result() for one in totals], list[float])
    done, waiting = wait(totals, timeout=10)
    for one in as_completed(totals):
        assert_type(one.result(), float)
    states = total.map(several, return_state=True)
    assert_type(states, list[State[float]])
    assert_type(total.submit(rows, return_state=True), State[float])

    with tags("nightly"):
        state = total(rows, return_state=True)
    assert_type(state, State[float])
    assert_type(state.result(), float)
    if state.is_failed() or done or waiting:
        return 0.0
    assert_type(report(days[0]), str)
    assert_type(report.with_options(name="other", retries=2)(days[0]), str)
    return amount


@flow
def report(day: date, title: str | None = None) -> str:
    return title or day.isoformat()


@flow
def explicit(good: bool) -> State[int]:
    return Completed(data=1) if good else Failed(message="not good")


def main() -> None:
    assert_type(etl([DAY]), float)
    assert_type(etl([DAY], table="x", return_state=True), State[float])
    assert_type(report.fn(DAY), str)
    assert_type(extract.fn(DAY, limit=1), list[Row])
    flows: list[Flow[..., Any]] = [etl, report, explicit]
    tasks: list[Task[..., Any]] = [extract, total, load]
    print([each.name for each in flows], [each.name for each in tasks])
