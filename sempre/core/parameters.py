"""Parameters and job variables against JSON schemas (draft 2020-12)."""

import ast
import json
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema.exceptions import ValidationError, best_match
from referencing.exceptions import Unresolvable

from sempre.core import json_schema
from sempre.core.hydration import Deferred, Problem

__all__ = [
    "CircularSchema",
    "InvalidSchema",
    "InvalidValue",
    "block_references",
    "check_deployment_parameters",
    "check_job_variable_defaults",
    "check_job_variables",
    "check_parameter_size",
    "job_variable_defaults",
    "validate",
    "validate_schema",
    "validation_errors",
]


class InvalidSchema(ValueError):
    """The schema itself is unusable; the text begins with ``Invalid schema:``."""


class CircularSchema(InvalidSchema):
    """References of the schema lead back to themselves."""

    def __init__(self) -> None:
        super().__init__("Invalid schema: Unable to validate schema with circular references.")


class InvalidValue(ValueError):
    """A value breaks the schema; the text begins with ``Validation failed``. ``reason`` is the bare reason."""

    def __init__(self, reason: str, field: str = "") -> None:
        place = f" for field '{field}'" if field else ""
        super().__init__(f"Validation failed{place}. Failure reason: {reason}")
        self.reason = reason
        self.field = field


def check_parameter_size(parameters: Mapping[str, Any], maximum: int) -> None:
    """Raise ``ValueError`` if the compact ASCII JSON of the parameters exceeds ``maximum`` bytes (0: no limit)."""
    if maximum <= 0:
        return
    size = len(json.dumps(parameters, separators=(",", ":"), default=str))
    if size > maximum:
        raise ValueError(
            f"Flow run parameters must be less than {maximum:,} bytes when serialized (got {size:,} bytes)."
        )


def validate_schema(schema: Any) -> None:
    """Raise :class:`InvalidSchema` unless this is a JSON schema."""
    message = _schema_error(schema)
    if message is not None:
        raise InvalidSchema(f"Invalid schema: {message}")


@json_schema.limited()
def validate(
    values: Any,
    schema: Mapping[str, Any],
    *,
    required: bool = True,
    allow_null: bool = True,
    allow_null_over_default: bool = False,
) -> None:
    """Check values against a schema.

    ``required=False`` disregards ``required`` at all depths. With ``allow_null`` a property that is not required, has
    a type and no default also accepts null (``allow_null_over_default``: with a default too), and a list of ``items``
    means ``prefixItems``. References to other documents are never followed; they fail as values that break the schema.

    Raises :class:`InvalidValue`, :class:`InvalidSchema` or :class:`CircularSchema`.
    """
    prepared = _prepare(schema, allow_null_over_default) if allow_null else schema
    validate_schema(prepared)
    _judge(values, prepared if required else _without_required(prepared))


def _judge(values: Any, prepared: Any) -> None:
    error = best_match(iter(_errors(values, prepared)))
    if error is not None:
        raise InvalidValue(error.message, _field(error))


@json_schema.limited()
def check_deployment_parameters(parameters: Mapping[str, Any], schema: Any) -> None:
    """The check of a deployment that is written with enforcement: the schema as it stands, ``required`` disregarded.

    Raises ``ValueError`` whose text is complete.
    """
    message = _schema_error(schema)
    if message is not None:
        raise InvalidSchema(f"The provided schema is not a valid json schema. Schema error: {message}")
    validate(parameters, schema, required=False, allow_null=False)


def _schema_error(schema: Any) -> str | None:
    try:
        return json_schema.schema_error(schema)
    except RecursionError:
        return "the schema is nested too deeply"
    except json_schema.Refused as error:
        return str(error)


def _errors(values: Any, schema: Any) -> list[ValidationError]:
    try:
        return json_schema.value_errors(schema, values)
    except json_schema.Refused as error:
        raise InvalidSchema(f"Invalid schema: {error}") from error
    except Unresolvable as error:
        raise InvalidValue(str(error)) from error
    except RecursionError as error:
        raise CircularSchema from error


def _field(error: ValidationError) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return text.removeprefix(".")


_SCHEMAS_BY_NAME = ("properties", "definitions", "$defs")


def _prepare(schema: Any, over_default: bool) -> Any:
    """The schema as clients mean it: list-valued ``items`` as tuples, optional properties also null."""
    if not isinstance(schema, Mapping):
        return schema
    out = dict(schema)
    for name in _SCHEMAS_BY_NAME:
        if isinstance(out.get(name), Mapping):
            out[name] = {key: _prepare(part, over_default) for key, part in out[name].items()}
    if isinstance(out.get("items"), list):
        out["prefixItems"] = [_prepare(part, over_default) for part in out.pop("items")]
    elif "items" in out:
        out["items"] = _prepare(out["items"], over_default)
    if isinstance(out.get("properties"), Mapping):
        listed = out.get("required")
        required = listed if isinstance(listed, list) else []
        out["properties"] = {
            key: part if key in required else _or_null(part, over_default) for key, part in out["properties"].items()
        }
    return out


def _or_null(schema: Any, over_default: bool) -> Any:
    if not isinstance(schema, Mapping) or schema.get("type") in (None, "null") or "anyOf" in schema:
        return schema
    if "default" in schema and not over_default:
        return schema
    out = {key: value for key, value in schema.items() if key != "type"}
    out["anyOf"] = [{"type": schema["type"]}, {"type": "null"}]
    return out


# Keywords whose value is data, or names, and not a schema: a property may well be called "required".
_DATA = frozenset({"default", "const", "enum", "examples"})
_NAMED = frozenset({"properties", "patternProperties", "definitions", "$defs", "dependentSchemas"})


