"""Servers that stop, and what they are told apart by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import asyncpg
import pytest

from tests.integration.lifecycle.raw import RawSocket
from tests.support.database import Database
from tests.support.net import answers
from tests.support.servers import SempreServer
from tests.support.wait import eventually

Dial = Callable[[SempreServer], RawSocket]


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Connects to a server by TCP."""
    with ExitStack() as opened:
        yield lambda server: opened.enter_context(closing(RawSocket(server.port)))


def an_event(name: str, id: str) -> dict[str, Any]:
    return {
        "id": id,
        "occurred": "2026-11-21T00:00:00Z",
        "event": name,
        "resource": {"prefect.resource.id": f"{name}.source"},
    }


@contextmanager
def locked(database: Database, table: str) -> Iterator[None]:
    """Keep every writer of a table waiting."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(database.url))
        runner.run(connection.execute(f"BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE"))
        try:
            yield
        finally:
            runner.run(connection.close())


def somebody_waits(database: Database, table: str) -> bool:
    (row,) = database.fetch(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass) AS waits", table
    )
    return bool(row["waits"])


def wait_draining(server: SempreServer) -> None:
    eventually(lambda: not answers(f"{server.api_url}/ready"), "/ready tells of the stop", interval=0.02)
