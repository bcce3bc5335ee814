"""``/automations``: triggers and what to do when they fire."""

from typing import Any
from uuid import UUID

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter
from starlette.responses import Response

from sempre.db.pool import Record
from sempre.schemas.actions import Action
from sempre.schemas.automations import (
    Automation,
    AutomationCreate,
    AutomationPartialUpdate,
    AutomationUpdate,
    check_for_loop,
)
from sempre.schemas.lists import AutomationFilters, AutomationList
from sempre.schemas.triggers import with_new_ids
from sempre.server import lists
from sempre.server.automations import queries
from sempre.server.automations.checks import check_actions, deployments_run
from sempre.server.automations.events import automation_event
from sempre.server.errors import Conflict, ObjectNotFound
from sempre.server.events.emit import emit
from sempre.server.filters.relations import AUTOMATIONS
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import Scope, ScopeDep
from sempre.server.triggers.counters import forget
from sempre.server.triggers.definitions import ids_below

__all__ = ["router"]

router = Room(prefix="/automations", tags=["Automations"])

_NOT_FOUND = "Automation not found"
_ATTEMPTS = 20  # writes that may come between reading an automation and writing it
_ACTIONS = TypeAdapter(list[Action])
_ACTION_FIELDS = ("actions", "actions_on_trigger", "actions_on_resolve")


@router.post("/", status_code=201, response_model=Automation)
async def create_automation(scope: ScopeDep, automation: AutomationCreate) -> Response:
    """Create an automation; its triggers get ids of their own.

    With an id that is there already nothing is done but to answer with what is there.
    """
    await check_actions(scope, _actions(automation), empty_too=False)
    values = _stored(automation, queries.FIELDS)
    async with scope.db.transaction() as transaction:
        created = await queries.create(transaction, scope.workspace_id, values, id=automation.id)
        if created is None:
            # The first attempt of this call has committed, all of it.
            return await _again(scope, automation.id)
        id = created["id"]
        if automation.owner_resource:
            await queries.relate(transaction, scope.workspace_id, id, [automation.owner_resource], owned=True)
        await queries.relate(transaction, scope.workspace_id, id, _deployments(automation), owned=False)
        await emit(transaction, scope.workspace_id, automation_event("created", created))
    _ring(scope)
    return JSON(dict(created), 201)


@router.put("/{id:uuid}", status_code=204)
async def update_automation(scope: ScopeDep, id: UUID, automation: AutomationUpdate) -> Response:
    """Write what was sent; what was not keeps its value. The triggers get new ids and begin anew."""
    before = await queries.find(scope.db, scope.workspace_id, id)
    if before is None:
        raise ObjectNotFound(_NOT_FOUND)
    await check_actions(scope, _actions(automation), empty_too=True)
    changes = _stored(automation, (name for name in queries.FIELDS if name in automation.model_fields_set))
    async with scope.db.transaction() as transaction:
        updated = await queries.update(transaction, scope.workspace_id, id, changes)
        if updated is None:
            raise ObjectNotFound(_NOT_FOUND)
        await forget(transaction, id, ids_below(before["trigger"]))
        # Actions that were not sent are still there: relations follow what the automation now holds.
        related = deployments_run(*(_ACTIONS.validate_python(updated[name]) for name in _ACTION_FIELDS))
        await queries.unrelate_others(transaction, scope.workspace_id, id, related)
        await queries.relate(transaction, scope.workspace_id, id, related, owned=False)
        await emit(transaction, scope.workspace_id, automation_event("updated", updated))
    _ring(scope)
    return no_content()


@router.patch("/{id:uuid}", status_code=204)
async def patch_automation(scope: ScopeDep, id: UUID, automation: AutomationPartialUpdate) -> Response:
    """Switch an automation on or off; its triggers go on from where they are."""
    for _ in range(_ATTEMPTS):
        current = await queries.find(scope.db, scope.workspace_id, id)
        if current is None:
            raise ObjectNotFound(_NOT_FOUND)
        changes = automation.sent()
        _check_loop(current, changes)
        async with scope.db.transaction() as transaction:
            updated = await queries.update(
                transaction, scope.workspace_id, id, changes, unchanged_since=current["updated"]
            )
            if updated is not None:
                await emit(transaction, scope.workspace_id, automation_event("updated", updated))
        if updated is not None:
            _ring(scope)
            return no_content()
    raise Conflict("The automation is being changed by others at this moment; try again.")


