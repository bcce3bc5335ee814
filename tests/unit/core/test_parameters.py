"""Placeholders and schema checks: the texts that clients show."""

from typing import Any

import pytest

from sempre.core.hydration import HydrationError, hydrate, hydrate_keeping_problems, placeholder_problems
from sempre.core.parameters import (
    CircularSchema,
    InvalidSchema,
    InvalidValue,
    block_references,
    check_deployment_parameters,
    check_job_variable_defaults,
    check_job_variables,
    check_parameter_size,
    validate,
    validation_errors,
)

VARIABLES = {"region": "eu", "limits": {"n": [1]}}


def kind(name: str | None, **rest: Any) -> dict[str, Any]:
    return {"__prefect_kind": name, **rest}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5),
        ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        (kind("none", value={"a": kind("json", value="[1]")}), {"a": [1]}),
        ({"a": kind("json"), "b": [1, kind("json"), 2]}, {"b": [1, 2]}),
        ({"a": kind("json", value=kind("jinja", template="[{{ 1 + 1 }}]"))}, {"a": [2]}),
        ({"a": kind("json", value=[1, kind("zzz")])}, {"a": [1, kind("zzz")]}),
        ({"a": kind("jinja", template="x{{ unknown.y }}{{ 1 }}")}, {"a": "x1"}),
        ({"a": kind("workspace_variable", variable_name="limits")}, {"a": {"n": [1]}}),
        ({"a": kind("workspace_variable")}, {}),
        ({"a": kind("zzz", value=4), "b": kind(None), "c": kind("zzz")}, {"a": 4, "b": None, "c": None}),
        (kind("json"), {}),
        ({"a": {"$ref": {"block_document_id": "x"}}}, {"a": {"$ref": {"block_document_id": "x"}}}),
    ],
)
def test_hydration(value: Any, expected: Any) -> None:
    assert hydrate(value, VARIABLES) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (kind("none"), "Missing 'value' key in __prefect object"),
        (kind("jinja"), "Missing 'template' key in __prefect object"),
        (kind("json", value="[1,"), "Invalid JSON: Expecting value: line 1 column 4 (char 3)"),
        (
            kind("jinja", template="{{ x"),
            "Invalid jinja: unexpected end of template, expected 'end of print statement'.",
        ),
        (
            kind("jinja", template="{{ 1/0 }}"),
            "Invalid jinja: Failed to render template due to the following error: "
            "ZeroDivisionError('division by zero')",
        ),
        (kind("workspace_variable", variable_name="nope"), "Variable 'nope' not found in workspace."),
        ({"a": 1, "b": [kind("none"), kind("jinja")]}, "Missing 'value' key in __prefect object"),
    ],
)
def test_hydration_failures(value: Any, message: str) -> None:
    with pytest.raises(HydrationError) as caught:
        hydrate(value, VARIABLES)
    assert str(caught.value) == message


