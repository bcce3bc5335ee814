"""A run completes, its lines are kept, and it ran once."""

from __future__ import annotations

import asyncio

from sempre.canary.canary import Canary
from sempre.canary.stage import TAG, Stage
from sempre.sdk.flows import flow
from sempre.sdk.loggers import get_run_logger

__all__ = ["CANARY"]


@flow
def greet(name: str) -> str:
    get_run_logger().info("greeting %s", name)
    return f"hello {name}"


@flow
async def greet_by_coroutine(name: str) -> str:
    await asyncio.sleep(0)
    return f"hello {name}"


def check(stage: Stage) -> None:
    played = stage.play(greet, "canary")
    stage.equal(played.state.result(), "hello canary", "what the flow returned")
    run = stage.run(played.id)
    stage.equal((run.state_name, run.run_count), ("Completed", 1), "state and attempts of the run")
    stage.expect(TAG in run.tags, f"the run has lost its tag: {run.tags}")
    lines = stage.wait(
        "the run's log line can be read",
        lambda: [log.message for log in stage.client.read_logs({"flow_run_id": {"any_": [str(played.id)]}})],
        lambda found: "greeting canary" in found,
    )
    stage.equal(lines.count("greeting canary"), 1, "how often the line was kept")
    state = asyncio.run(_await(stage))
    stage.equal(state, "hello canary", "what the coroutine flow returned")


async def _await(stage: Stage) -> object:
    state = await stage.own(greet_by_coroutine)("canary", return_state=True)
    return await state.aresult()


CANARY = Canary("hello", "a flow completes, its log lines are kept, and it ran once", check)
