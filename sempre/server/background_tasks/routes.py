"""``/task_workers``: who is connected to run background tasks."""

from starlette.responses import Response

from sempre.schemas.lists import TaskWorkerList
from sempre.schemas.task_runs import TaskWorkerResponse
from sempre.server.background_tasks import queries
from sempre.server.responses import JSON
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room(prefix="/task_workers", tags=["Task Workers"])


@router.post("/filter", response_model=list[TaskWorkerResponse])
async def read_task_workers(scope: ScopeDep, asked: TaskWorkerList) -> Response:
    """Task workers connected to any API server; with keys, those that serve at least one of the tasks."""
    task_keys = asked.task_worker_filter.task_keys if asked.task_worker_filter else []
    found = await queries.workers(scope.db, scope.workspace_id, task_keys)
    return JSON([dict(row) for row in found])
