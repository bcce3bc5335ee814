"""``/variables``: named JSON values, addressed by id or by name."""

from uuid import UUID

from starlette.responses import Response

from sempre.db.pool import Record
from sempre.schemas.lists import VariableFilters, VariableList
from sempre.schemas.variables import Variable, VariableCreate, VariableUpdate
from sempre.server import lists
from sempre.server.errors import Conflict, NotFound
from sempre.server.events.emit import ServerEvent, emit, resource
from sempre.server.filters.relations import VARIABLES
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import Scope, ScopeDep
from sempre.server.variables import queries

__all__ = ["router"]

router = Room(prefix="/variables", tags=["Variables"])

_NOT_FOUND = "Variable not found."


@router.post("/", status_code=201, response_model=Variable)
async def create_variable(scope: ScopeDep, variable: VariableCreate) -> Response:
    """Create a variable; 409 if the name is taken."""
    async with scope.db.transaction() as transaction:
        created = await queries.create(transaction, scope.workspace_id, variable.name, variable.value, variable.tags)
        if created is None:
            raise Conflict(f"A variable with the name {variable.name!r} already exists.")
        await emit(transaction, scope.workspace_id, _event("created", created))
    scope.doorbell.ring("events")
    return JSON(dict(created), 201)


@router.get("/name/{name}", response_model=Variable)
async def read_variable_by_name(scope: ScopeDep, name: str) -> Response:
    return await _read(scope, name)


@router.patch("/name/{name}", status_code=204)
async def update_variable_by_name(scope: ScopeDep, name: str, variable: VariableUpdate) -> Response:
    """Write the fields that were sent; a null value is a value."""
    return await _update(scope, name, variable)


@router.delete("/name/{name}", status_code=204)
async def delete_variable_by_name(scope: ScopeDep, name: str) -> Response:
    return await _delete(scope, name)


@router.get("/{id:uuid}", response_model=Variable)
async def read_variable(scope: ScopeDep, id: UUID) -> Response:
    return await _read(scope, id)


@router.patch("/{id:uuid}", status_code=204)
async def update_variable(scope: ScopeDep, id: UUID, variable: VariableUpdate) -> Response:
    """Write the fields that were sent; a null value is a value."""
    return await _update(scope, id, variable)


@router.delete("/{id:uuid}", status_code=204)
async def delete_variable(scope: ScopeDep, id: UUID) -> Response:
    return await _delete(scope, id)


@router.post("/filter", response_model=list[Variable])
async def read_variables(scope: ScopeDep, asked: VariableList) -> Response:
    """The variables that match, sorted, one page of them."""
    rows = await queries.page(scope.db, scope.workspace_id, asked, asked.sort, lists.part_of(scope, asked))
    return JSON([dict(row) for row in rows])


@router.post("/count")
async def count_variables(scope: ScopeDep, asked: VariableFilters) -> int:
    """How many variables the filter matches."""
    return await lists.count(scope.db, scope.workspace_id, VARIABLES, asked)


async def _read(scope: Scope, key: queries.Key) -> Response:
    return JSON(dict(_found(await queries.find(scope.db, scope.workspace_id, key))))


async def _update(scope: Scope, key: queries.Key, variable: VariableUpdate) -> Response:
    async with scope.db.transaction() as transaction:
        updated = _found(await queries.update(transaction, scope.workspace_id, key, variable.sent()))
        await emit(transaction, scope.workspace_id, _event("updated", updated))
    scope.doorbell.ring("events")
    return no_content()


async def _delete(scope: Scope, key: queries.Key) -> Response:
    async with scope.db.transaction() as transaction:
        deleted = _found(await queries.delete(transaction, scope.workspace_id, key))
        await emit(transaction, scope.workspace_id, _event("deleted", deleted))
    scope.doorbell.ring("events")
    return no_content()


def _found(row: Record | None) -> Record:
    if row is None:
        raise NotFound(_NOT_FOUND)
    return row


def _event(change: str, variable: Record) -> ServerEvent:
    return ServerEvent(
        event=f"prefect.variable.{change}",
        resource=resource("variable", variable["id"], variable["name"]),
        payload={"name": variable["name"], "value": variable["value"], "tags": variable["tags"]},
    )
