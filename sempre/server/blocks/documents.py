"""Block documents: read with what they refer to, masked or in clear, and written so that no secret is lost.

``read_data`` is for the server itself: the data of a block, decrypted.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sempre.core.secret_fields import masked, unmasked
from sempre.db.pool import Executor, Record
from sempre.schemas.blocks import BlockDocumentCreate, BlockDocumentUpdate
from sempre.server.blocks import document_queries, schemas, type_queries
from sempre.server.blocks.deletion import delete_dependents
from sempre.server.blocks.encryption import Cipher, cipher_of
from sempre.server.blocks.events import document_changed
from sempre.server.errors import BadRequest, Conflict, NotFound, ServiceError
from sempre.server.events.emit import ServerEvent, emit
from sempre.server.ids import new_id
from sempre.server.scope import Scope

__all__ = ["create_document", "delete_document", "read_data", "read_documents", "update_document"]

NOT_FOUND = "Block document not found"

_ATTEMPTS = 20  # writes that may come between reading a document and writing it
_TYPE_FIELDS = ("logo_url", "documentation_url", "description", "code_example", "is_protected")


class _Documents:
    """Some documents and all they refer to, ready to be shown."""

    def __init__(self, rows: list[Record], catalogue: schemas.Catalogue, cipher: Cipher) -> None:
        self.rows: dict[UUID, Record] = {row["id"]: row for row in rows}
        self.catalogue = catalogue
        self._cipher = cipher

    def own_data(self, id: UUID) -> dict[str, Any]:
        """What the document holds itself, in clear."""
        return self._cipher.decrypt(self.rows[id]["data"], id)

    def data(self, id: UUID, *, include_secrets: bool, depth: int = 0) -> dict[str, Any]:
        """The document's data with that of the documents it refers to."""
        data = self.own_data(id)
        for name, target in self._references(id, depth):
            data[name] = self.data(target, include_secrets=include_secrets, depth=depth + 1)
        return data if include_secrets else masked(data, self.secret_fields(id))

    def _references(self, id: UUID, depth: int) -> list[tuple[str, UUID]]:
        row = self.rows[id]
        found = zip(row["reference_names"], row["reference_ids"], strict=True)
        return [(name, target) for name, target in found if target in self.rows and depth < document_queries.MAX_DEPTH]

    def references(self, id: UUID, depth: int = 0) -> dict[str, Any]:
        """The documents that the document refers to, by key, each with its own."""
        return {
            name: {
                "block_document": {
                    "id": target,
                    "name": self.rows[target]["name"],
                    "block_type": self._type(target),
                    "is_anonymous": self.rows[target]["is_anonymous"],
                    "block_document_references": self.references(target, depth + 1),
                }
            }
            for name, target in self._references(id, depth)
        }

    def secret_fields(self, id: UUID) -> list[str]:
        return self.catalogue.secret_fields(self.rows[id]["block_schema_id"])

    def _type(self, id: UUID) -> dict[str, Any]:
        row = self.rows[id]
        return {
            "id": row["block_type_id"],
            "created": row["type_created"],
            "updated": row["type_updated"],
            "name": row["type_name"],
            "slug": row["type_slug"],
            **{name: row[name] for name in _TYPE_FIELDS},
        }

    def wire(self, id: UUID, *, include_secrets: bool) -> dict[str, Any]:
        row = self.rows[id]
        schema_id = row["block_schema_id"]
        return {
            **{name: row[name] for name in ("id", "created", "updated", "name")},
            "data": self.data(id, include_secrets=include_secrets),
            "block_schema_id": schema_id,
            "block_schema": self.catalogue.wire(schema_id) if schema_id in self.catalogue else None,
            "block_type_id": row["block_type_id"],
            "block_type_name": row["type_name"],
            "block_type": self._type(id),
            "block_document_references": self.references(id),
            "is_anonymous": row["is_anonymous"],
        }

    def event(self, change: str, id: UUID, data: dict[str, Any]) -> ServerEvent:
        row = self.rows[id]
        schema = self.catalogue.wire(row["block_schema_id"])
        return document_changed(
            change, row, data, secret_fields=self.secret_fields(id), capabilities=schema["capabilities"]
        )


async def _load(scope: Scope, ids: list[UUID], *more_schemas: UUID) -> _Documents:
    rows = await document_queries.with_referenced(scope.db, scope.workspace_id, ids) if ids else []
    wanted = {*more_schemas, *(row["block_schema_id"] for row in rows)}
    catalogue = await schemas.load(scope, list(wanted))
    return _Documents(rows, catalogue, await cipher_of(scope))


async def read_documents(scope: Scope, ids: list[UUID], *, include_secrets: bool = False) -> list[dict[str, Any]]:
    """The documents in the order of ``ids``, as clients read them; unknown ids are left out."""
    documents = await _load(scope, ids)
    return [documents.wire(id, include_secrets=include_secrets) for id in ids if id in documents.rows]


async def read_data(scope: Scope, id: UUID) -> dict[str, Any] | None:
    """A document's data in clear, with that of the documents it refers to; ``None`` if there is no such document."""
    documents = await _load(scope, [id])
    return documents.data(id, include_secrets=True) if id in documents.rows else None


def _split(data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, UUID]]:
    """What a document holds itself, and the documents it refers to by key. Raises BadRequest."""
    own: dict[str, Any] = {}
    references: dict[str, UUID] = {}
    for key, value in data.items():
        reference = value.get("$ref") if isinstance(value, dict) else None
        if not isinstance(reference, dict):
            own[key] = value
            continue
        try:
            references[key] = UUID(reference["block_document_id"])
        except (KeyError, ValueError, TypeError, AttributeError):
            raise BadRequest(f"Received block reference without a block_document_id in key {key}") from None
    return own, references


