"""First steps: arguments, names, values, logs."""

import asyncio
from datetime import date
from typing import Any

from pydantic import BaseModel

from sempre import flow, get_run_logger, runtime, task
from tests.conformance.sdk.tools import ended, error_of


@flow(log_prints=True)
def hello(name: str = "world") -> str:
    get_run_logger().info("say hello %s", name)
    print(f"say printed {name}")
    return f"hello {name}"


def greeting() -> Any:
    return [hello(), hello("Ada"), ended(hello(name="Grace", return_state=True))]


@task
async def fetch(number: int) -> int:
    await asyncio.sleep(0.01)
    return number * 10


@flow
async def gather_numbers(count: int) -> list[int]:
    return list(await asyncio.gather(*(fetch(number) for number in range(count))))


def asynchronous() -> Any:
    return asyncio.run(gather_numbers(3))


class Person(BaseModel):
    name: str
    age: int = 3


@flow(name="typed arguments", version="7", description="Takes what can be converted.")
def typed(person: Person, times: int, day: date | None = None) -> Any:
    return [type(person).__name__, person.age + times, str(day), runtime.flow_run.parameters["times"]]


def arguments() -> Any:
    given: dict[str, Any] = {"person": {"name": "Ada", "age": "36"}, "times": "2", "day": "2025-10-05"}
    wrong: dict[str, Any] = {"person": {"name": "Ada"}, "times": "many"}
    missing: Any = typed
    return [
        typed(**given),
        typed(Person(name="Grace"), 1),
        ended(typed(**wrong, return_state=True)),
        error_of(lambda: missing(1))[0],
    ]


@task(task_run_name="{name} sets out")
def set_out(name: str) -> str | None:
    return runtime.task_run.name


def named_by_function() -> str:
    return f"made for {runtime.flow_run.flow_name}"


def task_name(parameters: dict[str, Any]) -> str:
    return "task of " + ", ".join(sorted(parameters))


@task(task_run_name=task_name)
def arrive(name: str, when: date) -> str | None:
    return runtime.task_run.name


@flow(flow_run_name="{name} on {day:%A}")
def journey(name: str, day: date) -> Any:
    return [runtime.flow_run.name, set_out(name), arrive(name, when=day)]


@flow(flow_run_name=named_by_function)
def journey_of_a_function() -> str | None:
    return runtime.flow_run.name


def names() -> Any:
    return [journey("Ada", date(2025, 10, 5)), journey_of_a_function()]


@flow(validate_parameters=False)
def unchecked(number: int) -> str:
    return type(number).__name__


def without_validation() -> Any:
    anything: Any = "5"
    return unchecked(anything)


@task
def logs(text: str) -> None:
    get_run_logger().warning("say task %s", text)
    print("say this goes to the console only")


@task(log_prints=True)
def prints() -> None:
    print("say printed in a task")


@flow
def logging_flow() -> Any:
    logs("one")
    prints()
    run = runtime.flow_run
    return [run.flow_name, run.run_count, run.parent_flow_run_id, runtime.deployment.id, runtime.task_run.id]


def logging_and_runtime() -> Any:
    return [logging_flow(), runtime.flow_run.id, runtime.flow_run.tags]


EXAMPLES = [greeting, asynchronous, arguments, names, without_validation, logging_and_runtime]
