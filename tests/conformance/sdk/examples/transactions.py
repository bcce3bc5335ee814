"""What is done together is kept or undone together."""

from functools import partial
from typing import Any

from sempre import flow, task
from sempre.transactions import CommitMode, get_transaction, transaction
from tests.conformance.sdk.tools import SIDE, error_of

done: list[str] = []


def took_place() -> list[str]:
    seen = list(done)
    done.clear()
    return seen


@task
def write(name: str) -> str:
    done.append(f"write {name}")
    return name


@write.on_rollback
def remove(txn: Any) -> None:
    done.append(f"remove {txn.get('file', 'unknown')}")


@write.on_commit
def tell(txn: Any) -> None:
    done.append(f"committed {txn.get('file', 'unknown')}")


@task
def check(good: bool) -> None:
    done.append("check")
    if not good:
        raise ValueError("not good")


@flow
def pipeline(good: bool) -> str:
    with transaction() as txn:
        txn.set("file", "a.txt")
        written = write("a.txt")
        check(good)
    return written


def commit_and_rollback() -> Any:
    return [pipeline(True), took_place(), error_of(lambda: pipeline(False)), took_place()]


@task
def place(name: str) -> str:
    around = get_transaction()
    if around is not None:  # the one of this call
        around.set("placed", name)
    done.append(f"place {name}")
    return name


@place.on_rollback
def take_away(txn: Any) -> None:
    done.append(f"take away {txn.get('placed')}")


@place.on_commit
def keep(txn: Any) -> None:
    done.append(f"keep {txn.get('placed')}")


@flow
def nesting(good: bool) -> None:
    with transaction():
        place("outer")
        with transaction():
            place("inner")
        done.append("between")
        check(good)


@flow
def eager(good: bool) -> None:
    with transaction():
        with transaction(commit_mode=CommitMode.EAGER) as inner:
            inner.set("file", "eager")
            write("eager")
        check(good)


def nested() -> Any:
    return [[error_of(partial(run, good))[0], took_place()] for run in (nesting, eager) for good in (True, False)]


@flow
def with_key(value: str) -> Any:
    with transaction(key=f"{SIDE}-a-key") as txn:
        if txn.is_committed():
            return "committed before"
        inside = get_transaction()
        txn.stage(value)
        return [inside is txn, txn.is_staged()]


def keyed() -> Any:
    return [with_key("first"), with_key("second")]


@flow
def failing_inside() -> Any:
    with transaction() as txn:
        txn.set("file", "b.txt")
        write("b.txt")
        try:
            check(False)
        except ValueError:
            done.append("caught")
    return [txn.is_committed(), txn.is_rolled_back()]


def caught() -> Any:
    return [failing_inside(), took_place()]


EXAMPLES = [commit_and_rollback, nested, keyed, caught]
