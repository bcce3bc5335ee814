"""The frames of the worker channel: what workers send, checked to the letter, and what they are sent."""

from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sempre.schemas.work_pools import LONGEST_HEARTBEAT_SECONDS
from sempre.server.feed.websockets import Refused
from sempre.server.ids import new_id

__all__ = [
    "AUTHORIZATION_FAILED",
    "HEARTBEAT_NOT_STORED",
    "INTERNAL",
    "PROTOCOL_ERROR",
    "TRANSIENT",
    "Ack",
    "Frame",
    "Heartbeat",
    "Hello",
    "Release",
    "Renew",
    "made",
    "payload_of",
    "protocol_error",
]

_VIOLATION = 1002
INTERNAL = 1011

# Reasons that clients compare.
AUTHORIZATION_FAILED = "authorization_failed"
PROTOCOL_ERROR = "protocol_error"
HEARTBEAT_NOT_STORED = "heartbeat_persistence_failed"
TRANSIENT = "transient_server_error"


def protocol_error() -> Refused:
    return Refused(_VIOLATION, PROTOCOL_ERROR)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Frame(_Strict):
    """The envelope of everything a worker sends."""

    type: str
    id: UUID
    sent_at: datetime
    payload: dict[str, Any]


class Hello(_Strict):
    """``worker.hello.v1``."""

    consumer_id: UUID
    worker_name: str = Field(min_length=1)
    worker_type: str
    heartbeat_interval_seconds: float = Field(gt=0, le=LONGEST_HEARTBEAT_SECONDS)
    supported_channel_versions: list[str]
    requested_capabilities: list[str]
    work_queue_names: list[str] = Field(default_factory=list)
    handled_cleanup_kinds: list[str] = Field(default_factory=list)
    max_cleanup_concurrency: int | None = Field(default=None, ge=0)
    create_pool_if_not_found: bool = False
    default_base_job_template: dict[str, Any] = Field(default_factory=dict)
    worker_metadata: dict[str, Any] | None = None


class Heartbeat(_Strict):
    """``worker.heartbeat.v1``."""

    consumer_id: UUID
    worker_name: str
    heartbeat_interval_seconds: float = Field(gt=0, le=LONGEST_HEARTBEAT_SECONDS)


class Ack(_Strict):
    """``cleanup.ack.v1``: it is torn down."""

    message_id: UUID
    reservation_token: UUID
    reason: str | None = None


class Release(Ack):
    """``cleanup.release.v1``: somebody else may try."""


class Renew(Ack):
    """``cleanup.renew.v1``: it takes longer."""


Payload = TypeVar("Payload", bound=_Strict)


def payload_of(model: type[Payload], raw: Any) -> Payload:
    """The payload or envelope ``raw`` as a ``model``. Raises Refused."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise protocol_error() from error


def made(type: str, payload: dict[str, Any]) -> dict[str, Any]:
    """A frame of ours."""
    return {"type": type, "id": new_id(), "sent_at": datetime.now(UTC), "payload": payload}
