"""Old runs can be deleted through the API, in batches; the old ones of scheduled canaries are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sempre.canary.canary import Canary
from sempre.canary.stage import TAG, Stage
from sempre.client import ObjectNotFound

__all__ = ["CANARY", "SCHEDULED_FLOW"]

SCHEDULED_FLOW = "canary"  # that the deployments of `sempre canary serve` belong to
_KEPT = timedelta(days=7)
_BATCH = 100
_RUNS = 5


def check(stage: Stage) -> None:
    flow_id = stage.client.create_flow_from_name(stage.name, tags=[TAG])
    stage.cleaner(f"flow {stage.name}", lambda: stage.client.delete_flow(flow_id))
    for _ in range(_RUNS):
        stage.client.create_flow_run(flow_id, tags=[TAG], state={"type": "COMPLETED"})
    runs = stage.client.read_flow_runs(flow_filter={"name": {"any_": [stage.name]}})
    stage.equal(len(runs), _RUNS, "the number of runs that were made")
    for run in runs:
        stage.client.delete_flow_run(run.id)
    stage.equal(
        stage.client.count_flow_runs(flow_filter={"name": {"any_": [stage.name]}}), 0, "runs that were deleted and stay"
    )
    try:
        stage.run(runs[0].id)
    except ObjectNotFound:
        _delete_old_runs(stage)
    else:
        stage.fail("a run that was deleted can still be read")


def _delete_old_runs(stage: Stage) -> None:
    """Those of our own scheduled deployments that ended long ago."""
    before = (datetime.now(UTC) - _KEPT).isoformat()
    while stage.left > 5:
        found = stage.client.read_flow_runs(
            flow_filter={"name": {"any_": [SCHEDULED_FLOW]}},
            flow_run_filter={"tags": {"all_": [TAG]}, "end_time": {"before_": before}},
            limit=_BATCH,
        )
        for run in found:
            stage.client.delete_flow_run(run.id)
        if len(found) < _BATCH:
            return


CANARY = Canary("clean-up", "runs are gone when they are deleted; canaries' own go after seven days", check)
