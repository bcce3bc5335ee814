"""``/v2/concurrency_limits``: global limits, their slots, and the leases on them."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Body, Path
from pydantic import WithJsonSchema
from starlette.responses import Response

from sempre.db.pool import Record
from sempre.schemas.concurrency import (
    ConcurrencyLeaseHolder,
    ConcurrencyLimitV2,
    ConcurrencyLimitV2Create,
    ConcurrencyLimitV2Update,
    ConcurrencyLimitWithLeaseResponse,
    GlobalConcurrencyLimitResponse,
    MinimalConcurrencyLimitResponse,
)
from sempre.schemas.lists import Slice
from sempre.server import lists
from sempre.server.concurrency import changes, leases, queries
from sempre.server.concurrency.taking import Full, LeaseTerms, refuse, take
from sempre.server.errors import Gone, NotFound
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import Scope, ScopeDep

__all__ = ["router"]

router = Room(prefix="/v2/concurrency_limits", tags=["Concurrency Limits V2"])

_NOT_FOUND = "Concurrency Limit not found"
_GONE = "Lease not found - it may have expired or been revoked"

Slots = Annotated[int, Body(gt=0)]
Names = Annotated[list[str], Body()]
Mode = Annotated[Literal["concurrency", "rate_limit"], Body()]
LeaseSeconds = Annotated[float | None, Body(ge=60, le=86400)]
# Text that reads as an id is one.
IdOrName = Annotated[str, Path(), WithJsonSchema({"anyOf": [{"type": "string", "format": "uuid"}, {"type": "string"}]})]

_DEFAULT_LEASE_SECONDS = 300.0


@router.post("/", response_model=ConcurrencyLimitV2, status_code=201)
async def create_concurrency_limit_v2(scope: ScopeDep, concurrency_limit: ConcurrencyLimitV2Create) -> Response:
    """Create a limit; a name that is taken is a conflict."""
    return JSON(dict(await changes.create_limit(scope, concurrency_limit)), 201)


@router.post("/filter", response_model=list[GlobalConcurrencyLimitResponse])
async def read_all_concurrency_limits_v2(scope: ScopeDep, asked: Slice) -> Response:
    """All limits by name, those of tags and deployments included."""
    rows = await queries.page(scope.db, scope.workspace_id, lists.part_of(scope, asked))
    return JSON([dict(row) for row in rows])


@router.post("/increment", response_model=list[MinimalConcurrencyLimitResponse])
async def bulk_increment_active_slots(
    scope: ScopeDep,
    slots: Slots,
    names: Names,
    mode: Mode = "concurrency",
    create_if_missing: Annotated[bool | None, Body(deprecated=True)] = None,
) -> Response:
    """Take slots of every limit named, or of none: 423 with ``Retry-After``. Given back by count, or by decay."""
    try:
        _, limits = await take(scope, names, slots, rate_limit=mode == "rate_limit")
    except Full as full:
        raise await refuse(scope, full, slots) from None
    return JSON([_minimal(limit) for limit in limits])


@router.post("/increment-with-lease", response_model=ConcurrencyLimitWithLeaseResponse)
async def bulk_increment_active_slots_with_lease(
    scope: ScopeDep,
    slots: Slots,
    names: Names,
    mode: Mode = "concurrency",
    lease_duration: LeaseSeconds = _DEFAULT_LEASE_SECONDS,
    holder: Annotated[ConcurrencyLeaseHolder | None, Body()] = None,
) -> Response:
    """The same under a lease, which the taker renews and gives back; once it expires its slots are free."""
    terms = LeaseTerms(
        seconds=lease_duration or _DEFAULT_LEASE_SECONDS,
        holder_type=holder.type if holder else None,
        holder_id=holder.id if holder else None,
    )
    try:
        lease_id, limits = await take(scope, names, slots, rate_limit=mode == "rate_limit", lease=terms)
    except Full as full:
        raise await refuse(scope, full, slots) from None
    return JSON({"lease_id": lease_id, "limits": [_minimal(limit) for limit in limits]})


@router.post("/decrement", response_model=list[MinimalConcurrencyLimitResponse])
async def bulk_decrement_active_slots(
    scope: ScopeDep,
    slots: Slots,
    names: Names,
    occupancy_seconds: Annotated[float | None, Body(gt=0, allow_inf_nan=False)] = None,
    create_if_missing: Annotated[bool | None, Body(deprecated=True)] = None,
) -> Response:
    """Give back slots that were taken without a lease. Returns the limits that exist."""
    return JSON(await leases.release_by_count(scope, names, slots, occupancy_seconds))


@router.post("/decrement-with-lease", status_code=204)
async def bulk_decrement_active_slots_with_lease(
    scope: ScopeDep, lease_id: Annotated[UUID, Body(embed=True)]
) -> Response:
    """Give back everything that a lease holds. An unknown lease holds nothing."""
    await leases.release(scope, [lease_id])
    return no_content()


@router.post("/leases/{lease_id}/renew", status_code=204)
async def renew_concurrency_lease(
    scope: ScopeDep, lease_id: UUID, lease_duration: Annotated[LeaseSeconds, Body(embed=True)] = _DEFAULT_LEASE_SECONDS
) -> Response:
    """Keep a lease for another ``lease_duration`` seconds: 410 if it is gone, or its slots are somebody else's now."""
    if not await leases.renew(scope.db, scope.workspace_id, lease_id, lease_duration or _DEFAULT_LEASE_SECONDS):
        raise Gone(_GONE)
    return no_content()


@router.get("/{id_or_name}", response_model=GlobalConcurrencyLimitResponse)
async def read_concurrency_limit_v2(scope: ScopeDep, id_or_name: IdOrName) -> Response:
    return JSON(dict(await _find(scope, id_or_name)))


@router.patch("/{id_or_name}", status_code=204)
async def update_concurrency_limit_v2(
    scope: ScopeDep, id_or_name: IdOrName, concurrency_limit: ConcurrencyLimitV2Update
) -> Response:
    """Change what is sent. Of a limit without decay, ``active_slots`` counts: slots without a holder come or go."""
    if not await changes.update_limit(scope, await _find(scope, id_or_name), concurrency_limit):
        raise NotFound(_NOT_FOUND)
    return no_content()


@router.delete("/{id_or_name}", status_code=204)
async def delete_concurrency_limit_v2(scope: ScopeDep, id_or_name: IdOrName) -> Response:
    """Delete a limit with its slots. Leases on it stay and can be renewed."""
    found = await _find(scope, id_or_name)
    if not await changes.delete_limit(scope, found["id"]):
        raise NotFound(_NOT_FOUND)
    return no_content()


async def _find(scope: Scope, id_or_name: str) -> Record:
    """What can be read as an id is one."""
    try:
        id = UUID(id_or_name)
    except ValueError:
        found = await queries.find(scope.db, scope.workspace_id, name=id_or_name)
    else:
        found = await queries.find(scope.db, scope.workspace_id, id=id)
    if found is None:
        raise NotFound(_NOT_FOUND)
    return found


def _minimal(limit: Record) -> dict[str, object]:
    return {"id": limit["id"], "name": limit["name"], "limit": limit["limit"]}
