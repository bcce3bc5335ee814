"""``/saved_searches``: filters that people keep by name."""

from uuid import UUID

from starlette.responses import Response

from sempre.schemas.lists import Slice
from sempre.schemas.saved_searches import SavedSearch, SavedSearchCreate
from sempre.server import lists
from sempre.server.errors import NotFound
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.saved_searches import queries
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room(prefix="/saved_searches", tags=["SavedSearches"])

_NOT_FOUND = "Saved search not found"


@router.put("/", response_model=SavedSearch)
async def create_saved_search(scope: ScopeDep, saved_search: SavedSearchCreate) -> Response:
    """Save a search under its name: 201 if the name is new, 200 if its filters were replaced."""
    filters = [filter.model_dump(mode="json") for filter in saved_search.filters]
    saved = dict(await queries.put(scope.db, scope.workspace_id, saved_search.name, filters))
    return JSON(saved, 201 if saved.pop("new") else 200)


@router.get("/{id:uuid}", response_model=SavedSearch)
async def read_saved_search(scope: ScopeDep, id: UUID) -> Response:
    found = await queries.find(scope.db, scope.workspace_id, id)
    if found is None:
        raise NotFound(_NOT_FOUND)
    return JSON(dict(found))


@router.post("/filter", response_model=list[SavedSearch])
async def read_saved_searches(scope: ScopeDep, asked: Slice) -> Response:
    """All searches by name, one page of them."""
    rows = await queries.page(scope.db, scope.workspace_id, lists.part_of(scope, asked))
    return JSON([dict(row) for row in rows])


@router.delete("/{id:uuid}", status_code=204)
async def delete_saved_search(scope: ScopeDep, id: UUID) -> Response:
    if not await queries.delete(scope.db, scope.workspace_id, id):
        raise NotFound(_NOT_FOUND)
    return no_content()
