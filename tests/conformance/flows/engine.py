"""What the engine does inside one process: tasks, mapping, retries, nesting, failures, timeouts."""

# mypy: disable-error-code="misc, no-untyped-def, untyped-decorator"

import asyncio
import sys
import time
from typing import Any

from prefect import flow, get_run_logger, runtime, task
from prefect.states import Completed, Failed
from report import scenario  # type: ignore[import-not-found, unused-ignore]


def facts_of(state: Any, **more: Any) -> dict[str, Any]:
    return {"flow_run_id": state.state_details.flow_run_id, "state": state.name, **more}


@flow(name="hello", log_prints=True)
def hello(name: str) -> str:
    get_run_logger().info("logger says hello %s", name)
    print(f"printed hello {name}")
    return f"hello {name}"


def run_hello() -> dict[str, Any]:
    state = hello("Ada", return_state=True)
    return facts_of(state, result=state.result())


@task
def double(number: int) -> int:
    return number * 2


@flow(name="submitted")
def submitted(count: int) -> int:
    futures = [double.submit(number) for number in range(count)]
    return sum(future.result() for future in futures)


def run_submitted() -> dict[str, Any]:
    state = submitted(200, return_state=True)
    return facts_of(state, result=state.result())


@task(task_run_name="item-{number}", tags=["mapped"])
def treble(number: int) -> int:
    return number * 3


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@flow(name="mapped")
def mapped() -> int:
    return int(total(treble.map(range(20))))


def run_mapped() -> dict[str, Any]:
    state = mapped(return_state=True)
    return facts_of(state, result=state.result())


@task(retries=2, retry_delay_seconds=0.5)
def third_time_lucky() -> int:
    if runtime.task_run.run_count < 3:
        raise ValueError("not yet")
    return int(runtime.task_run.run_count)


@task(retries=1, retry_delay_seconds=0.2)
def never_lucky() -> None:
    raise ValueError("never")


@flow(name="task-retries")
def task_retries() -> Any:
    lucky = third_time_lucky(return_state=True)
    unlucky = never_lucky(return_state=True)
    return Completed(message=f"{lucky.name} {unlucky.name}")


def run_task_retries() -> dict[str, Any]:
    return facts_of(task_retries(return_state=True))


@flow(name="flow-retries", retries=2, retry_delay_seconds=1)
def flow_retries() -> int:
    if runtime.flow_run.run_count < 3:
        raise ValueError("not yet")
    return int(runtime.flow_run.run_count)


def run_flow_retries() -> dict[str, Any]:
    began = time.monotonic()
    state = flow_retries(return_state=True)
    return facts_of(state, result=state.result(), seconds=time.monotonic() - began)


@flow(name="child")
def child(number: int) -> int:
    if number < 0:
        raise ValueError("negative")
    return number + 1


@flow(name="async-child")
async def async_child(number: int) -> int:
    await asyncio.sleep(0.05)
    return number + 10


@flow(name="async-parent")
async def async_parent() -> int:
    return sum(await asyncio.gather(async_child(1), async_child(2)))


@flow(name="parent")
def parent() -> Any:
    good = child(1)
    bad = child(-1, return_state=True)
    return Completed(message=f"{good} {bad.name}")


def run_nested() -> dict[str, Any]:
    state = parent(return_state=True)
    gathered = asyncio.run(async_parent(return_state=True))
    return facts_of(state, message=state.message, async_id=gathered.state_details.flow_run_id)


@flow(name="raises")
def raises() -> None:
    raise RuntimeError("broken on purpose")


@flow(name="returns-failed")
def returns_failed() -> Any:
    return Failed(message="declared failed")


@flow(name="wants-int")
def wants_int(number: int) -> int:
    return number


@flow(name="named-end")
def named_end() -> Any:
    return Completed(name="Polished", message="custom name")


def run_failures() -> dict[str, Any]:
    invalid = wants_int("no number", return_state=True)
    ends = {"raises": raises(return_state=True), "returns": returns_failed(return_state=True), "invalid": invalid}
    ends["named"] = named_end(return_state=True)
    return {name: str(state.state_details.flow_run_id) for name, state in ends.items()}


@flow(name="crashes")
def crashes(seen: list[str]) -> None:
    seen.append(str(runtime.flow_run.id))
    sys.exit(3)


def run_crash() -> dict[str, Any]:
    seen: list[str] = []
    try:
        # Validation would copy the list, and the run id is known only inside the run.
        crashes.with_options(validate_parameters=False)(seen)
    except BaseException as error:
        return {"flow_run_id": seen[0], "raised": type(error).__name__}
    return {"error": "the crash was swallowed"}


@task(timeout_seconds=0.5)
def slow_task() -> None:
    time.sleep(5)


@flow(name="task-timeout")
def task_timeout() -> Any:
    return Completed(message=slow_task(return_state=True).name)


@flow(name="flow-timeout", timeout_seconds=0.5)
def flow_timeout() -> None:
    for _ in range(100):
        time.sleep(0.05)


def run_timeouts() -> dict[str, Any]:
    inner = task_timeout(return_state=True)
    outer = flow_timeout(return_state=True)
    return facts_of(inner, message=inner.message, flow_timeout=outer.state_details.flow_run_id)


if __name__ == "__main__":
    scenario("hello", run_hello)
    scenario("submitted", run_submitted)
    scenario("mapped", run_mapped)
    scenario("task_retries", run_task_retries)
    scenario("flow_retries", run_flow_retries)
    scenario("nested", run_nested)
    scenario("failures", run_failures)
    scenario("crash", run_crash)
    scenario("timeouts", run_timeouts)