def test_placeholders_of_an_automation() -> None:
    value = {"a": kind("jinja", template="{{ x"), "b": kind("jinja"), "c": {"d": [0, kind("json", value="")]},
             "e": kind("workspace_variable", variable_name="any"), "f": kind("jinja", template="{{ x }}")}  # fmt: skip
    assert placeholder_problems(value) == [
        "a: Invalid jinja: unexpected end of template, expected 'end of print statement'.",
        "b: Missing 'template' key in __prefect object",
        "c.d[1]: Invalid JSON: Expecting value: line 1 column 1 (char 0)",
    ]


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "a": {"type": "integer"},
        "b": {
            "type": "object",
            "properties": {"c": {"type": "integer"}, "l": {"type": "array", "items": {"type": "integer"}}},
            "required": ["c"],
        },
        "e": {"enum": ["x", "y"]},
        "d": {"type": "integer", "default": 3},
        "t": {"type": "array", "items": [{"type": "integer"}, {"type": "string"}]},
    },
    "required": ["a"],
}
TREE = {
    "type": "object",
    "properties": {"a": {"$ref": "#/definitions/N"}},
    "definitions": {
        "N": {"type": "object", "properties": {"next": {"$ref": "#/definitions/N"}, "v": {"type": "integer"}}}
    },
}
LOOP = {
    "type": "object",
    "properties": {"a": {"$ref": "#/definitions/A"}},
    "definitions": {"A": {"$ref": "#/definitions/B"}, "B": {"$ref": "#/definitions/A"}},
}
ELSEWHERE = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}}
NOWHERE = {"type": "object", "properties": {"a": {"$ref": "#/definitions/ZZ"}}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "Validation failed. Failure reason: 'a' is a required property"),
        ({"a": "x"}, "Validation failed for field 'a'. Failure reason: 'x' is not of type 'integer'"),
        ({"a": 1, "b": {}}, "Validation failed for field 'b'. Failure reason: 'c' is a required property"),
        (
            {"a": 1, "b": {"c": "q", "l": [1, "z"]}},
            "Validation failed for field 'b.c'. Failure reason: 'q' is not of type 'integer'",
        ),
        (
            {"a": 1, "b": {"c": 1, "l": [1, "z"]}},
            "Validation failed for field 'b.l[1]'. Failure reason: 'z' is not of type 'integer'",
        ),
        ({"a": 1, "e": "q"}, "Validation failed for field 'e'. Failure reason: 'q' is not one of ['x', 'y']"),
        ({"a": 1, "t": ["x", 1]}, "Validation failed for field 't[1]'. Failure reason: 1 is not of type 'string'"),
        ({"b": {"c": "q"}}, "Validation failed. Failure reason: 'a' is a required property"),
        ({"a": None}, "Validation failed for field 'a'. Failure reason: None is not of type 'integer'"),
        ({"a": 1, "d": None}, "Validation failed for field 'd'. Failure reason: None is not of type 'integer'"),
    ],
)
def test_validation_messages(values: Any, message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        validate(values, SCHEMA)
    assert str(caught.value) == message


def test_null_where_it_is_harmless() -> None:
    validate({"a": 1, "b": None}, SCHEMA)
    validate({"a": 1, "b": {"c": 1, "l": None}}, SCHEMA)
    validate({"a": {"v": None}}, TREE)
    with pytest.raises(InvalidValue):
        validate({"a": 1, "e": None}, SCHEMA)
    assert SCHEMA["properties"]["b"]["type"] == "object"


def test_required_disregarded_at_all_depths() -> None:
    validate({"b": {}}, SCHEMA, required=False)
    named = {"type": "object", "properties": {"required": {"type": "integer"}}, "required": ["required"]}
    validate({}, named, required=False)
    with pytest.raises(InvalidValue, match="for field 'required'"):
        validate({"required": "x"}, named, required=False)


def test_references() -> None:
    validate({"a": {"v": 1, "next": {"next": {}}}}, TREE)
    with pytest.raises(InvalidValue, match=r"for field 'a\.next\.v'"):
        validate({"a": {"next": {"v": "x"}}}, TREE)
    validate({}, LOOP)
    with pytest.raises(CircularSchema) as circular:
        validate({"a": 1}, LOOP)
    assert str(circular.value) == "Invalid schema: Unable to validate schema with circular references."
    with pytest.raises(InvalidValue) as remote:
        validate({"a": 1}, ELSEWHERE)
    assert str(remote.value) == "Validation failed. Failure reason: Unresolvable: http://127.0.0.1:1/x"
    with pytest.raises(InvalidValue, match=r"PointerToNowhere: '/definitions/ZZ' does not exist within"):
        validate({"a": 1}, NOWHERE)
    with pytest.raises(InvalidSchema, match=r"^Invalid schema: 'nope' is not valid under any of the given schemas$"):
        validate({"a": 1}, {"type": "nope"})


def test_deployment_parameters_on_write() -> None:
    plain = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    check_deployment_parameters({}, plain)
    for parameters, schema, message in [
        (
            {"a": "x"},
            plain,
            "Validation failed for field 'a'. Failure reason: 'x' is not of type 'integer'",
        ),
        (
            {},
            {"type": "nope"},
            "The provided schema is not a valid json schema. Schema error: "
            "'nope' is not valid under any of the given schemas",
        ),
        (
            {},
            SCHEMA,
            "The provided schema is not a valid json schema. Schema error: "
            "[{'type': 'integer'}, {'type': 'string'}] is not of type 'object', 'boolean'",
        ),
        ({}, {"type": "array"}, "Validation failed. Failure reason: {} is not of type 'array'"),
    ]:
        with pytest.raises(ValueError) as caught:
            check_deployment_parameters(parameters, schema)
        assert str(caught.value) == message
    with pytest.raises(InvalidValue, match="None is not of type 'integer'"):
        check_deployment_parameters({"a": None}, {"properties": {"a": {"type": "integer"}}})


def node(name: str | int, *errors: Any) -> dict[str, Any]:
    return {"index" if isinstance(name, int) else "property": name, "errors": list(errors)}


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        ({"a": 1}, []),
        ({}, [node("a", "'a' is a required property")]),
        ({"a": 1, "b": {}}, [node("b", node("c", "'c' is a required property"))]),
        (
            {"a": 1, "b": {"c": "q", "l": [1, "z", {}]}},
            [
                node(
                    "b",
                    node("c", "'q' is not of type 'integer'"),
                    node(
                        "l", node(1, "'z' is not of type 'integer'"), node(2, "{} is not of type 'integer'")
                    ),
                )
            ],
        ),
        ({"a": 1, "b": {"c": 1, "l": "no"}},
         [node("b", node("l", "'no' is not valid under any of the given schemas"))]),
        ([], ["[] is not of type 'object'"]),
        ({"a": kind("none")}, [node("a", "Missing 'value' key in __prefect object")]),
        ({"a": kind("workspace_variable", variable_name="nope")},
         [node("a", "Variable 'nope' not found in workspace.")]),
        ({"a": kind("json")}, [node("a", "'a' is a required property")]),
        (kind("json", value="{"),
         ["Invalid JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"]),
        (
            {"a": 1, "b": {"c": kind("json", value="?"), "l": [kind("json", value="?")]}},
            [
                node(
                    "b",
                    node("c", "Invalid JSON: Expecting value: line 1 column 1 (char 0)"),
                    node("l", node(0, "Invalid JSON: Expecting value: line 1 column 1 (char 0)")),
                )
            ],
        ),
    ],
)  # fmt: skip
def test_error_tree(values: Any, errors: list[Any]) -> None:
    hydrated = hydrate_keeping_problems(values, {}, render_templates=False)
    assert validation_errors(SCHEMA, hydrated) == errors


