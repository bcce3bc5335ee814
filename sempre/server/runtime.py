"""What an API process keeps running beside its requests: the event writer and the word that it is there, the note of
polls, the ends of the logs."""

from collections.abc import Callable

from sempre.server.deployments.readiness import Readiness
from sempre.server.events import stream as event_stream
from sempre.server.events.writer import EventWriter
from sempre.server.feed.shared_reading import SharedReading
from sempre.server.feed.stretches import Row
from sempre.server.feed.tail import Tail
from sempre.server.heartbeats.presence import Presence
from sempre.server.logs import stream as log_stream
from sempre.server.scope import Scope

__all__ = ["Runtime"]


class Runtime:
    """``events`` takes client events in; ``event_tail`` and ``log_tail`` feed the streaming websockets; ``readiness``
    notes what is polled, ``presence`` that events are taken in."""

    def __init__(self, scope: Scope) -> None:
        self.readiness = Readiness(scope)
        self.events = EventWriter(scope.db, scope.doorbell, scope.settings.services.event_persister)
        self.presence = Presence(scope, self.events)
        self.event_tail = _tail(scope, "event", "events", event_stream.encode_message)
        self.log_tail = _tail(scope, "log", "logs", log_stream.encode_message)

    async def start(self) -> None:
        self.events.start()
        self.presence.start()
        self.readiness.start()

    async def stop(self) -> None:
        """Write what was taken in, then end the feeds."""
        await self.presence.stop()
        await self.readiness.stop()
        await self.events.stop()
        await self.event_tail.stop()
        await self.log_tail.stop()


def _tail(scope: Scope, table: str, topic: str, encode: Callable[[Row], bytes]) -> Tail:
    link, installation = scope.redis.streams, scope.installation
    shared = SharedReading(link, installation, table) if link is not None and installation is not None else None
    return Tail(scope.db, scope.doorbell, table=table, topic=topic, encode=encode, shared=shared)
