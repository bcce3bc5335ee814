"""Responses of the protocol: compact JSON, UTC times with ``Z``, and rows that never become model objects."""

from collections.abc import Mapping
from enum import Enum
from typing import Any
from uuid import UUID

import orjson
from starlette.responses import Response

__all__ = ["JSON", "dumps", "no_content"]

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC | orjson.OPT_NON_STR_KEYS


def _default(value: Any) -> Any:
    if isinstance(value, UUID):  # the driver's subclass
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):  # a body of another type than JSON, quoted in an error
        return value.decode(errors="replace")
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def dumps(content: Any) -> bytes:
    """JSON bytes; NaN and infinities become null, as the protocol has it."""
    return orjson.dumps(content, default=_default, option=_OPTIONS)


class JSON(Response):
    """A JSON response from rows, dicts and models alike."""

    media_type = "application/json"

    def __init__(self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(dumps(content), status_code, headers)


def no_content() -> Response:
    return Response(status_code=204)
