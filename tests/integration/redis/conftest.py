"""A Redis and a database of each test's own, and servers on both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.own_database import database
from tests.support.redis_server import RedisServer, redis_server
from tests.support.relay import Relay

__all__ = ["database", "redis_server", "relay"]


@pytest.fixture
def relay(redis_server: RedisServer) -> Iterator[Relay]:
    """The way to the Redis, which can be partitioned."""
    opened = Relay(redis_server.port).start()
    yield opened
    opened.stop()
