"""``/block_schemas``: the fields of block types, by version, named by their checksum."""

from uuid import UUID

from starlette.responses import Response

from sempre.schemas.blocks import BlockSchema, BlockSchemaCreate
from sempre.schemas.lists import BlockSchemaList
from sempre.server import lists
from sempre.server.blocks import document_queries, schema_queries, schemas, type_queries
from sempre.server.blocks.deletion import delete_dependents
from sempre.server.errors import Forbidden, NotFound
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import Scope, ScopeDep

__all__ = ["router"]

router = Room(prefix="/block_schemas", tags=["Block schemas"])

_NOT_FOUND = "Block schema not found"


@router.post("/", status_code=201, response_model=BlockSchema)
async def create_block_schema(scope: ScopeDep, block_schema: BlockSchemaCreate) -> Response:
    """Get or create the schema with these fields and this version: 201 if it is new, 200 if not."""
    if await type_queries.find(scope.db, scope.workspace_id, block_schema.block_type_id) is None:
        raise NotFound(f"Block type {block_schema.block_type_id} not found.")
    id, new = await schemas.ensure_schema(
        scope, block_schema.fields, block_schema.block_type_id, block_schema.capabilities, block_schema.version
    )
    return await _read(scope, id, 201 if new else 200)


@router.get("/{id:uuid}", response_model=BlockSchema)
async def read_block_schema_by_id(scope: ScopeDep, id: UUID) -> Response:
    return await _read(scope, id)


@router.get("/checksum/{checksum}", response_model=BlockSchema)
async def read_block_schema_by_checksum(scope: ScopeDep, checksum: str, version: str | None = None) -> Response:
    """The schema with this checksum: of this version, or the newest."""
    id = await schema_queries.find_by_checksum(scope.db, scope.workspace_id, checksum, version)
    if id is None:
        raise NotFound(_NOT_FOUND)
    return await _read(scope, id)


@router.delete("/{id:uuid}", status_code=204)
async def delete_block_schema(scope: ScopeDep, id: UUID) -> Response:
    """Delete a schema with its documents."""
    async with scope.db.transaction() as transaction:
        protected = await schema_queries.hold(transaction, scope.workspace_id, id)
        if protected:
            raise Forbidden("Block schemas for protected block types cannot be deleted.")
        if protected is None:
            raise NotFound(_NOT_FOUND)
        documents = await document_queries.delete_of_schema(transaction, scope.workspace_id, id)
        await delete_dependents(scope, transaction, documents)
        await schema_queries.delete(transaction, scope.workspace_id, id)
    scope.doorbell.ring("events")
    return no_content()


@router.post("/filter", response_model=list[BlockSchema])
async def read_block_schemas(scope: ScopeDep, asked: BlockSchemaList) -> Response:
    """The schemas that match, newest first, one page of them."""
    ids = await schema_queries.page(scope.db, scope.workspace_id, asked, lists.part_of(scope, asked))
    catalogue = await schemas.load(scope, ids)
    return JSON([catalogue.wire(id) for id in ids if id in catalogue])


async def _read(scope: Scope, id: UUID, status: int = 200) -> Response:
    catalogue = await schemas.load(scope, [id])
    if id not in catalogue:
        raise NotFound(_NOT_FOUND)
    return JSON(catalogue.wire(id), status)
