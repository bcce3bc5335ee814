"""Type hints of functions as pydantic models. Loaded only when a call has hints to be checked."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUserError

__all__ = ["ParameterModel", "parameter_model"]

_CONFIG = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())


class ParameterModel:
    """Checks and describes the parameters of one function.

    The fields of the pydantic model are named p0, p1, ... with the parameter's name as alias: any name goes, and two
    of our own never collide with those of pydantic.
    """

    def __init__(self, names: list[str], model: type[BaseModel], descriptions: dict[str, str]) -> None:
        self.names = names
        self.model = model
        self._descriptions = descriptions

    def check(self, given: dict[str, Any]) -> dict[str, Any]:
        """The given parameters, converted. Raises pydantic's ValidationError; nothing is said of missing ones."""
        fields = {f"p{at}": name for at, name in enumerate(self.names)}
        checked = self.model.model_validate(given)
        return {fields[field]: getattr(checked, field) for field in checked.model_fields_set}

    def json_schema(self) -> dict[str, Any]:
        try:
            schema = self.model.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
        except (PydanticInvalidForJsonSchema, PydanticUserError):
            schema = {"properties": {name: {} for name in self.names}, "required": []}
        properties = schema.get("properties", {})
        for at, name in enumerate(self.names):
            described = properties.setdefault(name, {})
            described["title"] = name
            described["position"] = at
            if name in self._descriptions:
                described.setdefault("description", self._descriptions[name])
        out = {"title": "Parameters", "type": "object", "properties": properties}
        if schema.get("required"):
            out["required"] = schema["required"]
        return {**out, "definitions": schema.get("$defs", {})}


def parameter_model(fn: Callable[..., Any], signature: inspect.Signature) -> ParameterModel:
    try:
        hints = typing.get_type_hints(fn, include_extras=True)
    except Exception:  # a name that only exists for type checkers: that parameter is then taken as it is
        hints = {n: p.annotation for n, p in signature.parameters.items() if not isinstance(p.annotation, str)}
    names = list(signature.parameters)
    fields: dict[str, Any] = {}
    for at, (name, parameter) in enumerate(signature.parameters.items()):
        hint = _hint(hints.get(name, Any), parameter)
        has_default = parameter.default is not inspect.Parameter.empty
        if parameter.kind is parameter.VAR_KEYWORD:
            fields[f"p{at}"] = (hint, Field(default_factory=dict, alias=name))
        elif parameter.kind is parameter.VAR_POSITIONAL:
            fields[f"p{at}"] = (hint, Field(default=(), alias=name))
        elif has_default:
            fields[f"p{at}"] = (hint, Field(default=parameter.default, alias=name))
        else:
            fields[f"p{at}"] = (hint, Field(alias=name))
    model = create_model("Parameters", __config__=_CONFIG, **fields)
    return ParameterModel(names, model, _descriptions(fn.__doc__ or "", names))


def _hint(hint: Any, parameter: inspect.Parameter) -> Any:
    if hint is inspect.Parameter.empty:
        hint = Any
    try:
        TypeAdapter(hint, config=None if _has_config(hint) else _CONFIG)
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError, NameError):
        hint = Any
    if parameter.kind is parameter.VAR_POSITIONAL:
        return tuple[hint, ...]
    return dict[str, hint] if parameter.kind is parameter.VAR_KEYWORD else hint


def _has_config(hint: Any) -> bool:
    """pydantic wants no other configuration for types that carry one of their own."""
    if not isinstance(hint, type):
        return False
    return issubclass(hint, BaseModel) or hasattr(hint, "__dataclass_fields__") or typing.is_typeddict(hint)


def _descriptions(text: str, names: list[str]) -> dict[str, str]:
    """What a docstring in Google's, NumPy's or Sphinx' form says of the parameters."""
    text = inspect.cleandoc(text)
    found: dict[str, str] = {}
    for name in map(re.escape, names):
        for pattern in (
            rf"^:param (?:[^:]+ )?{name}:[ \t]*(.+)$",
            rf"^[ \t]+{name}(?:[ \t]*\([^)]*\))?:[ \t]*(.+)$",
            rf"^{name}(?:[ \t]*:[^\n]*)?\n[ \t]+(.+)$",
        ):
            match = re.search(pattern, text, re.MULTILINE)
            if match:
                found[name] = match[1].strip()
                break
    return found
