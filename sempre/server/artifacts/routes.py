"""``/artifacts``: what runs leave behind, and for every key the latest of it."""

from uuid import UUID

from starlette.responses import Response

from sempre.db.pool import Record
from sempre.schemas.artifacts import Artifact, ArtifactCollection, ArtifactCreate, ArtifactUpdate
from sempre.schemas.lists import (
    ArtifactCollectionFilters,
    ArtifactCollectionList,
    ArtifactFilters,
    ArtifactList,
)
from sempre.server import lists
from sempre.server.artifacts import queries
from sempre.server.errors import Conflict, NotFound
from sempre.server.events.emit import ServerEvent, emit, named, resource
from sempre.server.filters.relations import ARTIFACT_COLLECTIONS, ARTIFACTS
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room(prefix="/artifacts", tags=["Artifacts"])

_NOT_FOUND = "Artifact not found."


@router.post("/", response_model=Artifact)
async def create_artifact(scope: ScopeDep, artifact: ArtifactCreate) -> Response:
    """Create an artifact; with a key (an empty one counts) it becomes the latest of that key.

    With an id that is there already nothing is done but to answer with what is there.
    """
    values = {name: getattr(artifact, name) for name in ArtifactCreate.model_fields}
    async with scope.db.transaction() as transaction:
        created = await queries.create(transaction, scope.workspace_id, values)
        if created is None:
            # The first attempt of this call has committed, all of it.
            return _again(await queries.find(transaction, scope.workspace_id, values["id"]))
        if created["key"] is not None:
            collection = await queries.collect(transaction, scope.workspace_id, created)
            change = "created" if collection["new"] else "updated"
            await emit(transaction, scope.workspace_id, _event(change, collection))
    if created["key"] is not None:
        scope.doorbell.ring("events")
    return JSON(dict(created), 201)


@router.get("/{id:uuid}", response_model=Artifact)
async def read_artifact(scope: ScopeDep, id: UUID) -> Response:
    return _found(await queries.find(scope.db, scope.workspace_id, id))


@router.get("/{key}/latest", response_model=Artifact)
async def read_latest_artifact(scope: ScopeDep, key: str) -> Response:
    """The latest content of a key. The id is the collection's, which stays the same from version to version."""
    return _found(await queries.find_collection(scope.db, scope.workspace_id, key))


@router.post("/filter", response_model=list[Artifact])
async def read_artifacts(scope: ScopeDep, asked: ArtifactList) -> Response:
    """The artifacts that match, all versions, one page of them."""
    rows = await queries.page(scope.db, scope.workspace_id, asked, asked.sort, lists.part_of(scope, asked))
    return JSON([dict(row) for row in rows])


@router.post("/latest/filter", response_model=list[ArtifactCollection])
async def read_latest_artifacts(scope: ScopeDep, asked: ArtifactCollectionList) -> Response:
    """The latest artifact of each key that matches, with the collection's id and ``latest_id``."""
    part = lists.part_of(scope, asked)
    rows = await queries.collections_page(scope.db, scope.workspace_id, asked, asked.sort, part)
    return JSON([dict(row) for row in rows])


@router.post("/count")
async def count_artifacts(scope: ScopeDep, asked: ArtifactFilters) -> int:
    """How many artifacts the filters match."""
    return await lists.count(scope.db, scope.workspace_id, ARTIFACTS, asked)


@router.post("/latest/count")
async def count_latest_artifacts(scope: ScopeDep, asked: ArtifactCollectionFilters) -> int:
    """How many keys the filters match."""
    return await lists.count(scope.db, scope.workspace_id, ARTIFACT_COLLECTIONS, asked)


@router.patch("/{id:uuid}", status_code=204)
async def update_artifact(scope: ScopeDep, id: UUID, artifact: ArtifactUpdate) -> Response:
    """Write the fields that were sent; the latest of a key shows in its collection too."""
    async with scope.db.transaction() as transaction:
        await queries.hold_collection(transaction, scope.workspace_id, id)
        if not await queries.update(transaction, scope.workspace_id, id, artifact.sent()):
            raise NotFound(_NOT_FOUND)
    return no_content()


@router.delete("/{id:uuid}", status_code=204)
async def delete_artifact(scope: ScopeDep, id: UUID) -> Response:
    """Delete an artifact; after the latest of a key the newest one left takes its place."""
    async with scope.db.transaction() as transaction:
        await queries.hold_collection(transaction, scope.workspace_id, id)
        deleted = await queries.delete(transaction, scope.workspace_id, id)
        if deleted is None:
            raise NotFound(_NOT_FOUND)
        if deleted["key"] is not None:
            collection = await queries.repoint(transaction, scope.workspace_id, deleted["key"], id)
            if collection is not None:
                change = "deleted" if collection["gone"] else "updated"
                await emit(transaction, scope.workspace_id, _event(change, collection))
    scope.doorbell.ring("events")
    return no_content()


def _found(row: Record | None) -> Response:
    if row is None:
        raise NotFound(_NOT_FOUND)
    return JSON(dict(row))


def _again(row: Record | None) -> Response:
    if row is None:
        raise Conflict("This id belongs to another artifact. Make a new one for each artifact.")
    return JSON(dict(row), 201)


def _event(change: str, collection: Record) -> ServerEvent:
    runs = (("flow-run", collection["flow_run_id"]), ("task-run", collection["task_run_id"]))
    return ServerEvent(
        event=f"prefect.artifact-collection.{change}",
        resource=resource("artifact-collection", collection["id"], collection["key"]),
        related=[
            named("latest", "artifact", collection["latest_id"]),
            *(named(kind, kind, id) for kind, id in runs if id is not None),
        ],
        payload={name: collection[name] for name in ("key", "type", "data", "description")},
    )
