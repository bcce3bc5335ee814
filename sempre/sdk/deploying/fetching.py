"""The code of a deployment, brought to the process that executes one of its runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sempre.sdk.loggers import RunLogger, setup
from sempre.sdk.runs import FlowRun

if TYPE_CHECKING:
    from sempre.sdk.deploying.steps.running import Step

__all__ = ["fetch_code", "log_of_run"]


def fetch_code(deployment: Mapping[str, Any], run: FlowRun) -> None:
    """Carry out the pull steps, and go to the directory that the code is in. Raises StepError."""
    directory = deployment.get("path")
    given = deployment.get("pull_steps") or []
    if directory and os.path.isdir(directory):
        os.chdir(directory)
    if given:
        directory = _pull(given, deployment, run)
        if directory:
            os.chdir(directory)


def _pull(given: list[Any], deployment: Mapping[str, Any], run: FlowRun) -> str | None:
    from sempre.sdk.deploying.steps.running import parse_steps, run_steps

    steps = parse_steps(given)
    log_of_run(run, logging.INFO, f"Running {len(steps)} deployment pull step{'s' if len(steps) != 1 else ''}")
    before = os.getcwd()

    def begin(index: int, step: Step) -> None:
        log_of_run(run, logging.INFO, f"Executing deployment step: {step.short_name}")

    def end(index: int, step: Step) -> None:
        log_of_run(run, logging.INFO, f"Deployment step {step.short_name!r} completed successfully")
        _tell(index, step, deployment, run)

    found = run_steps(steps, before=begin, after=end).get("directory")
    if found is None or os.path.isabs(found):
        return found
    return os.path.join(before, found)  # relative to where the steps began, wherever they went


def _tell(index: int, step: Step, deployment: Mapping[str, Any], run: FlowRun) -> None:
    """The inputs as they are written: what placeholders stand for may be secret."""
    from sempre.sdk.events import emit_event

    emit_event(
        "prefect.flow-run.pull-step.executed",
        {"prefect.resource.id": f"prefect.flow-run.{run.id}"},
        related=[
            {
                "prefect.resource.id": f"prefect.deployment.{deployment['id']}",
                "prefect.resource.role": "deployment",
            }
        ],
        payload={
            "index": index,
            "qualified_name": step.name,
            "step_name": step.short_name,
            "id": step.id,
            "inputs": dict(step.inputs),
        },
    )


def log_of_run(run: FlowRun, level: int, message: str) -> None:
    """A line of the run's, shown and sent, from before its flow is known."""
    setup()
    facts = {"flow_run_id": str(run.id), "flow_run_name": run.name, "flow_name": ""}
    RunLogger(logging.getLogger("sempre.flow_runs"), facts).log(level, message)
