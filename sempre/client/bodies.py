"""From what callers give (schemas, mappings, plain values) to the bytes of a request, and from answers to schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

from pydantic import BaseModel, TypeAdapter
from pydantic_core import from_json, to_json

__all__ = ["Given", "body_of", "encoded", "id_of", "listed", "parsed", "path_part", "plain", "sent_state", "state_body"]

M = TypeVar("M", bound=BaseModel)
Given = BaseModel | Mapping[str, Any]
"""A schema, or a mapping with the keys of one."""


def plain(value: Any) -> Any:
    """JSON values. Of a schema only what was set: a server fills in the rest, perhaps better than this version."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True, by_alias=True)
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return value


def body_of(given: Given | None = None, /, **more: Any) -> dict[str, Any]:
    """The body made of a schema or mapping and of further keys; keys that are None are left out."""
    body = dict(plain(given)) if given is not None else {}
    return body | {key: plain(value) for key, value in more.items() if value is not None}


def encoded(body: Any) -> bytes:
    """JSON, also of ids, times and spans of time. Raises ValueError for what has no JSON."""
    return to_json(body, timedelta_mode="float", inf_nan_mode="null")


def parsed(kind: type[M], content: bytes) -> M:
    """An answer as a schema. Raises pydantic's ValidationError if it is none."""
    return kind.model_validate_json(content)


@lru_cache(maxsize=64)
def _list_of(kind: type[M]) -> TypeAdapter[list[M]]:
    return TypeAdapter(list[kind])  # type: ignore[valid-type]


def listed(kind: type[M], content: bytes) -> list[M]:
    """An answer as a list of schemas."""
    return _list_of(kind).validate_json(content)


def value_of(content: bytes) -> Any:
    """An answer as JSON values; None without a body."""
    return from_json(content) if content else None


def path_part(name: object) -> str:
    """A name or id as one part of a path."""
    return quote(str(name), safe="")


def id_of(thing: Any) -> UUID | str:
    """The id of an object, or the id that was given in its place."""
    found = getattr(thing, "id", thing)
    if not isinstance(found, UUID | str):
        raise TypeError(f"expected an object with an id, or an id, not {type(thing).__name__}")
    return found


def sent_state(state: Given, transition_id: UUID) -> dict[str, Any]:
    """The body of a proposed state. It carries a transition id, its own or the given one: a repeated proposal is
    recognised by it."""
    body = state_body(state)
    details = {**(body.get("state_details") or {})}
    if not details.get("transition_id"):
        details["transition_id"] = str(transition_id)
    return body | {"state_details": details}


_PROPOSED = ("type", "name", "message", "data", "state_details")


def state_body(state: Given) -> dict[str, Any]:
    """The keys of a state that a proposal has: the server gives id and time."""
    body = plain(state)
    return {key: body[key] for key in _PROPOSED if body.get(key) is not None}


def filters(**given: Given | Sequence[Any] | None) -> dict[str, Any]:
    """The filters of a list call by their keys."""
    return {key: plain(value) for key, value in given.items() if value is not None}
