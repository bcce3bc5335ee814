"""Bring a database to a schema revision, with any number of processes trying at once.

One process takes a session advisory lock and works; the others wait for it and then find nothing left to do. The lock
is tried, not waited for inside the server: a blocked lock wait would hold a snapshot open, which concurrent index
builds wait for in turn.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

__all__ = ["current", "downgrade", "head", "is_current", "reset", "stamp", "upgrade"]

_LOCK_KEY = 5_773_269_180_401_001  # any constant: it names "the schema of this database"
_LOCK_RETRY_SECONDS = 0.2


def head() -> str:
    """The newest revision this version of Sempre knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


async def upgrade(dsn: str, revision: str = "head") -> None:
    """Upgrade to ``revision``. Safe to call from many processes at once, and on an up-to-date database."""
    await _locked(dsn, lambda config: command.upgrade(config, revision))


async def downgrade(dsn: str, revision: str = "-1") -> None:
    """Undo revisions down to ``revision`` (``-1`` = the last one, ``base`` = all)."""
    await _locked(dsn, lambda config: command.downgrade(config, revision))


async def reset(dsn: str) -> None:
    """Drop everything and build the newest schema again. All data is lost."""

    def rebuild(config: Config) -> None:
        command.downgrade(config, "base")
        command.upgrade(config, "head")

    await _locked(dsn, rebuild)


async def stamp(dsn: str, revision: str) -> None:
    """Record ``revision`` without running it."""
    await _locked(dsn, lambda config: command.stamp(config, revision))


async def current(dsn: str) -> str | None:
    """The revision the database is at, ``None`` for an empty one."""
    async with _connect(dsn) as connection:
        return await connection.run_sync(lambda c: MigrationContext.configure(c).get_current_revision())


async def is_current(dsn: str) -> bool:
    """Whether the database has the schema this version expects, or a newer one (expand/contract keeps us working)."""
    revision = await current(dsn)
    if revision is None:
        return False
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    return revision == head() or revision not in known


async def _locked(dsn: str, work: Callable[[Config], None]) -> None:
    async with _connect(dsn) as connection:
        while not (await connection.execute(text(f"SELECT pg_try_advisory_lock({_LOCK_KEY})"))).scalar_one():
            await connection.commit()
            await asyncio.sleep(_LOCK_RETRY_SECONDS)
        await connection.commit()

        def run(sync_connection: Connection) -> None:
            config = _config()
            config.attributes["connection"] = sync_connection
            work(config)

        await connection.run_sync(run)
        await connection.commit()
        # The lock is the session's and ends with it, a moment from now.


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


@asynccontextmanager
async def _connect(dsn: str) -> AsyncIterator[AsyncConnection]:
    async def connect() -> Any:
        import asyncpg  # the driver is loaded for the connection only; the CLI imports this module for its names

        return await asyncpg.connect(dsn, statement_cache_size=0, timeout=30)

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, poolclass=pool.NullPool, connect_args={}
    )
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()
