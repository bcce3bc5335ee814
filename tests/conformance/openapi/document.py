"""The two API documents: the protocol's, beside the checkout, and ours, made by the app."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from sempre.server.app import create_app
from sempre.server.settings import load_settings

__all__ = ["Document", "Operation", "ours", "reference", "theirs"]

JsonObject: TypeAlias = dict[str, Any]

_METHODS = ("get", "post", "put", "patch", "delete")
_PREFIX = "/api"


@dataclass(frozen=True)
class Operation:
    """One method of one path; ``path`` is under the API's prefix."""

    method: str
    path: str
    item: JsonObject

    @property
    def key(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def parameters(self) -> dict[str, JsonObject]:
        """By place and name, as ``query client``."""
        return {f"{item['in']} {item['name']}": item for item in self.item.get("parameters", ())}

    @property
    def body(self) -> dict[str, JsonObject]:
        """Under ``body``, if there is one."""
        return {"body": self.item["requestBody"]} if "requestBody" in self.item else {}


class Document:
    """Operations by key, and the components they refer to."""

    def __init__(self, whole: JsonObject, prefix: str = "") -> None:
        self.components: JsonObject = whole["components"]["schemas"]
        found = self._operations(whole["paths"], prefix)
        self.operations = {operation.key: operation for operation in found}

    @staticmethod
    def _operations(paths: JsonObject, prefix: str) -> Iterator[Operation]:
        for path, items in paths.items():
            if path.startswith(prefix):  # what is served beside the API is not the protocol's
                for method in _METHODS & items.keys():
                    yield Operation(method, path.removeprefix(prefix), items[method])


def reference() -> Path:
    """SEMPRE_OPENAPI, or the document beside the checkout. The repository does not contain it."""
    named = os.environ.get("SEMPRE_OPENAPI")
    root = Path(__file__).resolve().parents[3]
    return Path(named) if named else root.parent / "shared" / "data" / "openapi.json"


def theirs() -> Document:
    return Document(json.loads(reference().read_text()))


def ours() -> Document:
    return Document(create_app(load_settings(env={}), services=False).openapi(), _PREFIX)
