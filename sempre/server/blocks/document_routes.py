"""``/block_documents``: blocks with their data, encrypted at rest and masked unless secrets are asked for."""

from uuid import UUID

from starlette.responses import Response

from sempre.schemas.blocks import BlockDocument, BlockDocumentCreate, BlockDocumentUpdate
from sempre.schemas.lists import BlockDocumentFilters, BlockDocumentList
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
from sempre.server.filters.relations import BLOCK_DOCUMENTS
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep

__all__ = ["router"]

router = Room(prefix="/block_documents", tags=["Block documents"])


@router.post("/", status_code=201, response_model=BlockDocument)
async def create_block_document(scope: ScopeDep, block_document: BlockDocumentCreate) -> Response:
    """Save a block; the answer is masked."""
    return JSON(await create_document(scope, block_document), 201)


@router.post("/filter", response_model=list[BlockDocument])
async def read_block_documents(scope: ScopeDep, asked: BlockDocumentList) -> Response:
    """The documents that match, sorted, one page of them; anonymous ones only if asked for."""
    part = lists.part_of(scope, asked)
    ids = await document_queries.page(scope.db, scope.workspace_id, asked, asked.sort, part)
    return JSON(await read_documents(scope, ids, include_secrets=asked.include_secrets))


@router.post("/count")
async def count_block_documents(scope: ScopeDep, asked: BlockDocumentFilters) -> int:
    """How many documents the filters match."""
    return await lists.count(scope.db, scope.workspace_id, BLOCK_DOCUMENTS, asked)


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
