"""``/block_types`` and ``/block_capabilities``: the kinds of blocks there are."""

import html
from typing import Any
from uuid import UUID

from starlette.responses import Response

from sempre.db.pool import Record
from sempre.schemas.blocks import BlockDocument, BlockType, BlockTypeCreate, BlockTypeUpdate
from sempre.schemas.lists import BlockTypeList
from sempre.server import lists
from sempre.server.blocks import document_queries, schema_queries, type_queries
from sempre.server.blocks.deletion import delete_dependents
from sempre.server.blocks.documents import NOT_FOUND as DOCUMENT_NOT_FOUND
from sempre.server.blocks.documents import read_documents
from sempre.server.blocks.events import type_changed
from sempre.server.blocks.system import install_protected_types
from sempre.server.errors import Conflict, Forbidden, NotFound
from sempre.server.events.emit import emit
from sempre.server.responses import JSON, no_content
from sempre.server.routing import Room
from sempre.server.scope import ScopeDep

__all__ = ["capabilities_router", "router"]

router = Room(prefix="/block_types", tags=["Block types"])
capabilities_router = Room(prefix="/block_capabilities", tags=["Block capabilities"])

_NOT_FOUND = "Block type not found"
_ESCAPED = ("description", "code_example")


@router.post("/", status_code=201, response_model=BlockType)
async def create_block_type(scope: ScopeDep, block_type: BlockTypeCreate) -> Response:
    """Create a block type; 409 if the slug is taken."""
    if block_type.name.lower().startswith("prefect"):
        raise Forbidden("Block type names beginning with 'Prefect' are reserved.")
    texts: dict[str, Any] = {name: getattr(block_type, name) for name in type_queries.TEXTS}
    for name in _ESCAPED:  # shown in pages
        texts[name] = html.escape(texts[name], quote=False) if texts[name] else texts[name]
    async with scope.db.transaction() as transaction:
        created = await type_queries.create(transaction, scope.workspace_id, block_type.name, block_type.slug, texts)
        if created is None:
            raise Conflict(f'Block type with name "{block_type.name}" already exists')
        await emit(transaction, scope.workspace_id, type_changed("created", created))
    scope.doorbell.ring("events")
    return JSON(dict(created), 201)


@router.get("/{id:uuid}", response_model=BlockType)
async def read_block_type(scope: ScopeDep, id: UUID) -> Response:
    return JSON(dict(_found(await type_queries.find(scope.db, scope.workspace_id, id))))


@router.get("/slug/{slug}", response_model=BlockType)
async def read_block_type_by_slug(scope: ScopeDep, slug: str) -> Response:
    return JSON(dict(_found(await type_queries.find(scope.db, scope.workspace_id, slug))))


@router.patch("/{id:uuid}", status_code=204)
async def update_block_type(scope: ScopeDep, id: UUID, block_type: BlockTypeUpdate) -> Response:
    """Write the texts that were sent and differ; protected types have texts as well."""
    current = _found(await type_queries.find(scope.db, scope.workspace_id, id))
    changes = {name: value for name, value in block_type.sent().items() if _plain(current[name]) != _plain(value)}
    if changes:
        async with scope.db.transaction() as transaction:
            updated = _found(await type_queries.update(transaction, scope.workspace_id, id, changes))
            await emit(transaction, scope.workspace_id, type_changed("updated", updated))
        scope.doorbell.ring("events")
    return no_content()


@router.delete("/{id:uuid}", status_code=204)
async def delete_block_type(scope: ScopeDep, id: UUID) -> Response:
    """Delete a type with its schemas and documents."""
    async with scope.db.transaction() as transaction:
        if _found(await type_queries.hold(transaction, scope.workspace_id, id))["is_protected"]:
            raise Forbidden("protected block types cannot be deleted.")
        documents = await document_queries.delete_of_type(transaction, scope.workspace_id, id)
        await delete_dependents(scope, transaction, documents)
        deleted = _found(await type_queries.delete(transaction, scope.workspace_id, id))
        await emit(transaction, scope.workspace_id, type_changed("deleted", deleted))
    scope.doorbell.ring("events")
    return no_content()


@router.post("/filter", response_model=list[BlockType])
async def read_block_types(scope: ScopeDep, asked: BlockTypeList) -> Response:
    """The types that match, by name, one page of them."""
    rows = await type_queries.page(scope.db, scope.workspace_id, asked, lists.part_of(scope, asked))
    return JSON([dict(row) for row in rows])


@router.get("/slug/{slug}/block_documents", response_model=list[BlockDocument], tags=["Block documents"])
async def read_block_documents_for_block_type(scope: ScopeDep, slug: str, include_secrets: bool = False) -> Response:
    """All named documents of a type, by name."""
    block_type = _found(await type_queries.find(scope.db, scope.workspace_id, slug))
    ids = await document_queries.ids_of_type(scope.db, scope.workspace_id, block_type["id"])
    return JSON(await read_documents(scope, ids, include_secrets=include_secrets))


@router.get(
    "/slug/{slug}/block_documents/name/{block_document_name}", response_model=BlockDocument, tags=["Block documents"]
)
async def read_block_document_by_name_for_block_type(
    scope: ScopeDep, slug: str, block_document_name: str, include_secrets: bool = False
) -> Response:
    """The document of that name, anonymous ones included."""
    id = await document_queries.find_by_name(scope.db, scope.workspace_id, slug, block_document_name)
    found = await read_documents(scope, [id] if id else [], include_secrets=include_secrets)
    if not found:
        raise NotFound(DOCUMENT_NOT_FOUND)
    return JSON(found[0])


@router.post("/install_system_block_types")
async def install_system_block_types(scope: ScopeDep) -> None:
    """Write the protected types again, with the texts they came with."""
    await install_protected_types(scope)


@capabilities_router.get("/", response_model=list[str])
async def read_available_block_capabilities(scope: ScopeDep) -> Response:
    """What blocks of any known schema can do."""
    return JSON(await schema_queries.capabilities(scope.db, scope.workspace_id))


def _plain(text: str | None) -> str | None:
    return html.unescape(text) if text else text


def _found(row: Record | None) -> Record:
    if row is None:
        raise NotFound(_NOT_FOUND)
    return row
