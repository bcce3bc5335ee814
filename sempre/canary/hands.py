"""What a runner does with runs of deployments, as far as canaries need it: claim one, execute it."""

from __future__ import annotations

import os
import subprocess
import sys
from uuid import UUID

from sempre.canary.stage import TAG, Stage
from sempre.schemas.responses import OrchestrationResult
from sempre.sdk.execute import execute

__all__ = ["carry_out", "claim", "create_run", "start_process"]


def create_run(stage: Stage, deployment_id: UUID, **parameters: object) -> UUID:
    """A run of a deployment, due now."""
    return stage.client.create_flow_run_from_deployment(deployment_id, parameters=parameters, tags=[TAG]).id


def claim(stage: Stage, run_id: UUID) -> OrchestrationResult:
    """Propose Pending, as whoever is about to execute a run does."""
    return stage.client.set_flow_run_state(run_id, {"type": "PENDING"})


def carry_out(stage: Stage, run_id: UUID) -> None:
    """Claim a run, as soon as the server lets us, and execute it here to its end. One that has ended is left alone."""

    def claimed_or_over() -> bool:
        answer = claim(stage, run_id)
        if answer.status == "ACCEPT":
            return True
        return answer.state is not None and answer.state.is_final()

    stage.wait(f"run {run_id} may be executed", claimed_or_over)
    if not stage.run(run_id).state.is_final():  # type: ignore[union-attr]
        stage.equal(execute(run_id), 0, "the exit code of an execution")


def start_process(stage: Stage, run_id: UUID, **env: str) -> subprocess.Popen[bytes]:
    """Execute a claimed run in a process of its own, which the end of the stage ends."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "sempre.sdk.execute", str(run_id)],
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def end() -> None:
        process.kill()
        process.wait()

    stage.cleaner(f"process {process.pid}", end)
    return process