def test_error_tree_of_bad_schemas() -> None:
    two = {"properties": {"p": {"type": "integer", "minimum": 3, "multipleOf": 2}}}
    assert validation_errors(two, {"p": 1}) == [
        node("p", "1 is less than the minimum of 3"),
        node("p", "1 is not a multiple of 2"),
    ]
    assert validation_errors({"required": ["a", "b"]}, {}) == [
        node("a", "'a' is a required property"),
        node("b", "'b' is a required property"),
    ]
    with pytest.raises(InvalidSchema) as caught:
        validation_errors(ELSEWHERE, {"a": 1})
    assert str(caught.value) == (
        "Invalid schema: Validation failed. Failure reason: Unresolvable: http://127.0.0.1:1/x"
    )
    with pytest.raises(CircularSchema):
        validation_errors(LOOP, {"a": 1})


POOL: dict[str, Any] = {
    "job_configuration": {"x": "{{ image }}"},
    "variables": {
        "type": "object",
        "properties": {
            "image": {"type": "string"},
            "n": {"type": "integer", "default": 3},
            "e": {"type": "string", "enum": ["a"]},
        },
        "required": ["image"],
    },
}


@pytest.mark.parametrize(
    ("given", "required", "message"),
    [
        ({"n": "x"}, False, "for field 'n'. Failure reason: 'x' is not valid under any of the given schemas"),
        ({"e": "q"}, False, "for field 'e'. Failure reason: 'q' is not one of ['a']"),
        ({"image": None}, False, "for field 'image'. Failure reason: None is not of type 'string'"),
        ({}, True, "Validation failed. Failure reason: 'image' is a required property"),
    ],
)
def test_job_variables_refused(given: dict[str, Any], required: bool, message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        check_job_variables(POOL, given, required=required)
    assert str(caught.value).endswith(message)


def test_job_variables_merged() -> None:
    assert check_job_variables(POOL, {"n": 1, "z": 0}, {"image": "i"}) == {"n": 1, "z": 0, "image": "i"}
    assert check_job_variables(POOL, {"n": None}, required=False) == {"n": None}
    assert check_job_variables({}, {"any": 1}) == {"any": 1}
    broken = {"variables": {"properties": {"n": {"type": "integer", "default": "x"}}, "required": ["image"]}}
    assert check_job_variables(broken, {"other": 1}) == {"other": 1}


def test_blocks_as_defaults() -> None:
    reference = {"$ref": {"block_document_id": "d1"}}
    template = {"variables": {"properties": {"creds": {"type": "object", "default": reference}}}}
    assert block_references(template["variables"]) == {"creds": "d1"}
    assert check_job_variables(template, blocks={"d1": {"user": "u"}}) == {"creds": {"user": "u"}}


def test_pool_defaults() -> None:
    check_job_variable_defaults(POOL)
    check_job_variable_defaults({"variables": {"properties": {"image": {"type": "string", "default": None}}}})
    with pytest.raises(ValueError) as caught:
        check_job_variable_defaults({"variables": {"properties": {"image": {"type": "string", "default": 4}}}})
    assert str(caught.value) == (
        "Validation failed for work pool's job variable defaults: Validation failed for field 'image'. "
        "Failure reason: 4 is not valid under any of the given schemas"
    )
    with pytest.raises(InvalidSchema, match=r"^Invalid schema: 'nope' is not valid"):
        check_job_variable_defaults({"variables": {"properties": {"image": {"type": "nope"}}}})


def test_size() -> None:
    check_parameter_size({"a": "x" * 16}, 24)
    check_parameter_size({"a": "x" * 10_000}, 0)
    with pytest.raises(ValueError) as caught:
        check_parameter_size({"a": "é" * 600_000}, 524_288)
    assert str(caught.value) == (
        "Flow run parameters must be less than 524,288 bytes when serialized (got 3,600,008 bytes)."
    )