async def _again(scope: Scope, id: UUID | None) -> Response:
    found = None if id is None else await queries.find(scope.db, scope.workspace_id, id)
    if found is None:
        raise Conflict("This id belongs to another automation. Make a new one for each automation.")
    return JSON(dict(found), 201)


def _check_loop(current: Record, changes: dict[str, Any]) -> None:
    merged = Automation.model_validate({**current, **changes})
    try:
        check_for_loop(merged.enabled, merged.trigger, merged.actions)
    except ValueError as error:
        item = {
            "type": "value_error",
            "loc": (),
            "msg": f"Value error, {error}",
            "input": changes,
            "ctx": {"error": error},
        }
        raise RequestValidationError([item], body=changes) from error


@router.delete("/{id:uuid}", status_code=204)
async def delete_automation(scope: ScopeDep, id: UUID) -> Response:
    """Delete an automation and whatever its triggers have counted."""
    async with scope.db.transaction() as transaction:
        deleted = await queries.delete(transaction, scope.workspace_id, id)
        if deleted is None:
            raise ObjectNotFound(_NOT_FOUND)
        await forget(transaction, id, ids_below(deleted["trigger"]))
        await emit(transaction, scope.workspace_id, automation_event("deleted", deleted))
    _ring(scope)
    return no_content()


@router.post("/filter", response_model=list[Automation])
async def read_automations(scope: ScopeDep, asked: AutomationList) -> Response:
    """The automations that match, sorted, one page of them."""
    rows = await queries.page(scope.db, scope.workspace_id, asked, asked.sort, lists.part_of(scope, asked))
    return JSON([dict(row) for row in rows])


@router.post("/count")
async def count_automations(scope: ScopeDep, asked: AutomationFilters) -> int:
    """How many automations the filter matches."""
    return await lists.count(scope.db, scope.workspace_id, AUTOMATIONS, asked)


@router.get("/{id:uuid}", response_model=Automation)
async def read_automation(scope: ScopeDep, id: UUID) -> Response:
    found = await queries.find(scope.db, scope.workspace_id, id)
    if found is None:
        raise ObjectNotFound(_NOT_FOUND)
    return JSON(dict(found))


@router.get("/related-to/{resource_id}", response_model=list[Automation])
async def read_automations_related_to_resource(scope: ScopeDep, resource_id: str) -> Response:
    """The automations that belong to a resource or act on it."""
    return JSON([dict(row) for row in await queries.related_to(scope.db, scope.workspace_id, resource_id)])


@router.delete("/owned-by/{resource_id}", status_code=202)
async def delete_automations_owned_by_resource(scope: ScopeDep, resource_id: str) -> None:
    """Delete the automations that a resource owns, without events."""
    async with scope.db.transaction() as transaction:
        for deleted in await queries.delete_owned_by(transaction, scope.workspace_id, resource_id):
            await forget(transaction, deleted["id"], ids_below(deleted["trigger"]))
    scope.doorbell.ring("automations")


def _actions(automation: AutomationCreate | AutomationUpdate) -> list[Action]:
    return [action for name in _ACTION_FIELDS for action in getattr(automation, name)]


def _deployments(automation: AutomationCreate) -> list[str]:
    return deployments_run(*(getattr(automation, name) for name in _ACTION_FIELDS))


def _stored(automation: AutomationCreate | AutomationUpdate, names: Any) -> dict[str, Any]:
    """Columns as they are stored, with new ids for the triggers."""
    fresh = automation.model_copy(update={"trigger": with_new_ids(automation.trigger)})
    encoded = fresh.model_dump(mode="json")
    return {name: encoded[name] for name in names}


def _ring(scope: Scope) -> None:
    scope.doorbell.ring("events", "automations")
