"""The API document, completed with what the framework cannot see: the rules of the layers around the routes."""

from typing import Any

__all__ = ["complete", "relative"]

_METHODS = ("get", "post", "put", "patch", "delete")
_VERSION = {"in": "header", "name": "x-prefect-api-version", "required": False, "schema": {"type": "string"}}
_UNVERSIONED = ("/health", "/version")

_REFUSAL = {
    "title": "HTTPValidationError",
    "type": "object",
    "description": "Either a sentence (`detail`), or everything that is wrong with the shape of a request, or, of a "
    "template, where it is wrong.",
    "properties": {
        "detail": {"type": "string"},
        "exception_message": {"type": "string"},
        "exception_detail": {"type": "array", "items": {"$ref": "#/components/schemas/ValidationError"}},
        "request_body": {},
        "error": {"type": "object"},
    },
}
_REFUSED = {
    "description": "What was sent is refused",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}},
}


def complete(document: dict[str, Any], prefix: str) -> None:
    """Add to each operation under ``prefix`` the version header and the 422 that the middleware and the handlers of
    errors take care of (see middleware.py and errors.py)."""
    for path, operations in document["paths"].items():
        if path.startswith(prefix) and path.removeprefix(prefix) not in _UNVERSIONED:
            for operation in (operations[method] for method in _METHODS if method in operations):
                operation.setdefault("parameters", []).append(dict(_VERSION))
                operation["responses"]["422"] = dict(_REFUSED)
    document["components"]["schemas"]["HTTPValidationError"] = _REFUSAL


def relative(document: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The same document of the operations under ``prefix`` alone, with paths relative to it."""
    paths = {path.removeprefix(prefix): item for path, item in document["paths"].items() if path.startswith(prefix)}
    return {**document, "servers": [{"url": prefix}], "paths": paths}
