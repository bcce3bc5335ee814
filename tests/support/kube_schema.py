"""The JSON schemas of Kubernetes objects, strict: unknown fields are errors."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

__all__ = ["NEWEST", "OLDEST", "problems"]

OLDEST, NEWEST = "1.29.0", "1.37.0"


@lru_cache(maxsize=8)
def _validator(version: str, name: str) -> Draft202012Validator:
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}-local-strict"
    contents = {each: json.loads((folder / each).read_text()) for each in (name, "_definitions.json")}
    registry: Registry[Any] = Registry().with_resources(
        (each, Resource.from_contents(content, DRAFT202012)) for each, content in contents.items()
    )
    return Draft202012Validator(contents[name], registry=registry)


def problems(thing: dict[str, Any], version: str = NEWEST) -> list[str]:
    """What is wrong with an object, each with where."""
    group, _, number = thing["apiVersion"].rpartition("/")
    name = f"{thing['kind'].lower()}-{group.split('.')[0]}{'-' if group else ''}{number}.json"
    return [f"{error.json_path}: {error.message}" for error in _validator(version, name).iter_errors(thing)]
