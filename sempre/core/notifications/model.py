"""A message, and the HTTP request that carries it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Message", "Outgoing", "Unusable"]


class Unusable(ValueError):
    """The block that says where messages go lacks something, or holds something that cannot be right."""


@dataclass(frozen=True, slots=True)
class Message:
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request. ``json`` and ``form`` are alternatives; ``auth`` is a user and a password."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] | None = None
    json: Any = None
    form: Mapping[str, Any] | None = None
    cookies: Mapping[str, str] | None = None
    auth: tuple[str, str] | None = None
    timeout: float = 10.0  # seconds
    allow_private: bool = True
