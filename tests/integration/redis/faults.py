"""What a Redis may do to the servers that use it: each fault with how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.redis_server import RedisServer
from tests.support.relay import Relay


@dataclass(frozen=True)
class Fault:
    """``relay`` stands between one of the servers and the Redis, the other speaks to it directly."""

    name: str
    begin: Callable[[RedisServer, Relay], object]
    end: Callable[[RedisServer, Relay], object] = lambda server, relay: None

    def __str__(self) -> str:
        return self.name


FAULTS = [
    Fault("killed", lambda server, _: server.kill(), lambda server, _: server.start()),
    Fault("hangs", lambda server, _: server.pause(), lambda server, _: server.resume()),
    Fault("restarted-empty", lambda server, _: server.restart_empty()),
    Fault("flushed", lambda server, _: server.flush()),
    Fault("read-only", lambda server, _: server.read_only(), lambda server, _: server.read_only(False)),
    Fault("full", lambda server, _: limit(server, 1), lambda server, _: limit(server, 0)),
    Fault("partition", lambda _, relay: relay.hold(), lambda _, relay: relay.let_go()),
    Fault("cut", lambda _, relay: relay.cut(), lambda _, relay: relay.mend()),
    Fault("connections-reset", lambda _, relay: relay.reset()),
]


def limit(server: RedisServer, most: int) -> None:
    """Of one byte: less than it takes to run, so that no write is accepted. Of none: no limit."""
    server.command("CONFIG", "SET", "maxmemory", most)
