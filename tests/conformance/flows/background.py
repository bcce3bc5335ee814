"""Background tasks: `serve` runs a task worker, `submit N` delays N tasks and waits for their results."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

import os
import sys
from typing import Any

from prefect import task
from prefect.task_worker import serve
from report import scenario  # type: ignore[import-not-found, unused-ignore]


@task(persist_result=True, retries=1, retry_delay_seconds=0.2, log_prints=True)
def square(number: int) -> dict[str, int]:
    from prefect import runtime

    if number == 3 and runtime.task_run.run_count < 2:
        raise ValueError("the first try of 3 fails")
    print(f"squaring {number}")
    return {"square": number * number, "pid": os.getpid()}


def submit(count: int) -> dict[str, Any]:
    futures = [square.delay(number) for number in range(count)]
    ids = [str(future.task_run_id) for future in futures]
    for future in futures:
        future.wait(timeout=60)
    results = [future.result(timeout=10) for future in futures]
    return {
        "task_run_ids": ids,
        "squares": [result["square"] for result in results],
        "pids": sorted({result["pid"] for result in results}),
    }


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(square)
    else:
        scenario("submit", lambda: submit(int(sys.argv[2])))
