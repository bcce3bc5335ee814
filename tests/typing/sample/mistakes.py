"""Mistakes that a checker has to find. An ignored error that is none is an error to `mypy --strict`."""

from __future__ import annotations

from datetime import date

from sempre import flow, get_client, task
from sempre.states import Completed
from sempre.variables import Variable
from tests.typing.sample.asynchronous import crawl, fetch
from tests.typing.sample.etl import etl, extract, load, report, total

DAY = date(2025, 10, 5)


def calls() -> None:
    extract("2025-10-05")  # type: ignore[call-overload]
    extract(DAY, limits=5)  # type: ignore[call-overload]
    load(1.0)  # type: ignore[call-overload]
    load(1.0, "table", True)  # type: ignore[call-overload]
    etl(DAY)  # type: ignore[call-overload]
    report()  # type: ignore[call-overload]


def values() -> None:
    number: int = report(DAY)  # type: ignore[assignment]
    text: str = total.submit([]).result()  # type: ignore[assignment]
    rows: list[float] = extract.map([DAY]).result()  # type: ignore[assignment]
    state: float = total([], return_state=True)  # type: ignore[assignment]
    print(number, text, rows, state)


async def coroutines() -> None:
    content: bytes = fetch("https://example.com")  # type: ignore[assignment]
    number: int = crawl([])  # type: ignore[assignment]
    name: str = await fetch("https://example.com")  # type: ignore[assignment]
    print(content, number, name)


def options() -> None:
    task(no_such_option=1)  # type: ignore[call-overload]
    task(retries="three")  # type: ignore[call-overload]
    flow(timeout_seconds="long")  # type: ignore[call-overload]
    report.with_options(no_such_option=1)  # type: ignore[call-arg]
    extract.with_options(retries="three")  # type: ignore[arg-type]


def others() -> None:
    with get_client(sync_client=True) as client:
        client.read_flow_runs(limt=5)  # type: ignore[call-arg]
        client.no_such_call()  # type: ignore[attr-defined]
    Variable.set("colour")  # type: ignore[call-arg]
    Completed(1)  # type: ignore[call-arg]
    extract.submitt(DAY)  # type: ignore[attr-defined]
