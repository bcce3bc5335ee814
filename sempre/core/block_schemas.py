"""Block schemas as values: their checksum, what of one is kept, and how it is put together again.

A block schema is the JSON schema of a block type's fields. Fields that hold other blocks refer to their schemas by
checksum in ``block_schema_references``, and carry copies of them in ``definitions``.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["SchemaReference", "checksum", "nested_definition", "own_fields", "references", "with_references"]

_SECRETS = "secret_fields"
_REFERENCES = "block_schema_references"
_PREFIX = "#/definitions/"


@dataclass(frozen=True, slots=True)
class SchemaReference:
    """``field`` of a block holds a block of this type and schema (one of several, for a union)."""

    field: str
    block_type_slug: str
    checksum: str


def checksum(fields: Mapping[str, Any]) -> str:
    """The name of a schema, equal to what clients of the protocol compute for the same fields.

    Which fields are secret does not count, nor do the definitions of nested blocks, which have checksums of their own,
    nor those that allow everything: clients leave out what is empty.
    """
    counted = _without(fields, _SECRETS)
    used = {name: part for name, part in _definitions(fields, fields).items() if part}
    if used:
        counted["definitions"] = _without(used, _SECRETS)
    elif fields.get("definitions"):
        del counted["definitions"]
    text = json.dumps([[counted], {}], sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _without(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _without(item, key) for name, item in value.items() if name != key}
    return value


def _definitions(source: Mapping[str, Any], used_by: Any) -> dict[str, Any]:
    """Of the definitions in ``source`` those that ``used_by`` refers to and that are no blocks."""
    given = source.get("definitions")
    if not isinstance(given, Mapping):
        return {}
    used = set(_pointers(used_by))
    return {
        name: part
        for name, part in given.items()
        if name in used and not (isinstance(part, Mapping) and part.get("block_type_slug") is not None)
    }


def _pointers(value: Any) -> Iterator[str]:
    """The names of all definitions that are referred to anywhere in ``value``."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "$ref" and isinstance(item, str) and item.startswith(_PREFIX):
                yield item.removeprefix(_PREFIX)
            else:
                yield from _pointers(item)
    elif isinstance(value, list):
        for item in value:
            yield from _pointers(item)


def own_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a schema: neither its references nor its copies of nested blocks, which are found again."""
    kept = {name: part for name, part in fields.items() if name not in (_REFERENCES, "definitions")}
    given = fields.get("definitions")
    if isinstance(given, Mapping):
        plain = {
            name: part
            for name, part in given.items()
            if not (isinstance(part, Mapping) and part.get("block_type_slug") is not None)
        }
        if plain:
            kept["definitions"] = plain
    return kept


def references(fields: Mapping[str, Any]) -> list[SchemaReference]:
    """The nested blocks that a schema names, by field. Raises ``ValueError`` for a reference that is none."""
    given = fields.get(_REFERENCES) or {}
    if not isinstance(given, Mapping):
        raise ValueError(f"{_REFERENCES} must be an object")
    found = []
    for field, named in sorted(given.items()):
        for reference in named if isinstance(named, list) else [named]:
            if not isinstance(reference, Mapping):
                raise ValueError(f"the reference of {field} must be an object")
            slug, sum = reference.get("block_type_slug"), reference.get("block_schema_checksum")
            if not isinstance(slug, str) or not isinstance(sum, str):
                raise ValueError(f"the reference of {field} needs a block_type_slug and a block_schema_checksum")
            found.append(SchemaReference(str(field), slug, sum))
    return found


def nested_definition(fields: Mapping[str, Any], reference: SchemaReference) -> dict[str, Any] | None:
    """The nested schema that ``reference`` means, from the copies that ``fields`` carries, complete in itself."""
    given = fields.get("definitions")
    if not isinstance(given, Mapping):
        return None
    part = fields.get("properties")
    property = part.get(reference.field) if isinstance(part, Mapping) else None
    names = [*_pointers(property), *sorted(given)]  # what the field itself points to comes first
    for name in names:
        definition = given.get(name)
        if isinstance(definition, Mapping) and definition.get("block_type_slug") == reference.block_type_slug:
            inner = {key: value for key, value in given.items() if key != name}
            return {**definition, "definitions": inner}
    return None


def with_references(
    fields: Mapping[str, Any], nested: Mapping[str, list[tuple[SchemaReference, dict[str, Any]]]]
) -> dict[str, Any]:
    """A kept schema as clients read it; ``nested`` has for each field the complete schemas it refers to."""
    named: dict[str, Any] = {}
    definitions: dict[str, Any] = dict(fields.get("definitions") or {})
    for field, found in nested.items():
        entries = [
            {"block_schema_checksum": reference.checksum, "block_type_slug": reference.block_type_slug}
            for reference, _ in found
        ]
        named[field] = entries[0] if len(entries) == 1 else entries
        for reference, schema in found:
            inner = dict(schema)
            definitions.update(inner.pop("definitions", None) or {})
            definitions[str(inner.get("title") or reference.block_type_slug)] = inner
    complete = {**fields, _REFERENCES: named}
    if definitions:
        complete["definitions"] = definitions
    return complete
