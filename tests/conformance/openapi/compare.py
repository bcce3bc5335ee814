"""What two API documents say differently to a machine: titles, texts, examples and the order of things say nothing.

A component is compared once and its differences are named after it (``FlowRun.tags``); the rest is named after the
operation (``POST /flows/filter body.limit``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.conformance.openapi.document import Document, JsonObject, Operation

__all__ = ["Comparison", "Difference"]

# Not for machines, or (the last two) no keywords of JSON Schema: the protocol's server does not enforce them either.
_SILENT = {
    "title", "description", "summary", "examples", "example", "discriminator", "supported_environment_variables",
    "max_items", "min_items",
}  # fmt: skip
_UNIONS = ("anyOf", "oneOf")
_ABSENT = "absent"


@dataclass(frozen=True)
class Difference:
    """``operation`` is the first one that shows it."""

    place: str
    theirs: Any
    ours: Any
    operation: str

    def __str__(self) -> str:
        return f"{self.place}\n    theirs: {self.theirs}\n    ours:   {self.ours}\n    (in {self.operation})"


class Comparison:
    """All differences between two documents, by place."""

    def __init__(self, theirs: Document, ours: Document) -> None:
        self.differences: dict[str, Difference] = {}
        self._theirs = theirs
        self._ours = ours
        self._seen: set[tuple[str, str]] = set()
        self._operation = ""
        for key in sorted(theirs.operations | ours.operations):
            self._operation = key
            pair = theirs.operations.get(key), ours.operations.get(key)
            if pair[0] and pair[1]:
                self._compare_operations(pair[0], pair[1])
            else:
                self._same(key, *("there" if operation else _ABSENT for operation in pair))

    def _same(self, place: str, theirs: Any, ours: Any) -> bool:
        if theirs != ours:
            self.differences.setdefault(place, Difference(place, theirs, ours, self._operation))
        return bool(theirs == ours)

    # --- operations ------------------------------------------------------------------------------------

    def _compare_operations(self, theirs: Operation, ours: Operation) -> None:
        key = theirs.key
        self._same(f"{key} tags", *(sorted(set(side.item.get("tags", ()))) for side in (theirs, ours)))
        self._same(f"{key} deprecated", *(side.item.get("deprecated", False) for side in (theirs, ours)))
        if (identity := self._operation_id(theirs)) is not None:
            self._same(f"{key} operationId", identity, ours.item.get("operationId"))
        for place, one, other in _pairs(theirs.parameters, ours.parameters):
            if self._both(f"{key} {place}", one, other):
                self._same(f"{key} {place}.required", one.get("required", False), other.get("required", False))
                self._compare(f"{key} {place}", one["schema"], other["schema"])
        for place, one, other in _pairs(theirs.body, ours.body):
            if self._both(f"{key} {place}", one, other):
                self._same(f"{key} {place}.required", *(bool(body.get("required")) for body in (one, other)))
                self._compare_content(f"{key} {place}", one, other)
        for status, one, other in _pairs(theirs.item["responses"], ours.item["responses"]):
            if self._both(f"{key} {status}", one, other):
                self._compare_content(f"{key} {status}", one, other)

    def _operation_id(self, operation: Operation) -> str | None:
        """The document names operations only where a body of several parameters is named after them."""
        content = operation.item.get("requestBody", {}).get("content", {})
        reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
        name = str(reference).rsplit("/", 1)[-1]
        return name.removeprefix("Body_") if name.startswith("Body_") else None

    def _both(self, place: str, theirs: Any, ours: Any) -> bool:
        return self._same(place, *(_ABSENT if side is None else "there" for side in (theirs, ours)))

    def _compare_content(self, place: str, theirs: JsonObject, ours: JsonObject) -> None:
        for kind, one, other in _pairs(theirs.get("content", {}), ours.get("content", {})):
            if self._both(f"{place} {kind}", one, other):
                self._compare(place, one.get("schema", {}), other.get("schema", {}))

    # --- schemas ---------------------------------------------------------------------------------------

    def _compare(self, place: str, theirs: JsonObject, ours: JsonObject) -> None:
        theirs, ours = _plain(theirs), _plain(ours)
        if any(key in theirs or key in ours for key in _UNIONS):
            self._compare_unions(place, theirs, ours)
            return
        names = _reference(theirs), _reference(ours)
        if names != (None, None):
            place = self._entered(place, *names)
            if not place:
                return
            self._compare(place, _inlined(theirs, self._theirs), _inlined(ours, self._ours))
            return
        for name, one, other in _pairs(theirs.pop("properties", {}), ours.pop("properties", {})):
            if self._both(f"{place}.{name}", one, other):
                self._compare(f"{place}.{name}", one, other)
        for keyword, form in (("items", "[]"), ("additionalProperties", "{}")):
            pair = theirs.pop(keyword, {}), ours.pop(keyword, {})
            if pair != ({}, {}) and all(isinstance(side, dict) for side in pair):
                self._compare(place + form, *pair)
            else:
                self._same(place + form, *pair)
        for index, (one, other) in enumerate(_lists(theirs.pop("prefixItems", []), ours.pop("prefixItems", []))):
            self._compare(f"{place}[{index}]", one, other)
        self._compare_keywords(place, theirs, ours)

    def _entered(self, place: str, theirs: str | None, ours: str | None) -> str:
        """What the inside of a pair of components is called; nothing if it has been compared."""
        if theirs is None or ours is None or _is_body(theirs):
            return place
        self._same(f"{place} component", _base(theirs), _base(ours))
        if (theirs, ours) in self._seen:
            return ""
        self._seen.add((theirs, ours))
        return theirs

    def _compare_unions(self, place: str, theirs: JsonObject, ours: JsonObject) -> None:
        pair = _options(theirs), _options(ours)
        options = [{_label(option): option for option in side} for side, _ in pair]
        self._same(f"{place} null", *("named" if side.pop("null", None) else "unnamed" for side in options))
        self._same(f"{place} options", *(sorted(side) for side in options))
        for label in sorted(options[0].keys() & options[1].keys()):
            self._compare(place, options[0][label], options[1][label])
        self._compare_keywords(place, *(beside for _, beside in pair))

    def _compare_keywords(self, place: str, theirs: JsonObject, ours: JsonObject) -> None:
        for keyword, one, other in _pairs(theirs, ours):
            self._same(f"{place} {keyword}", one, other)


def _plain(schema: JsonObject) -> JsonObject:
    """A copy in one spelling."""
    plain = {key: value for key, value in schema.items() if key not in _SILENT}
    if "const" in plain:
        plain["enum"] = [plain.pop("const")]
    if "enum" in plain:
        plain["enum"] = sorted(plain["enum"], key=repr)
    if "required" in plain:
        plain["required"] = sorted(plain["required"])
    if isinstance(plain.get("default"), str):
        plain["default"] = plain["default"].replace("+00:00", "Z")
    for keyword, unsaid in (("default", None), ("required", []), ("additionalProperties", True)):
        if plain.get(keyword, ...) == unsaid:
            del plain[keyword]
    return plain


def _reference(schema: JsonObject) -> str | None:
    return str(schema["$ref"]).rsplit("/", 1)[-1] if "$ref" in schema else None


def _inlined(schema: JsonObject, document: Document) -> JsonObject:
    """The schema itself instead of a reference to it; what stands beside the reference counts."""
    while (name := _reference(schema)) is not None:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**_plain(document.components[name]), **beside}
    return schema


def _options(schema: JsonObject) -> tuple[list[JsonObject], JsonObject]:
    """The alternatives, and what is said of all of them: the rest is an echo, by some writers, of an alternative."""
    beside: JsonObject = {key: schema[key] for key in ("default", "deprecated") if key in schema}
    for keyword in _UNIONS:
        if keyword in schema:
            return [_plain(option) for option in schema[keyword]], beside
    return [{key: value for key, value in schema.items() if key not in beside}], beside


def _label(option: JsonObject) -> str:
    """What an alternative is called among others."""
    if (name := _reference(option)) is not None:
        return _base(name)
    words = [option.get("type"), option.get("format"), *option.get("enum", ())]
    label = " ".join(str(word) for word in words if word is not None) or "anything"
    for keyword in ("items", "additionalProperties"):
        if option.get(keyword):
            label += f" of {' | '.join(sorted(_label(inner) for inner in _options(_plain(option[keyword]))[0]))}"
    return label


def _base(name: str) -> str:
    """Without the direction, which the framework adds where the two differ."""
    return name.removesuffix("-Input").removesuffix("-Output")


def _is_body(name: str) -> bool:
    return name.startswith("Body_")


def _pairs(theirs: JsonObject, ours: JsonObject) -> Iterator[tuple[str, Any, Any]]:
    for key in sorted(theirs | ours):
        yield key, theirs.get(key), ours.get(key)


def _lists(theirs: list[Any], ours: list[Any]) -> Iterator[tuple[Any, Any]]:
    for index in range(max(len(theirs), len(ours))):
        yield (side[index] if index < len(side) else {} for side in (theirs, ours))  # type: ignore[misc]
