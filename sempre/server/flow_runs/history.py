"""``/flow_runs/history`` and ``/flow_runs/lateness``: many runs in a few numbers."""

from sqlalchemy import func, select
from starlette.responses import Response

from sempre.db import tables
from sempre.schemas.lists import FlowRunHistory, QueueFilters
from sempre.schemas.responses import HistoryResponse
from sempre.server.estimates import lateness as lateness_of
from sempre.server.filters.relations import FLOW_RUNS, matching
from sempre.server.history import intervals_of, read_history
from sempre.server.lists import value
from sempre.server.responses import JSON
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room(prefix="/flow_runs", tags=["Flow Runs"])


@router.post("/history", response_model=list[HistoryResponse])
async def flow_run_history(scope: ScopeDep, asked: FlowRunHistory) -> Response:
    """The runs that match by the interval in which they were expected to start, and by state."""
    intervals = intervals_of(asked)
    condition = matching(FLOW_RUNS, asked, scope.workspace_id)
    return JSON(await read_history(scope.db, tables.flow_run, condition, intervals))


@router.post("/lateness")
async def average_flow_run_lateness(scope: ScopeDep, asked: QueueFilters) -> float | None:
    """Mean lateness in seconds of the runs that match (those on time count as 0); null if there are none."""
    runs = tables.flow_run
    mean_lateness = func.avg(lateness_of(runs.c))
    query = select(mean_lateness).select_from(runs).where(matching(FLOW_RUNS, asked, scope.workspace_id))
    mean: float | None = await value(scope.db, query)
    return mean
