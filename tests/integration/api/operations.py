"""Every operation of our own API document, and bodies made from its schemas."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from fastapi import FastAPI

JsonObject: TypeAlias = dict[str, Any]
Place: TypeAlias = tuple[str | int, ...]

_METHODS = ("get", "post", "put", "patch", "delete")
_BY_FORMAT = {
    "uuid": "00000000-0000-4000-8000-00000000000a",
    "date-time": "2026-01-01T00:00:00Z",
    "duration": 60.0,
}
_BY_TYPE: JsonObject = {"string": "x", "integer": 1, "number": 1.0, "boolean": False, "null": None}


@dataclass(frozen=True)
class Operation:
    """One method of one path. ``schema`` is that of its body, None without one; ``path`` is under the prefix;
    ``statuses`` are the documented ones."""

    method: str
    path: str
    schema: JsonObject | None
    body_required: bool
    query: tuple[str, ...]
    statuses: frozenset[int]

    @property
    def key(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def path_names(self) -> list[str]:
        return [name for _, name, _, _ in string.Formatter().parse(self.path) if name]

    @property
    def changes(self) -> bool:
        return self.method != "GET"


class Document:
    """The API document of an app."""

    def __init__(self, app: FastAPI, prefix: str = "/api") -> None:
        whole = app.openapi()
        self._components: JsonObject = whole["components"]["schemas"]
        self.operations = [
            self._operation(method.upper(), path.removeprefix(prefix), item)
            for path, items in whole["paths"].items()
            for method, item in items.items()
            if method in _METHODS
        ]

    def _operation(self, method: str, path: str, item: JsonObject) -> Operation:
        body = item.get("requestBody")
        schema = self.resolved(body["content"]["application/json"]["schema"]) if body else None
        query = tuple(p["name"] for p in item.get("parameters", ()) if p["in"] == "query")
        statuses = frozenset(int(status) for status in item["responses"])
        return Operation(method, path, schema, bool(body and body.get("required")), query, statuses)

    def resolved(self, schema: JsonObject) -> JsonObject:
        if "$ref" in schema:
            found: JsonObject = self._components[schema["$ref"].rsplit("/", 1)[-1]]
            return self.resolved(found)
        return schema

    def sample(self, schema: JsonObject, depth: int = 0) -> Any:
        """A value with every property that the schema names, five levels deep."""
        schema = self.resolved(schema)
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                options = [o for o in schema[choice] if o.get("type") != "null"]
                return self.sample(options[0], depth) if options else None
        if "const" in schema or "enum" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        kind = schema.get("type")
        if kind == "object" or "properties" in schema:
            if depth > 5:
                return {}
            return {name: self.sample(inner, depth + 1) for name, inner in schema.get("properties", {}).items()}
        if kind == "array":
            return [self.sample(schema.get("items", {}), depth + 1)]
        if kind == "integer":
            return max(schema.get("minimum", 1), 1)
        return _BY_FORMAT.get(schema.get("format", ""), _BY_TYPE.get(str(kind)))


def leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every scalar of ``value`` and where it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*place, index))
    else:
        yield place, value


def replaced(value: Any, place: Place, new: Any) -> Any:
    """``value`` with ``new`` at ``place``."""
    if not place:
        return new
    head, rest = place[0], place[1:]
    if isinstance(value, dict):
        return {key: replaced(inner, rest, new) if key == head else inner for key, inner in value.items()}
    return [replaced(inner, rest, new) if index == head else inner for index, inner in enumerate(value)]
