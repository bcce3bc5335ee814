"""``/concurrency_limits``: limits of task tags, an older view of the global limits named ``tag:<tag>``."""

from typing import Annotated
from uuid import UUID

from fastapi import Body
from starlette.responses import Response

from sempre.db.pool import Record
from sempre.schemas.concurrency import (
    ConcurrencyLimit,
    ConcurrencyLimitCreate,
    MinimalConcurrencyLimitResponse,
)
from sempre.schemas.lists import Slice
from sempre.server import lists
from sempre.server.concurrency import changes, queries, tags
from sempre.server.errors import NotFound, Unprocessable
from sempre.server.responses import JSON
from sempre.server.routing import Room
from sempre.server.scope import Scope, ScopeDep

__all__ = ["router"]

router = Room(prefix="/concurrency_limits", tags=["Concurrency Limits"])

_NOT_FOUND = "Concurrency limit not found"


@router.post("/", response_model=ConcurrencyLimit)
async def create_concurrency_limit(scope: ScopeDep, concurrency_limit: ConcurrencyLimitCreate) -> Response:
    """Set the limit of a tag: 201 if it had none, 200 if it is changed."""
    if concurrency_limit.concurrency_limit < 0:
        raise Unprocessable("A concurrency limit cannot be negative.")
    row, inserted = await changes.put_tag_limit(scope, concurrency_limit.tag, concurrency_limit.concurrency_limit)
    return JSON(dict(row), 201 if inserted else 200)


@router.post("/filter", response_model=list[ConcurrencyLimit])
async def read_concurrency_limits(scope: ScopeDep, asked: Slice) -> Response:
    """The limits of tags, by name."""
    rows = await queries.page(
        scope.db,
        scope.workspace_id,
        lists.part_of(scope, asked),
        prefix="tag:",
        columns=queries.TAG_COLUMNS,
    )
    return JSON([dict(row) for row in rows])


@router.post("/increment", response_model=list[MinimalConcurrencyLimitResponse])
async def increment_concurrency_limits_v1(
    scope: ScopeDep, names: Annotated[list[str], Body()], task_run_id: Annotated[UUID, Body()]
) -> Response:
    """One slot of each tag for a task run, or none: 423. Tags without a limit are passed over."""
    return JSON(await tags.take_for(scope, names, task_run_id))


@router.post("/decrement", response_model=list[MinimalConcurrencyLimitResponse])
async def decrement_concurrency_limits_v1(
    scope: ScopeDep, names: Annotated[list[str], Body()], task_run_id: Annotated[UUID, Body()]
) -> Response:
    """Give back what a task run holds of these tags."""
    return JSON(await tags.give_back(scope, names, task_run_id))


@router.get("/tag/{tag}", response_model=ConcurrencyLimit)
async def read_concurrency_limit_by_tag(scope: ScopeDep, tag: str) -> Response:
    return JSON(dict(await _by_tag(scope, tag)))


@router.post("/tag/{tag}/reset")
async def reset_concurrency_limit_by_tag(
    scope: ScopeDep, tag: str, slot_override: Annotated[list[UUID] | None, Body(embed=True)] = None
) -> Response:
    """End all that is held of the tag; the task runs in ``slot_override`` then hold one slot each."""
    limit = await _by_tag(scope, tag)
    await tags.reset(scope, limit["id"], slot_override or [])
    return JSON(None)


@router.delete("/tag/{tag}")
async def delete_concurrency_limit_by_tag(scope: ScopeDep, tag: str) -> Response:
    return await _delete(scope, await _by_tag(scope, tag))


@router.get("/{id:uuid}", response_model=ConcurrencyLimit)
async def read_concurrency_limit(scope: ScopeDep, id: UUID) -> Response:
    return JSON(dict(await _by_id(scope, id)))


@router.delete("/{id:uuid}")
async def delete_concurrency_limit(scope: ScopeDep, id: UUID) -> Response:
    return await _delete(scope, await _by_id(scope, id))


async def _delete(scope: Scope, limit: Record) -> Response:
    if not await tags.delete(scope, limit["id"]):
        raise NotFound(_NOT_FOUND)
    return JSON(None)


async def _by_tag(scope: Scope, tag: str) -> Record:
    found = await queries.find(scope.db, scope.workspace_id, name=f"tag:{tag}", columns=queries.TAG_COLUMNS)
    if found is None:
        raise NotFound(_NOT_FOUND)
    return found


async def _by_id(scope: Scope, id: UUID) -> Record:
    found = await queries.find_tag(scope.db, scope.workspace_id, id)
    if found is None:
        raise NotFound(_NOT_FOUND)
    return found
