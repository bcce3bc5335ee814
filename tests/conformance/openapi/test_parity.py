"""Every operation of the protocol's API document against our own."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.conformance.openapi.compare import Comparison
from tests.conformance.openapi.differences import DELIBERATE
from tests.conformance.openapi.document import Document, JsonObject, ours, reference, theirs

MOST_DIFFERENCES = 25
OPERATIONS = 187

needs_reference = pytest.mark.skipif(
    not reference().is_file(), reason="no API document of the protocol (set SEMPRE_OPENAPI to it)"
)


@pytest.fixture(scope="module")
def document() -> Document:
    return ours()


@pytest.fixture(scope="module")
def comparison(document: Document) -> Comparison:
    return Comparison(theirs(), document)


def test_every_operation_has_a_name_of_its_own(document: Document) -> None:
    names = [operation.item["operationId"] for operation in document.operations.values()]
    assert len(names) == len(set(names)) == OPERATIONS


@needs_reference
def test_every_operation_is_there(document: Document) -> None:
    assert document.operations.keys() == theirs().operations.keys()


@needs_reference
def test_documents_differ_only_on_purpose(comparison: Comparison) -> None:
    found = comparison.differences.values()
    accidents = [one for one in found if not any(deliberate.covers(one) for deliberate in DELIBERATE)]
    assert not accidents, "\n" + "\n".join(map(str, accidents))


@needs_reference
def test_every_deliberate_difference_is_one(comparison: Comparison) -> None:
    found = comparison.differences.values()
    unused = [one.place for one in DELIBERATE if not any(one.covers(difference) for difference in found)]
    assert not unused
    assert len(DELIBERATE) <= MOST_DIFFERENCES


# --- the comparison itself -----------------------------------------------------------------------------

SCHEMA: JsonObject = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "maxLength": 5, "pattern": "^a"},
        "kind": {"enum": ["A", "B"], "type": "string"},
        "size": {"anyOf": [{"type": "integer", "minimum": 1.0}, {"type": "null"}]},
        "child": {"$ref": "#/components/schemas/Thing"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
    },
}
WHOLE: JsonObject = {
    "paths": {
        "/things/{id}": {
            "post": {
                "tags": ["Things"],
                "parameters": [
                    {"in": "path", "name": "id", "required": True, "schema": {"type": "string", "format": "uuid"}},
                    {"in": "query", "name": "deep", "required": False, "schema": {"type": "boolean", "default": False}},
                ],
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Body_make_things"}}}
                },
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}
                },
                "operationId": "make_things",
            }
        }
    },
    "components": {
        "schemas": {
            "Thing": SCHEMA,
            "Body_make_things": {
                "type": "object",
                "properties": {"sort": {"type": "string", "default": "ASC"}, "limit": {"type": "integer"}},
            },
        }
    },
}
OPERATION = ("paths", "/things/{id}", "post")
THING = ("components", "schemas", "Thing")
BODY = ("components", "schemas", "Body_make_things", "properties")


def changed(path: tuple[Any, ...], value: Any) -> JsonObject:
    whole = copy.deepcopy(WHOLE)
    place = whole
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return whole


def places(whole: JsonObject) -> list[str]:
    return list(Comparison(Document(WHOLE), Document(whole)).differences)


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("paths", "/things/{id}"), {}, "POST /things/{id}"),
        ((*OPERATION, "tags"), ["Others"], "POST /things/{id} tags"),
        ((*OPERATION, "operationId"), "other", "POST /things/{id} operationId"),
        ((*OPERATION, "parameters", 0, "schema"), {"type": "string"}, "POST /things/{id} path id format"),
        ((*OPERATION, "parameters", 1, "name"), "flat", "POST /things/{id} query "),
        ((*OPERATION, "parameters", 1, "required"), True, "POST /things/{id} query deep.required"),
        ((*OPERATION, "parameters", 1, "schema", "default"), True, "POST /things/{id} query deep default"),
        ((*OPERATION, "requestBody", "required"), True, "POST /things/{id} body.required"),
        ((*OPERATION, "requestBody", "content"), {}, "POST /things/{id} body application/json"),
        ((*OPERATION, "responses", "404"), {}, "POST /things/{id} 404"),
        ((*BODY, "sort", "default"), "DESC", "POST /things/{id} body.sort default"),
        ((*BODY, "limit"), {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "POST /things/{id} body.limit null"),
        ((*BODY, "more"), {}, "POST /things/{id} body.more"),
        ((*THING, "required"), [], "Thing required"),
        ((*THING, "additionalProperties"), False, "Thing{}"),
        ((*THING, "properties", "more"), {}, "Thing.more"),
        ((*THING, "properties", "name", "maxLength"), 6, "Thing.name maxLength"),
        ((*THING, "properties", "name", "pattern"), "^b", "Thing.name pattern"),
        ((*THING, "properties", "kind", "enum"), ["A"], "Thing.kind enum"),
        ((*THING, "properties", "size", "anyOf", 0, "minimum"), 0, "Thing.size minimum"),
        ((*THING, "properties", "size"), {"type": "integer", "minimum": 1}, "Thing.size null"),
        ((*THING, "properties", "child"), {"type": "object"}, "Thing.child"),
        ((*THING, "properties", "labels", "additionalProperties", "type"), "integer", "Thing.labels{} type"),
        ((*THING, "properties", "pair", "prefixItems", 1, "type"), "string", "Thing.pair[1] type"),
    ],
)
def test_a_change_is_found_where_it_is(path: tuple[Any, ...], value: Any, place: str) -> None:
    found = places(changed(path, value))
    assert found
    assert all(one.startswith(place) for one in found), found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*THING, "title"), "A thing"),
        ((*THING, "properties", "kind"), {"enum": ["B", "A"], "type": "string", "description": "Which"}),
        ((*THING, "properties", "size", "anyOf"), [{"type": "null"}, {"type": "integer", "minimum": 1}]),
        ((*THING, "properties", "name", "default"), None),
        ((*BODY, "limit", "max_items"), 3),
    ],
)
def test_what_says_nothing_is_no_difference(path: tuple[Any, ...], value: Any) -> None:
    assert not places(changed(path, value))
