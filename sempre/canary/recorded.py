"""Task runs as the server knows them: it makes them of events, so they are there a moment later."""

from __future__ import annotations

from uuid import UUID

from sempre.canary.stage import Stage
from sempre.schemas.task_runs import TaskRun

__all__ = ["count_recorded", "recorded"]


def recorded(stage: Stage, flow_run_id: UUID, count: int) -> list[TaskRun]:
    """The task runs of a flow run, once as many have ended; fails if there are more of them."""

    def look() -> list[TaskRun]:
        return stage.client.read_task_runs(flow_run_filter={"id": {"any_": [str(flow_run_id)]}}, limit=200)

    def ended(runs: list[TaskRun]) -> bool:
        return len(runs) >= count and all(run.state is not None and run.state.is_final() for run in runs)

    runs = stage.wait(f"{count} task runs are recorded as ended", look, ended)
    stage.equal(len(runs), count, "the number of task runs")
    return runs


def count_recorded(stage: Stage, flow_run_id: UUID, count: int) -> None:
    """Wait until exactly so many task runs of a flow run have completed."""
    flow_run = {"id": {"any_": [str(flow_run_id)]}}
    completed = {"state": {"type": {"any_": ["COMPLETED"]}}}

    def look() -> int:
        return stage.client.count_task_runs(flow_run_filter=flow_run, task_run_filter=completed)

    stage.wait(f"{count} task runs are recorded as completed", look, lambda found: found >= count)
    stage.equal(stage.client.count_task_runs(flow_run_filter=flow_run), count, "the number of task runs")
