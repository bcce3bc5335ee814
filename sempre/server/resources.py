"""What every server process opens first: the database, at the schema this release expects."""

import asyncio
import logging

from sempre.db import migrate
from sempre.db.embedded import EmbeddedPostgres, start_embedded
from sempre.db.errors import is_transient
from sempre.db.pool import Database
from sempre.server.settings import Settings

__all__ = ["migrated", "open_database"]

log = logging.getLogger("sempre.server")

_RETRY_SECONDS = 1.0
# Elsewhere these mean that the schema is about to come; in a migration nothing else will bring what is missing.
_REVISION_IS_WRONG = frozenset({"0A000", "3F000", "42P01"})


async def open_database(settings: Settings) -> tuple[Database, EmbeddedPostgres | None]:
    """The pool of the configured database, or of the embedded one, which is started if need be."""
    configured = settings.database
    embedded = None
    dsn = configured.connection_url
    if dsn is None:
        embedded = await asyncio.to_thread(start_embedded, settings.home)
        dsn = embedded.dsn
    db = Database(
        dsn,
        size=configured.pool_size,
        statement_timeout=configured.statement_timeout_seconds,
        connect_timeout=configured.connect_timeout_seconds,
        acquire_timeout=configured.pool_timeout_seconds,
        statement_cache_size=configured.statement_cache_size,
        server_settings=configured.server_settings(),
        tls=configured.ssl_context(),
    )
    await db.open()
    return db, embedded


async def migrated(db: Database, settings: Settings) -> None:
    """Bring the schema up to date, waiting for the database as long as it takes."""
    if not settings.database.migrate_on_start:
        return
    options = settings.database.migration_options()
    while True:
        try:
            if not await migrate.is_current(db.dsn, options=options):
                await migrate.upgrade(db.dsn, options=options, tell=log.warning)
            return
        except Exception as error:
            if not _may_pass(error):
                raise
            log.warning("waiting for the database before migrating: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)


def _may_pass(error: BaseException) -> bool:
    """Whether the database is away rather than a revision wrong. The toolkit wraps what the driver raised."""
    cause = getattr(error, "orig", None) or error
    cause = cause.__cause__ or cause
    return is_transient(cause) and getattr(cause, "sqlstate", None) not in _REVISION_IS_WRONG
