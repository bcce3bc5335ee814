"""Executes one flow run that the server has: `python -m sempre.sdk.execute [<flow run id>]`.

Workers and runners start this in the directory that the deployment's code is in. The exit code is 0 whenever the server
knows how the run ended, or that it goes on elsewhere; 1 if the run could not be executed.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import sys
import traceback
from typing import Any
from uuid import UUID

from sempre.sdk.api import ClientOrchestrator
from sempre.sdk.deploying.fetching import fetch_code, log_of_run
from sempre.sdk.engine.calls import execute_flow_run
from sempre.sdk.engine.related import related_to, with_tags
from sempre.sdk.engine.world import current_world
from sempre.sdk.errors import Abort, Pause, TerminationSignal
from sempre.sdk.flows import Flow
from sempre.sdk.loading import load_flow_from_entrypoint
from sempre.sdk.loggers import get_logger
from sempre.sdk.runs import FlowRun
from sempre.sdk.serving.player_events import RUNNER_NAME, STANDALONE, cancelled_event
from sempre.sdk.states import Cancelled, Crashed, State

__all__ = ["execute", "main"]

# What SIGTERM does. "reschedule": hands the run back; "relinquish": leaves it to a process started in our place.
_BEHAVIOR = "SEMPRE_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"
_COMPATIBLE_BEHAVIOR = "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"
_TERMINATED = 143  # as a shell shows a process that SIGTERM ended


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    text = given[0] if given else _variable("FLOW_RUN_ID")
    if not text:
        print("Say which flow run: python -m sempre.sdk.execute <flow run id>", file=sys.stderr)  # noqa: T201
        return 2
    return execute(UUID(text))


def execute(flow_run_id: UUID) -> int:
    """Run it to its end in this process; returns the exit code. Errors of the API are raised."""
    from sempre.client import backstage

    api = ClientOrchestrator()
    run = backstage.run(api.read_flow_run(flow_run_id))
    run.deployment_name = _variable("DEPLOYMENT_NAME")
    if run.state is not None and run.state.is_cancelling():
        backstage.run(api.propose(run.id, Cancelled(message="Cancelled before it began."), run.id, True))
        _tell_cancelled(run, None)
        return 0
    try:
        flow = _flow_of(run, api)
    except Exception as error:
        return _not_loaded(run, api, error)
    policy = {**run.empirical_policy, "retries": flow.retries, "retry_delay": int(flow.retry_delay_seconds)}
    backstage.run(api.call("PATCH", f"/flow_runs/{run.id}", {"flow_version": flow.version, "empirical_policy": policy}))
    run.empirical_policy = policy
    over = run.state is not None and run.state.is_final()
    behavior = os.environ.get(_BEHAVIOR) or os.environ.get(_COMPATIBLE_BEHAVIOR) or ""
    try:
        outcome: Any = execute_flow_run(
            flow, run, return_state=True,
            reschedules=behavior == "reschedule", relinquishes=behavior == "relinquish",
        )  # fmt: skip
        if inspect.isawaitable(outcome):
            outcome = asyncio.run(_wait(outcome))
        if isinstance(outcome, State) and outcome.is_cancelled() and not over:
            _tell_cancelled(run, flow.name)
    except (Abort, Pause) as stopped:
        get_logger().info(f"Flow run {run.name!r} does not go on here: {stopped}")
    except (TerminationSignal, asyncio.CancelledError):
        return {"reschedule": 0, "relinquish": 1}.get(behavior, _TERMINATED)
    return 0


def _tell_cancelled(run: FlowRun, flow_name: str | None) -> None:
    """That somebody cancelled the run, and it has ended here."""
    related = related_to(
        deployment=(run.deployment_id, run.deployment_name),
        flow=(run.flow_id, flow_name or _variable("FLOW_NAME")),
        flow_run=(run.id, run.name),
    )
    told = cancelled_event(os.environ.get(RUNNER_NAME, STANDALONE), with_tags(related, sorted(run.tags)))
    current_world().emit(told)


async def _wait(outcome: Any) -> Any:
    return await outcome


def _flow_of(run: FlowRun, api: ClientOrchestrator) -> Flow[..., Any]:
    """The flow of the entrypoint that whoever started this process names, or that the deployment has."""
    from sempre.client import backstage

    entrypoint = _variable("FLOW_ENTRYPOINT")
    if not entrypoint:
        if run.deployment_id is None:
            raise ValueError("the run has no deployment, so nothing says where its code is")
        deployment = backstage.run(api.call("GET", f"/deployments/{run.deployment_id}"))
        run.deployment_name = deployment["name"]
        fetch_code(deployment, run)
        entrypoint = deployment.get("entrypoint")
        if not entrypoint:
            raise ValueError(f"the deployment {deployment.get('name')!r} has no entrypoint")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    return load_flow_from_entrypoint(entrypoint)


def _not_loaded(run: FlowRun, api: ClientOrchestrator, error: Exception) -> int:
    """Without its code there is nothing to run: the run crashes, and says why."""
    from sempre.client import backstage

    log_of_run(run, logging.ERROR, "The flow could not be loaded:\n" + "".join(traceback.format_exception(error)))
    state = Crashed(message=f"The flow could not be loaded: {error}")
    backstage.run(api.propose(run.id, state, state.id, True))
    return 1


def _variable(name: str) -> str | None:
    return os.environ.get(f"SEMPRE__{name}") or os.environ.get(f"PREFECT__{name}")


if __name__ == "__main__":
    sys.exit(main())
