"""Hooks: what is called when runs change their state."""

import asyncio
import sys
from typing import Any

from sempre import flow, task
from sempre.states import Failed
from tests.conformance.sdk.tools import error_of

heard: list[list[str]] = []


def hook(thing: Any, run: Any, state: Any) -> None:
    heard.append([thing.name, type(run).__name__, state.type.value, state.name])


def second_hook(thing: Any, run: Any, state: Any) -> None:
    heard.append(["second", state.name])


def broken_hook(thing: Any, run: Any, state: Any) -> None:
    heard.append(["broken", state.name])
    raise RuntimeError("a hook that fails")


async def async_hook(thing: Any, run: Any, state: Any) -> None:
    heard.append(["async", state.name])


def took_place() -> list[list[str]]:
    seen = list(heard)
    heard.clear()
    return seen


@task(on_completion=[hook, broken_hook, second_hook], on_failure=[hook], on_running=[hook])
def hooked_task(fails: bool) -> int:
    if fails:
        raise ValueError("as told")
    return 1


@task(retries=1, on_failure=[hook], on_running=[second_hook])
def retried_task() -> None:
    raise ValueError("twice")


@flow(on_completion=[hook, async_hook], on_failure=[hook], on_running=[second_hook], on_crashed=[hook])
def hooked(what: str) -> Any:
    if what == "raise":
        raise ValueError("as told")
    if what == "fail":
        return Failed(message="as told")
    if what == "exit":
        sys.exit(1)
    return hooked_task(False) + len(hooked_task(True, return_state=True).name)


def of_flows_and_tasks() -> Any:
    seen = []
    for what in ("complete", "raise", "fail", "exit"):
        try:
            hooked(what, return_state=True)
        except BaseException as error:
            seen.append([type(error).__name__])
        seen += took_place()
    return seen


@flow
def retries_a_task() -> None:
    retried_task(return_state=True)


def of_retries() -> Any:
    retries_a_task()
    return took_place()


@flow
def decorated(good: bool) -> None:
    if not good:
        raise ValueError("as told")


@decorated.on_completion
def on_completion(flow: Any, run: Any, state: Any) -> None:
    heard.append(["completed", state.name])


@decorated.on_failure
def on_failure(flow: Any, run: Any, state: Any) -> None:
    heard.append(["failed", state.name])


def by_decorators() -> Any:
    decorated(True)
    return [error_of(lambda: decorated(False))[0], took_place()]


@flow(on_completion=[async_hook], on_running=[hook])
async def async_hooked() -> str:
    await asyncio.sleep(0)
    return "done"


def of_coroutines() -> Any:
    return [asyncio.run(async_hooked()), took_place()]


EXAMPLES = [of_flows_and_tasks, of_retries, by_decorators, of_coroutines]
