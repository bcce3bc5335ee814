"""``/block_documents``: blocks with their data, encrypted at rest and masked unless secrets are asked for."""

from typing import Annotated
from uuid import UUID

from fastapi import Body
from starlette.responses import Response

from sempre.schemas.blocks import BlockDocument, BlockDocumentCreate, BlockDocumentUpdate
from sempre.schemas.filters.blocks import BlockDocumentFilter, BlockSchemaFilter, BlockTypeFilter
from sempre.schemas.sorting import BlockDocumentSort
from sempre.server import lists
from sempre.server.blocks import document_queries
from sempre.server.blocks.documents import (
    NOT_FOUND,
    create_document,
    delete_document,
    read_documents,
    update_document,
)
from sempre.server.errors import NotFound
from sempre.server.lists import Limit, Offset
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room(prefix="/block_documents", tags=["Block Documents"])


@router.post("/", status_code=201, response_model=BlockDocument)
async def create_block_document(scope: ScopeDep, block_document: BlockDocumentCreate) -> Response:
    """Save a block; the answer is masked."""
    return JSON(await create_document(scope, block_document), 201)


@router.post("/filter", response_model=list[BlockDocument])
async def read_block_documents(
    scope: ScopeDep,
    limit: Limit = None,
    block_documents: BlockDocumentFilter | None = None,
    block_types: BlockTypeFilter | None = None,
    block_schemas: BlockSchemaFilter | None = None,
    include_secrets: Annotated[bool, Body(description="Whether secrets come in clear")] = False,
    sort: Annotated[BlockDocumentSort, Body()] = BlockDocumentSort.NAME_ASC,
    offset: Offset = 0,
) -> Response:
    """The documents that match, sorted, one page of them; anonymous ones only if asked for."""
    filters = (block_documents, block_types, block_schemas)
    ids = await document_queries.page(
        scope.db, scope.workspace_id, filters, sort=sort, limit=lists.bounded(scope, limit), offset=offset
    )
    return JSON(await read_documents(scope, ids, include_secrets=include_secrets))


@router.post("/count")
async def count_block_documents(
    scope: ScopeDep,
    block_documents: BlockDocumentFilter | None = None,
    block_types: BlockTypeFilter | None = None,
    block_schemas: BlockSchemaFilter | None = None,
) -> int:
    """How many documents the filters match."""
    return await document_queries.total(scope.db, scope.workspace_id, (block_documents, block_types, block_schemas))


@router.get("/{id:uuid}", response_model=BlockDocument)
async def read_block_document_by_id(scope: ScopeDep, id: UUID, include_secrets: bool = False) -> Response:
    found = await read_documents(scope, [id], include_secrets=include_secrets)
    if not found:
        raise NotFound(NOT_FOUND)
    return JSON(found[0])


@router.patch("/{id:uuid}", status_code=204)
async def update_block_document_data(scope: ScopeDep, id: UUID, block_document: BlockDocumentUpdate) -> Response:
    """Merge or replace the data; a mask in the place of a secret keeps the secret."""
    await update_document(scope, id, block_document)
    return no_content()


@router.delete("/{id:uuid}", status_code=204)
async def delete_block_document(scope: ScopeDep, id: UUID) -> Response:
    await delete_document(scope, id)
    return no_content()
