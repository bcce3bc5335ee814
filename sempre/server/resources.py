"""What every server process opens first: the database, Redis, the doorbell."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sempre.db.embedded import EmbeddedPostgres, start_embedded
from sempre.db.pool import Database
from sempre.db.replica import Replica
from sempre.server.feed.doorbell import RINGS_KEPT, Doorbell
from sempre.server.recall import Recall
from sempre.server.redis.figures import ToldFigures
from sempre.server.redis.installation import Installation
from sempre.server.redis.roles import open_redis
from sempre.server.redis.stream import Stream
from sempre.server.scope import Scope
from sempre.server.settings import Settings
from sempre.server.settings.database import DatabaseSettings

__all__ = ["open_resources"]

_CLOSE_SECONDS = 2.0  # for statements that still run when everything else has ended


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Scope]:
    """A process's view of the installation. Nothing needs to be reachable yet; an embedded database is started."""
    db, embedded = await _open_database(settings)
    try:
        async with open_redis(settings) as redis:
            installation = Installation(db, settings.redis.key_prefix)
            if redis.cache is not None:
                db.share_figures(ToldFigures(redis.cache, installation))
            rings = Stream(redis.streams, installation, "doorbell", RINGS_KEPT) if redis.streams else None
            doorbell = Doorbell(db, rings)
            doorbell.start()
            try:
                recall = Recall(seconds=settings.events.related_resource_cache_ttl_seconds)
                yield Scope(db, settings, doorbell, recall=recall, redis=redis, installation=installation)
            finally:
                await doorbell.stop()
    finally:
        await db.close(_CLOSE_SECONDS)
        if embedded is not None:
            await asyncio.to_thread(embedded.release)


async def _open_database(settings: Settings) -> tuple[Database, EmbeddedPostgres | None]:
    """The pool of the configured database, or of the embedded one, which is started if need be."""
    configured = settings.database
    embedded = None
    dsn = configured.connection_url
    if dsn is None:
        embedded = await asyncio.to_thread(start_embedded, settings.home)
        dsn = embedded.dsn
    replica = None
    if configured.read_url is not None:
        replica = Replica(_pool(configured.read_url, configured), max_lag=configured.read_max_lag_seconds)
    db = _pool(dsn, configured, replica)
    await db.open()
    return db, embedded


def _pool(dsn: str, configured: DatabaseSettings, replica: Replica | None = None) -> Database:
    return Database(
        dsn,
        size=configured.pool_size + configured.pool_overflow,
        statement_timeout=configured.statement_timeout_seconds,
        connect_timeout=configured.connect_timeout_seconds,
        acquire_timeout=configured.pool_timeout_seconds,
        lifetime=configured.pool_recycle_seconds,
        statement_cache_size=configured.statement_cache_size,
        server_settings=configured.server_settings(),
        tls=configured.ssl_context(),
        replica=replica,
    )
