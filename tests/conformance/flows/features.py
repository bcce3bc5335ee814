"""Results and caching, transactions, variables, and every kind of limit."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

import threading
import time
from typing import Any

from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.concurrency.sync import concurrency, rate_limit
from prefect.futures import wait
from prefect.transactions import transaction
from prefect.variables import Variable
from report import scenario  # type: ignore[import-not-found, unused-ignore]

computed: list[int] = []


class Overlap:
    """Counts how many bodies run at once in this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = 0
        self.most = 0

    def __enter__(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.now -= 1


def facts_of(state: Any, **more: Any) -> dict[str, Any]:
    return {"flow_run_id": state.state_details.flow_run_id, "state": state.name, **more}


@task(persist_result=True, cache_policy=INPUTS)
def expensive(number: int) -> int:
    computed.append(number)
    return number * number


@flow(name="caching", persist_result=True)
def caching() -> list[int]:
    return [expensive(7), expensive(7), expensive(8)]


def run_caching() -> dict[str, Any]:
    first = caching(return_state=True)
    second = caching(return_state=True)
    return facts_of(first, second=second.state_details.flow_run_id, result=second.result(), computed=list(computed))


undone: list[str] = []
kept: list[str] = []


@task
def write(name: str) -> str:
    return name


@write.on_rollback
def remove(_: Any) -> None:
    undone.append("write")


@write.on_commit
def keep(_: Any) -> None:
    kept.append("write")


@flow(name="transactions")
def transactions() -> None:
    with transaction(key="commits"):
        write("committed")
    try:
        with transaction(key="rolls-back"):
            write("rolled back")
            raise RuntimeError("undo")
    except RuntimeError:
        pass


def run_transactions() -> dict[str, Any]:
    return facts_of(transactions(return_state=True), undone=undone, kept=kept)


def run_variables() -> dict[str, Any]:
    Variable.set("conformance_answer", 42, tags=["a"])
    first = Variable.get("conformance_answer")
    Variable.set("conformance_answer", {"deep": [1, 2]}, overwrite=True)
    second = Variable.get("conformance_answer")
    missing = Variable.get("conformance_missing", default="fallback")
    Variable.set("conformance_gone", "x")
    unset = Variable.unset("conformance_gone")
    return {"first": first, "second": second, "missing": missing, "unset": unset}


guarded = Overlap()


@task
def guarded_work(number: int) -> int:
    with concurrency("conformance-gcl", occupy=1), guarded:
        time.sleep(0.3)
    return number


@flow(name="global-concurrency")
def global_concurrency() -> None:
    wait([guarded_work.submit(number) for number in range(5)])


def run_global_concurrency() -> dict[str, Any]:
    return facts_of(global_concurrency(return_state=True), most=guarded.most)


@flow(name="rate-limited")
def rate_limited() -> float:
    began = time.monotonic()
    for _ in range(4):
        rate_limit("conformance-rate")
    return time.monotonic() - began


def run_rate_limit() -> dict[str, Any]:
    state = rate_limited(return_state=True)
    return facts_of(state, seconds=state.result())


tagged = Overlap()


@task(tags=["conformance-tag"])
def tagged_work(number: int) -> int:
    with tagged:
        time.sleep(0.3)
    return number


@flow(name="tag-limited")
def tag_limited() -> None:
    wait(tagged_work.map(range(3)))


def run_tag_limit() -> dict[str, Any]:
    return facts_of(tag_limited(return_state=True), most=tagged.most)


if __name__ == "__main__":
    scenario("caching", run_caching)
    scenario("transactions", run_transactions)
    scenario("variables", run_variables)
    scenario("global_concurrency", run_global_concurrency)
    scenario("rate_limit", run_rate_limit)
    scenario("tag_limit", run_tag_limit)
