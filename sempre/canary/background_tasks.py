"""Calls that are left with the server are taken by a task worker, each once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial

from sempre.canary.canary import Canary
from sempre.canary.stage import Stage
from sempre.sdk.background_tasks import aserve
from sempre.sdk.tasks import Task, task

__all__ = ["CANARY"]

_CALLS = 20
_STOP_SECONDS = 5.0


def check(stage: Stage) -> None:
    storage = str(stage.folder())
    done: list[int] = []

    # Under the stage's name, so that the workers of other canaries do not take its calls.
    @task(name=stage.name, persist_result=True, result_storage=storage)
    def square(number: int) -> int:
        done.append(number)
        return number * number

    stage.cleaner("task worker", _served(square))
    left = [square.delay(number) for number in range(_CALLS)]
    for future in left:
        id = future.task_run_id
        stage.cleaner(f"task run {id}", partial(stage.client.delete_task_run, id))
    stage.waits_for = "the calls that were left are executed"
    found = [future.result(timeout=max(0.1, stage.left)) for future in left]
    stage.equal(found, [number * number for number in range(_CALLS)], "what the calls returned")
    stage.equal(sorted(done), list(range(_CALLS)), "the calls that were executed")


def _served(served: Task[..., int]) -> Callable[[], None]:
    """Have a thread work on calls of a task; what ends it is returned."""
    loop = asyncio.new_event_loop()
    serving = loop.create_task(aserve(served))

    def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(serving)
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def stop() -> None:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join(_STOP_SECONDS)

    return stop


CANARY = Canary("background-tasks", f"{_CALLS} calls that are left with the server are executed, each once", check)
