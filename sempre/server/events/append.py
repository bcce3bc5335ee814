"""Client events on their way into the log: checked, encoded once, appended many at a time.

Appending is idempotent by event id, so that whoever is unsure whether it happened simply does it again.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from sempre.db.pool import Executor
from sempre.schemas.events import Event
from sempre.server.events.statements import APPEND_ENCODED_EVENTS

__all__ = ["EncodedEvent", "append", "encode", "without_repeats"]

log = logging.getLogger("sempre.events")

# What an event's JSON holds beside its name, resource, related resources and payload.
_FRAME_BYTES = 250


class EncodedEvent(NamedTuple):
    """A row of the log to be. ``resource``, ``related`` and ``payload`` are JSON text; ``size`` is bytes of JSON."""

    workspace_id: UUID
    id: UUID
    occurred: datetime
    event: str
    resource: str
    related: str
    payload: str
    follows: UUID | None
    size: int


def encode(event: Event, workspace_id: UUID, maximum_bytes: int) -> EncodedEvent | None:
    """The event as it will be stored. ``None``: it is larger than ``maximum_bytes`` and dropped."""
    resource, related, payload = _dumps(event.resource), _dumps(event.related), _dumps(event.payload)
    size = _FRAME_BYTES + len(event.event) + len(resource) + len(related) + len(payload)
    if size > maximum_bytes:
        log.warning(
            "event %s (%s) dropped: %d bytes, at most %d are allowed", event.event, event.id, size, maximum_bytes
        )
        return None
    return EncodedEvent(
        workspace_id,
        event.id,
        event.occurred,
        event.event.replace("\x00", ""),
        resource.decode(),
        related.decode(),
        payload.decode(),
        event.follows,
        size,
    )


def without_repeats(events: Iterable[EncodedEvent]) -> list[EncodedEvent]:
    """The first of each id."""
    first: dict[tuple[UUID, UUID], EncodedEvent] = {}
    for event in events:
        first.setdefault((event.workspace_id, event.id), event)
    return list(first.values())


async def append(db: Executor, events: Sequence[EncodedEvent]) -> None:
    """Append ``events`` (no id twice) in one statement; those whose id is in the log already are passed over.

    Ring the doorbell (``events``) after the commit. Raises asyncpg.DataError if one of them cannot be stored: then none
    was.
    """
    if not events:
        return
    workspace_ids, ids, occurred, names, resources, related, payloads, follows, _ = zip(*events, strict=True)
    await db.execute(
        APPEND_ENCODED_EVENTS.sql,
        *APPEND_ENCODED_EVENTS.bind(
            workspace_ids=workspace_ids,
            ids=ids,
            occurred=occurred,
            events=names,
            resources=resources,
            related=related,
            payloads=payloads,
            follows=follows,
        ),
    )


def _dumps(value: Any) -> bytes:
    try:
        encoded = orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits
        encoded = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    if b"\\u0000" in encoded:
        # Postgres stores no NUL; an event is worth more than its NULs.
        encoded = orjson.dumps(_without_nul(value))
    return encoded


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    return value
