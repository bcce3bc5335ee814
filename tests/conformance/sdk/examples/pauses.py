"""Runs that wait for people. A second thread is the people."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from sempre import flow, get_client, pause_flow_run, resume_flow_run, runtime, task
from sempre.input import RunInput
from tests.conformance.sdk.tools import error_of, until


class Person(RunInput):
    name: str
    age: int = 7


def resume(run_id: str, pauses: int, run_input: dict[str, Any] | None = None) -> None:
    """Resume the run once it has paused so many times."""

    def paused() -> bool:
        with get_client(sync_client=True) as client:
            states = client.read_flow_run_states(run_id)
        names = [state.name for state in states]
        return names[-1] == "Paused" and names.count("Paused") == pauses

    until(paused, f"pause {pauses} of {run_id}")
    resume_flow_run(run_id, run_input=run_input)


def people(*inputs: dict[str, Any] | None) -> threading.Thread:
    """Somebody who resumes the run around the caller, as often as there are inputs."""
    run_id = str(runtime.flow_run.id)

    def act() -> None:
        for number, given in enumerate(inputs, 1):
            resume(run_id, number, given)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


@task
def one() -> int:
    return 1


@flow
def pausing() -> Any:
    people(None, {"name": "Grace", "age": 40}, {"value": 5})
    before = one()
    pause_flow_run(timeout=60, poll_interval=1)
    who = pause_flow_run(
        wait_for_input=Person.with_initial_data(description="Who are you?", name="you"), timeout=60, poll_interval=1
    )
    number = pause_flow_run(wait_for_input=int, timeout=60, poll_interval=1, key="a-key")
    return [before, who.name, who.age, number, one()]


def pauses() -> Any:
    return pausing()


@flow
async def async_pausing() -> Any:
    people({"name": "Ada"})
    who = await pause_flow_run(wait_for_input=Person, timeout=60, poll_interval=1)
    await asyncio.sleep(0)
    return [who.name, who.age]


def async_pauses() -> Any:
    return asyncio.run(async_pausing())


@flow
def nobody_comes() -> None:
    pause_flow_run(timeout=1, poll_interval=1)


@task
def pauses_in_task() -> None:
    pause_flow_run(timeout=1)


@flow
def task_pauses() -> None:
    pauses_in_task()


def is_refused(call: Callable[[], Any]) -> bool:
    try:
        call()
    except RuntimeError:
        return True
    return False


def refusals() -> Any:
    return [
        nobody_comes(return_state=True).is_failed(),
        error_of(task_pauses)[0],
        is_refused(lambda: pause_flow_run(timeout=1)),
        error_of(lambda: resume_flow_run("00000000-0000-4000-8000-000000000000"))[0],
    ]


EXAMPLES = [pauses, async_pauses, refusals]
