"""Every component of the protocol's API document against our model of the same name.

``components.json`` holds the components of the protocol this server speaks (without the settings tree and the
per-call wrappers that web frameworks make), reduced to what has a meaning for a machine.
"""

import importlib
import json
import pkgutil
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

import sempre.schemas
from sempre.schemas.base import ActionModel, FilterModel
from sempre.schemas.resources import RelatedResource, Resource, ResourceSpecification

COMPONENTS: dict[str, Any] = json.loads((Path(__file__).parent / "components.json").read_text())

# Not ours: the web framework documents its own error shape, which this protocol never sends.
OMITTED = {"HTTPValidationError", "ValidationError"}

# component -> {member: why it differs}; "required" is a member, "*" stands for the whole component.
DIFFERENCES: dict[str, dict[str, str]] = {
    "Artifact": {"required": "always sent: id, created, updated"},
    "State": {"required": "timestamp is always sent"},
    "ReceivedEvent": {"required": "received is always sent"},
    "TaskRunPolicy": {"retry_jitter_factor": "negative factors are refused"},
    "TaskRunCount": {"*": "our two bars by name instead of any name"},
    "EventTrigger-Input": {
        "match": "one name for the two spellings of a specification",
        "match_related": "one name for the two spellings of a specification",
    },
    "EventTrigger-Output": {
        "match": "one name for the two spellings of a specification",
        "match_related": "one name for the two spellings of a specification",
    },
    "CompoundTrigger-Input": {"triggers": "metric triggers are known as well"},
    "CompoundTrigger-Output": {"triggers": "metric triggers are known as well"},
    "SequenceTrigger-Input": {"triggers": "metric triggers are known as well"},
    "SequenceTrigger-Output": {"triggers": "metric triggers are known as well"},
    "Automation": {"trigger": "metric triggers are known as well"},
    "AutomationCreate": {"trigger": "metric triggers are known as well"},
    "AutomationUpdate": {"trigger": "metric triggers are known as well"},
}


def _registry() -> dict[str, type]:
    found: dict[str, type] = {}
    for module_info in pkgutil.walk_packages(sempre.schemas.__path__, "sempre.schemas."):
        module = importlib.import_module(module_info.name)
        for name, value in vars(module).items():
            if not isinstance(value, type) or name.startswith("_"):
                continue
            if issubclass(value, BaseModel | Enum) or value in (Resource, RelatedResource, ResourceSpecification):
                assert found.setdefault(value.__name__, value) is value, f"two classes are called {value.__name__}"
    return found


MODELS = _registry()


def _base(name: str) -> str:
    return name.removesuffix("-Input").removesuffix("-Output")


def _schema(name: str) -> dict[str, Any]:
    """Our JSON schema of a component, in the direction in which the protocol uses it."""
    model = MODELS[_base(name)]
    inbound = not name.endswith("-Output") and (name.endswith("-Input") or issubclass(model, ActionModel | FilterModel))
    whole = TypeAdapter[Any](model).json_schema(mode="validation" if inbound else "serialization")
    if "$ref" in whole:  # recursive models
        whole = whole["$defs"][whole["$ref"].rsplit("/", 1)[-1]]
    return whole


def _normal(schema: Any) -> Any:
    """What a schema says, without titles, spelling of null defaults, or order of alternatives."""
    if isinstance(schema, list):
        return [_normal(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("title", "description", "discriminator", "examples") or (key == "default" and value is None):
            continue
        if key == "$ref":
            out[key] = _base(value.rsplit("/", 1)[-1])
        elif key in ("anyOf", "oneOf"):
            options = [_normal(item) for item in value if _normal(item)]  # {} allows all: the same as its absence
            out["anyOf"] = sorted(options, key=lambda item: json.dumps(item, sort_keys=True))
        elif key == "additionalProperties" and "anyOf" in schema:
            continue  # an echo of what an alternative says
        else:
            out[key] = _normal(value) if isinstance(value, dict | list) else value
    return out


def _differences(name: str) -> dict[str, str]:
    return DIFFERENCES.get(name, {})


@pytest.mark.parametrize("name", sorted(set(COMPONENTS) - OMITTED))
def test_component(name: str) -> None:
    allowed = _differences(name)
    assert _base(name) in MODELS
    theirs, ours = COMPONENTS[name], _schema(name)
    if "*" in allowed:
        return
    if "enum" in theirs:
        assert sorted(ours["enum"]) == sorted(theirs["enum"])
        return
    their_fields, our_fields = theirs.get("properties", {}), ours.get("properties", {})
    assert set(our_fields) == set(their_fields)
    found: dict[str, Any] = {}
    for field in their_fields:
        pair = _normal(our_fields[field]), _normal(their_fields[field])
        if pair[0] != pair[1]:
            found[field] = pair
    pair = sorted(ours.get("required", [])), sorted(theirs.get("required", []))
    if pair[0] != pair[1]:
        found["required"] = pair
    pair = ours.get("additionalProperties", True), theirs.get("additionalProperties", True)
    if pair[0] != pair[1]:
        found["additionalProperties"] = pair
    assert set(found) == set(allowed), found


def test_our_own_models_are_few() -> None:
    """What we have beside the protocol, by name: a typo in a class name shows up here."""
    theirs = {_base(name) for name in COMPONENTS}
    own = {
        name
        for name, model in MODELS.items()
        if name not in theirs and model.__module__.startswith("sempre.schemas.") and "[" not in name
    }
    assert own == {
        "ActionModel", "AllOf", "AnyIdOrNull", "AnyOf", "AnyOrNot", "Combined", "FilterModel", "KeyMatch", "Like",
        "MetricTrigger", "MetricTriggerQuery", "NameMatch", "Page", "Record", "TagsAll", "TagsAny", "WireModel",
        "Window", "WindowOrNull",
    }  # fmt: skip


def test_inputs_refuse_what_they_do_not_know() -> None:
    """Bodies and filters forbid unknown keys wherever the protocol does."""
    for name, component in COMPONENTS.items():
        model = MODELS.get(_base(name))
        if model is None or not issubclass(model, BaseModel):
            continue
        forbidden = component.get("additionalProperties") is False
        assert (model.model_config.get("extra") == "forbid") is forbidden, name
