"""Whether the database has the schema this release needs, found out once and remembered, and what is said until then.

Where migrations are left to a job of their own (``migrate_on_start`` off), an empty database is built all the same, by
whoever comes first: an installer that waits for its servers before it runs that job would wait for ever. One that is
in use and too old is waited for: a server that must not migrate answers 503 until somebody has.
"""

import asyncio
import logging
import time
from typing import Any

from sempre.db import migrate
from sempre.db.errors import is_transient
from sempre.db.pool import Database
from sempre.server.settings import Settings
from sempre.server.settings.database import DatabaseSettings

__all__ = ["DATABASE_AWAY", "Schema", "WrongDatabase", "schema_of"]

log = logging.getLogger("sempre.server")

DATABASE_AWAY = "Database is not available"

_RETRY_SECONDS = 1.0
_LOOK_SECONDS = 15.0
# Elsewhere these mean that the schema is about to come; in a migration nothing else will bring what is missing.
_REVISION_IS_WRONG = frozenset({"0A000", "3F000", "42P01"})


class WrongDatabase(RuntimeError):
    """The database is another application's. The message says how that was seen."""


class Schema:
    """``problem`` says why nothing can be asked of the database yet; ``None`` from the moment that it can.

    ``planned``: what is waited for is a migration, which somebody runs on purpose.
    """

    def __init__(self) -> None:
        self.problem: str | None = DATABASE_AWAY
        self.planned = False
        self._stalled = asyncio.Event()
        self._began = time.monotonic()

    @property
    def unseen_seconds(self) -> float | None:
        """For how long the database has been looked for in vain; ``None``: it was found."""
        return time.monotonic() - self._began if self.problem == DATABASE_AWAY else None

    async def stalled(self) -> None:
        """Until it is clear that others must do something first: start the database, or migrate it."""
        await self._stalled.wait()

    async def prepare(self, db: Database, settings: Settings) -> None:
        """Bring the schema up to date or wait until somebody did, and for the database as long as it takes.

        Raises WrongDatabase, and what is wrong with a revision.
        """
        while True:
            try:
                if await self._prepared(db.dsn, settings.database):
                    break
            except Exception as error:
                if not _may_pass(error):
                    self._say(f"The database schema could not be built: {error}")
                    raise
                log.warning("waiting for the database to look at its schema: %s", error)
                self._say(DATABASE_AWAY)
            self._stalled.set()
            await asyncio.sleep(_RETRY_SECONDS)
        self.problem = None

    async def _prepared(self, dsn: str, settings: DatabaseSettings) -> bool:
        options = settings.migration_options()
        async with asyncio.timeout(_LOOK_SECONDS):
            found = await migrate.look(dsn, options=options)
        if found.is_enough:
            return True
        if found.is_foreign:
            raise WrongDatabase(
                f"This database belongs to another application: its schema is at {found.revision!r}, which is no "
                "revision of Sempre. Name a database of its own in SEMPRE_SERVER_DATABASE_CONNECTION_URL"
            )
        if settings.migrate_on_start or found.is_unbuilt:
            self._say("The database schema is being brought up to date", planned=True)
            await migrate.upgrade(dsn, options=options, tell=log.warning)
            return True
        problem = (
            f"The database schema is at {found.revision} and this release needs {migrate.head()}: "
            "run `sempre server database upgrade -y`"
        )
        if problem != self.problem:
            log.warning("%s", problem)
        self._say(problem, planned=True)
        return False

    def _say(self, problem: str, *, planned: bool = False) -> None:
        self.problem, self.planned = problem, planned


def schema_of(app_state: Any) -> Schema | None:
    """That of a served application; ``None`` for one whose database was prepared by others."""
    found: Schema | None = getattr(app_state, "schema", None)
    return found


def _may_pass(error: BaseException) -> bool:
    """Whether the database is away rather than a revision wrong. The toolkit wraps what the driver raised."""
    cause = getattr(error, "orig", None) or error
    cause = cause.__cause__ or cause
    return is_transient(cause) and getattr(cause, "sqlstate", None) not in _REVISION_IS_WRONG