async def create_document(scope: Scope, document: BlockDocumentCreate) -> dict[str, Any]:
    """Write a new document; what clients read of it. Raises NotFound, Conflict, BadRequest."""
    own, references = _split(document.data)
    block_type = await type_queries.find(scope.db, scope.workspace_id, document.block_type_id)
    if block_type is None:
        raise NotFound("Block type not found")
    catalogue = await schemas.load(scope, [document.block_schema_id])
    cipher = await cipher_of(scope)
    name = document.name or f"anonymous-{new_id()}"
    async with scope.db.transaction() as transaction:
        id = await document_queries.create(
            transaction, scope.workspace_id, name, cipher.encrypt(own), document.is_anonymous,
            document.block_type_id, document.block_schema_id,
        )  # fmt: skip
        if id is None:
            raise Conflict("Block already exists")
        if references:
            await document_queries.refer(transaction, scope.workspace_id, id, references)
        row = {
            "id": id,
            "name": name,
            "is_anonymous": document.is_anonymous,
            "block_type_id": document.block_type_id,
            "type_name": block_type["name"],
            "block_schema_id": document.block_schema_id,
        }
        secrets = catalogue.secret_fields(document.block_schema_id)
        capabilities = catalogue.wire(document.block_schema_id)["capabilities"]
        event = document_changed("created", row, own, secret_fields=secrets, capabilities=capabilities)
        await emit(transaction, scope.workspace_id, event)
    scope.doorbell.ring("events")
    found = await read_documents(scope, [id])
    if not found:
        raise NotFound(NOT_FOUND)  # deleted again in this moment
    return found[0]


@dataclass(frozen=True, slots=True)
class _Change:
    """What one PATCH writes."""

    before: str  # the encrypted data it was decided on
    data: dict[str, Any]
    schema_id: UUID
    added: dict[str, UUID]
    removed: list[str]


async def update_document(scope: Scope, id: UUID, update: BlockDocumentUpdate) -> None:
    """Merge or replace a document's data; masks keep what they hide. Raises NotFound, BadRequest."""
    for _ in range(_ATTEMPTS):
        documents = await _load(scope, [id], *((update.block_schema_id,) if update.block_schema_id else ()))
        if id not in documents.rows:
            raise NotFound(NOT_FOUND)
        if update.merge_existing_data and "data" not in update.model_fields_set:
            return
        change = _decide(documents, id, update)
        cipher = await cipher_of(scope)
        async with scope.db.transaction() as transaction:
            written = await _write(transaction, scope.workspace_id, id, change, cipher)
            if written:
                await emit(transaction, scope.workspace_id, documents.event("updated", id, change.data))
        if written:
            scope.doorbell.ring("events")
            return
    raise Conflict("The block document is being changed by others at this moment; try again.")


def _decide(documents: _Documents, id: UUID, update: BlockDocumentUpdate) -> _Change:
    row = documents.rows[id]
    schema_id = update.block_schema_id or row["block_schema_id"]
    if schema_id not in documents.catalogue:
        raise NotFound("Block schema not found")
    if documents.catalogue.wire(schema_id)["block_type_id"] != row["block_type_id"]:
        raise BadRequest("Must migrate block document to a block schema of the same block type.")
    stored = documents.own_data(id)
    # What was shown masked was masked by the schema it had; what comes back may be meant for the new one.
    secrets = [*documents.secret_fields(id), *documents.catalogue.secret_fields(schema_id)]
    own, added = _split(unmasked(update.data, stored, secrets))
    before: set[str] = set(row["reference_names"])
    if update.merge_existing_data:
        given = {*own, *added}  # without masks that hid nothing: a key that refers elsewhere goes on doing so
        kept = {key: value for key, value in stored.items() if key not in given}
        return _Change(row["data"], {**kept, **own}, schema_id, added, sorted(before & given - added.keys()))
    return _Change(row["data"], own, schema_id, added, sorted(before - added.keys()))


async def _write(transaction: Executor, workspace_id: UUID, id: UUID, change: _Change, cipher: Cipher) -> bool:
    """Whether the document was still what the change was decided on."""
    if change.added:
        # Before the row, always in this order: nobody waits here who holds a document.
        await document_queries.hold_references(transaction, workspace_id)
        targets = list(change.added.values())
        origin = await document_queries.cycle_origin(transaction, workspace_id, id, targets)
        if origin is not None:
            raise BadRequest(
                "Cannot create block document reference: it would introduce a cycle into the "
                f"block_document_reference graph (parent={id}, reference={origin})."
            )
    written = await document_queries.update(
        transaction, workspace_id, id,
        before=change.before, data=cipher.encrypt(change.data), block_schema_id=change.schema_id,
    )  # fmt: skip
    if written and change.removed:
        await document_queries.unrefer(transaction, workspace_id, id, change.removed)
    if written and change.added:
        await document_queries.refer(transaction, workspace_id, id, change.added)
    return written


async def delete_document(scope: Scope, id: UUID) -> None:
    """Delete a document; the keys that held it elsewhere go with it, and what cannot be without. Raises NotFound."""
    documents = await _load(scope, [id])
    if id not in documents.rows:
        raise NotFound(NOT_FOUND)
    try:
        data = documents.own_data(id)
    except ServiceError:
        data = {}  # what nobody can read any more can still be deleted
    async with scope.db.transaction() as transaction:
        if not await document_queries.delete(transaction, scope.workspace_id, id):
            raise NotFound(NOT_FOUND)
        await delete_dependents(scope, transaction, [id])
        await emit(transaction, scope.workspace_id, documents.event("deleted", id, data))
    scope.doorbell.ring("events")
