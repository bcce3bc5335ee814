"""Live streams: events and log lines as they happen, across any interruption."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sempre.client.bodies import Given, plain
from sempre.client.stream import OVERLAP, Events, Stream
from sempre.schemas.events import ReceivedEvent
from sempre.schemas.logs import Log
from sempre.settings import ClientSettings

__all__ = ["EventStream", "LogStream", "Stream"]


class EventStream(Events[ReceivedEvent]):
    """Events that match a filter: an `EventFilter`, or a mapping with its keys.

    `since` is the time of the first one wanted, by default a minute ago; the server tells of its last 15 minutes at
    most.
    """

    def __init__(
        self, filter: Given | None = None, *, since: datetime | None = None, settings: ClientSettings | None = None
    ) -> None:
        super().__init__(plain(filter) if filter is not None else {}, since=since, settings=settings)

    def _parse(self, item: dict[str, Any]) -> tuple[ReceivedEvent, datetime]:
        event = ReceivedEvent.model_validate(item)
        return event, event.occurred


class LogStream(Stream[Log]):
    """Log lines that match a filter: a `LogFilter`, or a mapping with its keys. Lines that are written from now on;
    nothing comes from a server whose stream of logs is switched off (SEMPRE_SERVER_LOGS_STREAM_OUT_ENABLED)."""

    _path = "/logs/out"
    _key = "log"

    def __init__(self, filter: Given | None = None, *, settings: ClientSettings | None = None) -> None:
        super().__init__(settings)
        self._wanted: Mapping[str, Any] = plain(filter) if filter is not None else {}

    def _filter(self, latest: datetime | None) -> dict[str, Any]:
        after = (latest or datetime.now(UTC)) - OVERLAP
        return {"timestamp": {"after_": after.isoformat()}, **self._wanted}

    def _parse(self, item: dict[str, Any]) -> tuple[Log, datetime]:
        line = Log.model_validate({"created": None, "updated": None, **item})
        return line, line.timestamp
