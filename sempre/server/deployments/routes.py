"""``/deployments``: create or update by name, read, list, change, pause, delete. Runs and schedules have own files."""

from uuid import UUID

from starlette.responses import Response

from sempre.db.pool import Record
from sempre.schemas.deployments import DeploymentCreate, DeploymentResponse, DeploymentUpdate
from sempre.schemas.lists import DeploymentBulk, DeploymentList, DeploymentPage, QueueFilters
from sempre.schemas.responses import DeploymentBulkDeleteResponse, DeploymentPaginationResponse
from sempre.schemas.sorting import DeploymentSort
from sempre.schemas.work_pools import WorkQueue
from sempre.server import lists
from sempre.server.deployments import queries
from sempre.server.deployments.deletion import delete_deployments
from sempre.server.deployments.patch import patch
from sempre.server.deployments.pausing import set_paused
from sempre.server.deployments.rows import to_wire
from sempre.server.deployments.upsert import upsert
from sempre.server.errors import NotFound
from sempre.server.filters.relations import DEPLOYMENTS
from sempre.server.flow_runs.routes import AutomationId, AutomationName, automation_of
from sempre.server.lists import Part
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room(prefix="/deployments", tags=["Deployments"])

_NOT_FOUND = "Deployment not found"


@router.post("/", response_model=DeploymentResponse)
async def create_deployment(
    scope: ScopeDep,
    deployment: DeploymentCreate,
    prefect_automation_id: AutomationId = None,
    prefect_automation_name: AutomationName = None,
) -> Response:
    """Create a deployment (201), or update the flow's deployment of that name (200).

    What an update does not mention stays, but for schedules, parameters and labels, which are always the request's.
    """
    row, new = await upsert(scope, deployment, automation_of(prefect_automation_id, prefect_automation_name))
    return JSON(to_wire(row), 201 if new else 200)


@router.patch("/{id:uuid}", status_code=204)
async def update_deployment(scope: ScopeDep, id: UUID, deployment: DeploymentUpdate) -> Response:
    """Write the fields that were sent. Planned runs are removed; the scheduler plans new ones at once."""
    await patch(scope, id, deployment)
    return no_content()


@router.get("/name/{flow_name}/{deployment_name}", response_model=DeploymentResponse)
async def read_deployment_by_name(scope: ScopeDep, flow_name: str, deployment_name: str) -> Response:
    return _found(await queries.find_by_names(scope.db, scope.workspace_id, flow_name, deployment_name))


@router.get("/{id:uuid}", response_model=DeploymentResponse)
async def read_deployment(scope: ScopeDep, id: UUID) -> Response:
    return _found(await queries.find(scope.db, scope.workspace_id, id))


@router.post("/filter", response_model=list[DeploymentResponse])
async def read_deployments(scope: ScopeDep, asked: DeploymentList) -> Response:
    """The deployments that match, sorted, one page of them."""
    rows = await queries.page(scope.db, scope.workspace_id, asked, asked.sort, lists.part_of(scope, asked))
    return JSON([to_wire(row) for row in rows])


@router.post("/paginate", response_model=DeploymentPaginationResponse)
async def paginate_deployments(scope: ScopeDep, asked: DeploymentPage) -> Response:
    """One numbered page of the deployments that match, with their total."""
    part = lists.part_of(scope, asked)
    rows = await queries.page(scope.db, scope.workspace_id, asked, asked.sort, part)
    total = await lists.count(scope.db, scope.workspace_id, DEPLOYMENTS, asked)
    return JSON(lists.page_of([to_wire(row) for row in rows], total=total, part=part, page=asked.page))


@router.post("/count")
async def count_deployments(scope: ScopeDep, asked: QueueFilters) -> int:
    """How many deployments the filters match."""
    return await lists.count(scope.db, scope.workspace_id, DEPLOYMENTS, asked)


@router.delete("/{id:uuid}", status_code=204)
async def delete_deployment(scope: ScopeDep, id: UUID) -> Response:
    """Delete the deployment with its schedules, its own limit and the runs that only wait for their time."""
    if not await delete_deployments(scope, [id]):
        raise NotFound(_NOT_FOUND)
    return no_content()


@router.post("/bulk_delete", response_model=DeploymentBulkDeleteResponse)
async def bulk_delete_deployments(scope: ScopeDep, asked: DeploymentBulk) -> Response:
    """Delete the first ``limit`` deployments that match, by name."""
    found = await queries.page(scope.db, scope.workspace_id, asked, DeploymentSort.NAME_ASC, Part(asked.limit))
    return JSON({"deleted": await delete_deployments(scope, [row["id"] for row in found])})


@router.post("/{id:uuid}/pause_deployment")
async def pause_deployment(scope: ScopeDep, id: UUID) -> None:
    """Make no more scheduled runs, and remove the planned ones."""
    await set_paused(scope, id, True)


@router.post("/{id:uuid}/resume_deployment")
async def resume_deployment(scope: ScopeDep, id: UUID) -> None:
    await set_paused(scope, id, False)


@router.get("/{id:uuid}/work_queue_check", response_model=list[WorkQueue], deprecated=True)
async def work_queue_check_for_deployment(scope: ScopeDep, id: UUID) -> Response:
    """The queues of older agents whose filter would choose this deployment."""
    queues = await queries.legacy_queues(scope.db, scope.workspace_id, id)
    if queues is None:
        raise NotFound(_NOT_FOUND)
    return JSON([dict(queue) for queue in queues])


def _found(row: Record | None) -> Response:
    if row is None:
        raise NotFound(_NOT_FOUND)
    return JSON(to_wire(row))
