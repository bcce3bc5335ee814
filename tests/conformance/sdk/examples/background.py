"""Tasks that others run: `python background.py` serves them, the examples leave calls for it."""

from typing import Any

from sempre import flow, runtime, task
from sempre.task_worker import serve


@task(retries=1, log_prints=True)
def square(number: int) -> dict[str, Any]:
    if number == 3 and runtime.task_run.run_count < 2:
        raise ValueError("the first try of 3 fails")
    print(f"say squaring {number}")
    return {"square": number * number, "attempt": runtime.task_run.run_count}


@task
async def later(number: int) -> int:
    return number + 100


@task
def fails() -> None:
    raise ValueError("in the background")


@flow
def in_a_flow(number: int) -> int:
    return later.delay(number).result(timeout=60)


def delays() -> Any:
    futures = [square.delay(number) for number in (2, 3)]
    values = [future.result(timeout=60) for future in futures]
    failed = fails.delay()
    failed.wait(timeout=60)
    return [values, [future.state.name for future in futures], failed.state.name, later.delay(1).result(timeout=60)]


def from_flows() -> Any:
    return in_a_flow(5)


EXAMPLES = [delays, from_flows]

if __name__ == "__main__":
    serve(square, later, fails)
