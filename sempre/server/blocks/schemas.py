"""Block schemas with all that they refer to: read in one statement, put together and written here."""

from typing import Any
from uuid import UUID

from sempre.core.block_schemas import (
    SchemaReference,
    checksum,
    nested_definition,
    own_fields,
    references,
    with_references,
)
from sempre.db.pool import Record
from sempre.schemas.blocks import NON_VERSIONED
from sempre.server.blocks import schema_queries, type_queries
from sempre.server.errors import Conflict, Unprocessable
from sempre.server.scope import Scope

__all__ = ["Catalogue", "ensure_schema", "load"]

_TYPE_TEXTS = ("logo_url", "documentation_url", "description", "code_example", "is_protected")


class Catalogue:
    """Some schemas, complete: every schema they refer to is in it too."""

    def __init__(self, rows: list[Record]) -> None:
        self._rows: dict[UUID, Record] = {row["id"]: row for row in rows}
        self._fields: dict[UUID, dict[str, Any]] = {}

    def __contains__(self, id: UUID) -> bool:
        return id in self._rows

    def wire(self, id: UUID) -> dict[str, Any]:
        """The schema as clients read it."""
        row = self._rows[id]
        copied = ("id", "created", "updated", "checksum", "block_type_id", "capabilities", "version")
        return {
            **{name: row[name] for name in copied},
            "fields": self.fields(id),
            "block_type": {
                "id": row["block_type_id"],
                "created": row["type_created"],
                "updated": row["type_updated"],
                "name": row["type_name"],
                "slug": row["type_slug"],
                **{name: row[name] for name in _TYPE_TEXTS},
            },
        }

    def fields(self, id: UUID) -> dict[str, Any]:
        """The schema's fields with its references and the definitions of the blocks they mean."""
        if id not in self._fields:
            row = self._rows[id]
            self._fields[id] = row["fields"]  # what a schema that contains itself finds on the way down
            nested: dict[str, list[tuple[SchemaReference, dict[str, Any]]]] = {}
            for name, target in zip(row["reference_names"], row["reference_ids"], strict=True):
                if target in self._rows:
                    other = self._rows[target]
                    reference = SchemaReference(name, other["type_slug"], other["checksum"])
                    nested.setdefault(name, []).append((reference, self.fields(target)))
            self._fields[id] = with_references(row["fields"], nested)
        return self._fields[id]

    def secret_fields(self, id: UUID) -> list[str]:
        """Dotted paths of the schema's own secrets."""
        row = self._rows.get(id)
        given = row["fields"].get("secret_fields") if row is not None else None
        return [field for field in given if isinstance(field, str)] if isinstance(given, list) else []


async def load(scope: Scope, ids: list[UUID]) -> Catalogue:
    """The schemas with these ids; unknown ids are not in it."""
    return Catalogue(await schema_queries.with_nested(scope.db, scope.workspace_id, ids))


async def ensure_schema(
    scope: Scope, fields: dict[str, Any], block_type_id: UUID, capabilities: list[str], version: str
) -> tuple[UUID, bool]:
    """The schema with these fields and this version, made if need be: its id, and whether it is new.

    Nested schemas that are not known are made from the definitions that ``fields`` carries, each in a transaction of
    its own: they are complete by themselves, and no transaction waits for two of them. Raises Conflict for a nested
    type that was never registered, Unprocessable for references that are none.
    """
    sum = checksum(fields)
    existing = await schema_queries.find_by_checksum(scope.db, scope.workspace_id, sum, version)
    if existing is not None:
        return existing, False
    nested = await _ensure_nested(scope, fields)
    async with scope.db.transaction() as transaction:
        id = await schema_queries.create(
            transaction, scope.workspace_id, sum, version, own_fields(fields), capabilities, block_type_id
        )
        if id is not None and nested:
            await schema_queries.refer(transaction, scope.workspace_id, id, nested)
    if id is not None:
        return id, True
    return await ensure_schema(scope, fields, block_type_id, capabilities, version)  # somebody else made it meanwhile


async def _ensure_nested(scope: Scope, fields: dict[str, Any]) -> list[tuple[str, UUID]]:
    try:
        wanted = references(fields)
    except ValueError as error:
        raise Unprocessable(f"Invalid block schema: {error}") from error
    found: list[tuple[str, UUID]] = []
    for reference in wanted:
        block_type = await type_queries.find(scope.db, scope.workspace_id, reference.block_type_slug)
        if block_type is None:
            raise Conflict(
                f"Cannot create block schema because block type {reference.block_type_slug!r} was not found."
                "Did you forget to register the block type?"
            )
        known = await schema_queries.find_by_checksum(scope.db, scope.workspace_id, reference.checksum, None)
        if known is None:
            definition = nested_definition(fields, reference)
            if definition is None:
                raise Unprocessable(
                    f"Invalid block schema: the schema of the block in {reference.field!r} is neither known nor among "
                    "the definitions."
                )
            known, _ = await ensure_schema(scope, definition, block_type["id"], [], NON_VERSIONED)
        found.append((reference.field, known))
    return found
