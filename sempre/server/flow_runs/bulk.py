"""``/flow_runs/bulk_*``: the same for up to fifty runs at once."""

import logging
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from starlette.responses import Response

from sempre.core.transitions.model import Policy, Proposal, Status
from sempre.db.errors import DatabaseUnavailable
from sempre.schemas.lists import FlowRunBulk, FlowRunBulkState
from sempre.schemas.responses import FlowRunBulkDeleteResponse, FlowRunBulkSetStateResponse
from sempre.schemas.sorting import FlowRunSort
from sempre.server.errors import ServiceError
from sempre.server.flow_runs import queries
from sempre.server.flow_runs.deletion import delete_runs
from sempre.server.flow_runs.orchestration import set_flow_run_state
from sempre.server.lists import Part
from sempre.server.orchestration import Outcome
from sempre.server.responses import JSON
from sempre.server.routing import Room
from sempre.server.scope import Scope, ScopeDep

__all__ = ["router"]

router = Room(prefix="/flow_runs", tags=["Flow Runs"])

log = logging.getLogger("sempre.server")


@router.post("/bulk_set_state", response_model=FlowRunBulkSetStateResponse)
async def bulk_set_flow_run_state(scope: ScopeDep, asked: FlowRunBulkState) -> Response:
    """Propose a state for the newest ``limit`` runs that match, each on its own; a failure of one is told as ABORT."""
    proposal = asked.state.to_proposal(datetime.now(UTC))
    policy = Policy.FORCED if asked.force else Policy.CORE
    results = [
        {"flow_run_id": id, **(await _propose(scope, id, proposal, policy)).to_wire()}
        for id in await _newest(scope, asked)
    ]
    return JSON({"results": results})


@router.post("/bulk_delete", response_model=FlowRunBulkDeleteResponse)
async def bulk_delete_flow_runs(scope: ScopeDep, asked: FlowRunBulk) -> Response:
    """Delete the newest ``limit`` runs that match, all or none."""
    ids = await _newest(scope, asked)
    async with scope.db.transaction() as transaction:
        deleted = set(await delete_runs(transaction, scope.workspace_id, ids))
    return JSON({"deleted": [id for id in ids if id in deleted]})


async def _newest(scope: Scope, asked: FlowRunBulk) -> list[UUID]:
    found = await queries.page(scope.db, scope.workspace_id, asked, FlowRunSort.ID_DESC, Part(asked.limit))
    return [row["id"] for row in found]


async def _propose(scope: Scope, id: UUID, proposal: Proposal, policy: Policy) -> Outcome:
    try:
        return await set_flow_run_state(scope, id, proposal, policy)
    except (ServiceError, DatabaseUnavailable, asyncpg.PostgresError) as error:
        # The others are not to suffer, and what was written already cannot be taken back.
        log.warning("a bulk transition of flow run %s failed: %s", id, error)
        return Outcome(Status.ABORT, None, _text(error))


def _text(error: Any) -> str:
    return error.detail if isinstance(error, ServiceError) else str(error)