def _without_required(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_required(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    out: dict[str, Any] = {}
    for key, part in schema.items():
        if key == "required":
            continue
        if key in _DATA:
            out[key] = part
        elif key in _NAMED and isinstance(part, Mapping):
            out[key] = {name: _without_required(inner) for name, inner in part.items()}
        else:
            out[key] = _without_required(part)
    return out


@json_schema.limited()
def validation_errors(schema: Mapping[str, Any], values: Any) -> list[Any]:
    """All that is wrong with values, as a form shows it.

    An error is a text where it concerns the whole, ``{"property": p, "errors": [...]}`` or
    ``{"index": i, "errors": [...]}`` below; a missing property is reported under its name. Where ``values`` hold a
    :class:`~sempre.core.hydration.Problem` its message stands instead of what the schema would say there, and where
    they hold a :class:`~sempre.core.hydration.Deferred` the schema says nothing.

    Raises :class:`InvalidSchema` or :class:`CircularSchema`.
    """
    prepared = _prepare(schema, over_default=False)
    validate_schema(prepared)
    problems = dict(_problems(values, ()))
    if () in problems:
        message = problems[()]
        return [] if message is None else [message]
    tree = _Tree()
    for path, message in problems.items():
        if message is not None:
            tree.plant(path, message)
    try:
        errors = _errors(_plain(values), prepared)
    except InvalidValue as error:  # a reference that leads nowhere: the schema is at fault, not the values
        raise InvalidSchema(f"Invalid schema: {error}") from error
    for found in errors:
        path = tuple(found.absolute_path)
        if found.validator == "required":
            path = (*path, _missing(found.message))
        if not any(path[:length] in problems for length in range(len(path) + 1)):
            tree.plant(path, found.message)
    return tree.errors


def _missing(message: str) -> str:
    """The name of the property that is not there: an error carries it in its message alone."""
    return str(ast.literal_eval(message.removesuffix(" is a required property")))


def _problems(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str | None]]:
    """Where the schema has no say, and what is said there instead: nothing where the value is not known yet."""
    if isinstance(value, Problem):
        yield path, value.message
    elif isinstance(value, Deferred):
        yield path, None
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _problems(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _problems(item, (*path, index))


def _plain(value: Any) -> Any:
    if isinstance(value, Problem):
        return None
    if isinstance(value, Deferred):
        return value.template
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


class _Tree:
    """Messages at their paths: branches are shared, each leaf is its own. Hanging one up takes the same time always."""

    def __init__(self) -> None:
        self.errors: list[Any] = []
        self._branches: dict[tuple[str | int, ...], list[Any]] = {(): self.errors}

    def plant(self, path: tuple[str | int, ...], message: str) -> None:
        errors = self.errors
        for depth, part in enumerate(path, start=1):
            branch = path[:depth]
            if depth == len(path) or branch not in self._branches:
                node: dict[str, Any] = {"index" if isinstance(part, int) else "property": part, "errors": []}
                errors.append(node)
                errors = node["errors"]
                self._branches.setdefault(branch, errors)
            else:
                errors = self._branches[branch]
        errors.append(message)


def block_references(variables_schema: Mapping[str, Any]) -> dict[str, str]:
    """The ids of the block documents that stand as defaults of job variables, by variable."""
    found = {}
    for name, default in _defaults(variables_schema).items():
        reference = default.get("$ref") if isinstance(default, Mapping) else None
        if isinstance(reference, Mapping) and reference.get("block_document_id") is not None:
            found[name] = str(reference["block_document_id"])
    return found


def job_variable_defaults(variables_schema: Mapping[str, Any], blocks: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults of a pool's variables; ``blocks`` holds the data of referenced block documents, by document id."""
    references = block_references(variables_schema)
    return {
        name: blocks[references[name]] if name in references else default
        for name, default in _defaults(variables_schema).items()
    }


def _defaults(variables_schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = variables_schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {
        name: part["default"] for name, part in properties.items() if isinstance(part, Mapping) and "default" in part
    }


@json_schema.limited()
def check_job_variables(
    base_job_template: Mapping[str, Any],
    *layers: Mapping[str, Any],
    required: bool = True,
    blocks: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Lay job variables over the defaults of a pool (deployment first, then run), check and return them.

    Defaults that break their own schema are dropped, and then nothing is required. A template without variables checks
    nothing. Raises as :func:`validate` does.
    """
    schema = base_job_template.get("variables")
    given: dict[str, Any] = {}
    for layer in layers:
        given.update(layer)
    if not isinstance(schema, Mapping) or not schema:
        return given
    defaults = job_variable_defaults(schema, blocks or {})
    prepared = _prepare(schema, over_default=True)
    validate_schema(prepared)
    relaxed = _without_required(prepared)
    invalid = {name for name in defaults if not _holds(relaxed, {name: defaults[name]})}
    merged = {**{name: value for name, value in defaults.items() if name not in invalid}, **given}
    _judge(merged, relaxed if invalid or not required else prepared)
    return merged


@json_schema.limited()
def check_job_variable_defaults(base_job_template: Mapping[str, Any], blocks: Mapping[str, Any] | None = None) -> None:
    """Raise ``ValueError`` with the whole text if a pool's variables are no schema or their defaults break it."""
    schema = base_job_template.get("variables")
    if not isinstance(schema, Mapping) or not schema:
        return
    try:
        validate(job_variable_defaults(schema, blocks or {}), schema, required=False, allow_null_over_default=True)
    except InvalidValue as error:
        raise ValueError(f"Validation failed for work pool's job variable defaults: {error}") from error


def _holds(prepared: Any, values: Mapping[str, Any]) -> bool:
    try:
        _judge(values, prepared)
    except InvalidValue:
        return False
    return True
