"""Rooms and services in the test's own process, on a real database."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sempre.db.pool import Database
from sempre.server.feed.doorbell import Doorbell
from sempre.server.scope import Scope
from sempre.server.settings import load_settings
from tests.support import database as databases
from tests.support.wait import WaitTimeout


@asynccontextmanager
async def open_scope(database: databases.Database, env: Mapping[str, str] | None = None) -> AsyncIterator[Scope]:
    """A replica's view of ``database``: a pool of its own, settings from ``env``. Its doorbell rings in it only."""
    settings = load_settings(env={"SEMPRE_SERVER_DATABASE_CONNECTION_URL": database.url, **(env or {})})
    db = Database(database.url, size=8)
    await db.open()
    try:
        yield Scope(db, settings, Doorbell(db))
    finally:
        await db.close()


async def until(predicate: Callable[[], object], description: str, timeout: float = 60.0) -> Any:
    """Call ``predicate`` (a plain or an async function) until it gives something truthy, and return that.

    Raises WaitTimeout.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise WaitTimeout(f"not within {timeout:g} s: {description}; last: {value!r}")
        await asyncio.sleep(0.02)
