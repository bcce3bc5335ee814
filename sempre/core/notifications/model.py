"""A message, and what carries it: an HTTP request or a mail."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Mail", "Message", "Outgoing", "Security", "Unusable"]


class Unusable(ValueError):
    """The block that says where messages go lacks something, or holds something that cannot be right."""


@dataclass(frozen=True, slots=True)
class Message:
    """``id`` is the same whenever the same message is sent again."""

    subject: str
    body: str
    id: str = ""


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


class Security(StrEnum):
    """How a connection to a mail server is protected: from its beginning (``tls``), after a greeting, or not."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail and the server that takes it. ``login`` is a user and a password."""

    host: str
    port: int
    security: Security
    sender: str
    recipients: tuple[str, ...]
    message: Message
    login: tuple[str, str] | None = None
    verify: bool = True
    timeout: float = 30.0  # seconds
    allow_private: bool = True
