"""``/flow_runs/{id}/input``: what is said to a flow run, and what it says."""

from typing import Annotated
from uuid import UUID

from fastapi import Body
from starlette.responses import PlainTextResponse, Response

from sempre.schemas.base import Slug
from sempre.schemas.flow_runs import FlowRunInput
from sempre.schemas.lists import InputList
from sempre.server.errors import Conflict, NotFound
from sempre.server.flow_runs import input_queries
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room(prefix="/flow_runs/{id:uuid}/input", tags=["Flow Runs"])

_NOT_FOUND = "Flow run input not found"


@router.post("", status_code=201)
async def create_flow_run_input(
    scope: ScopeDep,
    id: UUID,
    key: Annotated[Slug, Body(description="Lowercase letters, digits and dashes")],
    value: Annotated[str, Body(json_schema_extra={"contentMediaType": "application/octet-stream"})],
    sender: Annotated[str | None, Body()] = None,
) -> Response:
    """Store an input; a key can be used once per run."""
    run_exists, stored = await input_queries.create(scope.db, scope.workspace_id, id, key, value, sender)
    if not run_exists:
        raise NotFound("Flow run not found")
    if not stored:
        raise Conflict("A flow run input with this key already exists.")
    return JSON(None, 201)


@router.post("/filter", response_model=list[FlowRunInput])
async def filter_flow_run_input(scope: ScopeDep, id: UUID, asked: InputList) -> Response:
    """Inputs whose key begins with ``prefix``, oldest first; none for an unknown run."""
    found = await input_queries.listed(
        scope.db, scope.workspace_id, id, prefix=asked.prefix, exclude_keys=asked.exclude_keys, limit=asked.limit
    )
    return JSON([dict(row) for row in found])


@router.get("/{key}")
async def read_flow_run_input(scope: ScopeDep, id: UUID, key: str) -> Response:
    """The value as it was stored, as plain text."""
    value = await input_queries.value_of(scope.db, scope.workspace_id, id, key)
    if value is None:
        raise NotFound(_NOT_FOUND)
    return PlainTextResponse(value)


@router.delete("/{key}", status_code=204)
async def delete_flow_run_input(scope: ScopeDep, id: UUID, key: str) -> Response:
    if not await input_queries.delete(scope.db, scope.workspace_id, id, key):
        raise NotFound(_NOT_FOUND)
    return no_content()
