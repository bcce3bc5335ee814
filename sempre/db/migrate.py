"""Bring a database to a schema revision, with any number of processes trying at once.

One process takes an advisory lock and works; the others wait for it and then find nothing left to do. The lock is
tried, not waited for inside the server: a blocked lock wait would hold a snapshot open, which concurrent index builds
wait for in turn.
"""

import asyncio
import io
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO, TypeAlias

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

__all__ = ["Tell", "current", "downgrade", "head", "is_current", "reset", "sql_of", "stamp", "upgrade"]

Tell: TypeAlias = Callable[[str], None]
"""Takes a sentence about what is going on, for whoever waits."""

Options: TypeAlias = Mapping[str, Any]
"""Keyword arguments of ``asyncpg.connect`` beyond the DSN: TLS, session settings, ``command_timeout``."""

_PLAIN: Options = MappingProxyType({})
_LOCK_KEY = 5_773_269_180_401_001  # any constant: it names "the schema of this database"
_LOCK_RETRY_SECONDS = 0.2
_CONNECT_SECONDS = 30.0


def _quietly(sentence: str) -> None:
    """Nobody waits."""


def head() -> str:
    """The newest revision this version of Sempre knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


async def upgrade(dsn: str, revision: str = "head", *, options: Options = _PLAIN, tell: Tell = _quietly) -> None:
    """Upgrade to ``revision``. Safe to call from many processes at once, and on an up-to-date database."""
    await _locked(dsn, lambda config: command.upgrade(config, revision), options, tell)


async def downgrade(dsn: str, revision: str = "-1", *, options: Options = _PLAIN, tell: Tell = _quietly) -> None:
    """Undo revisions down to ``revision`` (``-1`` = the last one, ``base`` = all)."""
    await _locked(dsn, lambda config: command.downgrade(config, revision), options, tell)


async def reset(dsn: str, *, options: Options = _PLAIN, tell: Tell = _quietly) -> None:
    """Drop everything and build the newest schema again. All data is lost."""

    def rebuild(config: Config) -> None:
        command.downgrade(config, "base")
        command.upgrade(config, "head")

    await _locked(dsn, rebuild, options, tell)


async def stamp(dsn: str, revision: str, *, options: Options = _PLAIN, tell: Tell = _quietly) -> None:
    """Record ``revision`` without running it."""
    await _locked(dsn, lambda config: command.stamp(config, revision), options, tell)


async def current(dsn: str, *, options: Options = _PLAIN) -> str | None:
    """The revision the database is at, ``None`` for an empty one."""
    async with _engine(dsn, options) as engine, engine.connect() as connection:
        return await connection.run_sync(lambda c: MigrationContext.configure(c).get_current_revision())


def sql_of(present: str | None, revision: str, *, back: bool = False) -> str:
    """What an upgrade (or, ``back``, a downgrade) from ``present`` to ``revision`` would execute. Touches nothing."""
    script = io.StringIO()
    config = _config(output_buffer=script)
    way = f"{present}:{revision}" if present else revision
    if back:
        command.downgrade(config, way, sql=True)
    else:
        command.upgrade(config, way, sql=True)
    return script.getvalue()


async def is_current(dsn: str, *, options: Options = _PLAIN) -> bool:
    """Whether the database has the schema this version expects, or a newer one (expand/contract keeps us working)."""
    revision = await current(dsn, options=options)
    if revision is None:
        return False
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    return revision == head() or revision not in known


async def _locked(dsn: str, work: Callable[[Config], None], options: Options, tell: Tell) -> None:
    async with _engine(dsn, options) as engine, _alone(engine, tell), engine.connect() as connection:
        await connection.run_sync(_worker(work, tell))
        await connection.commit()


def _worker(work: Callable[[Config], None], tell: Tell) -> Callable[[Connection], None]:
    def run(connection: Connection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        began = time.monotonic()

        def applied(step: Any, **_: Any) -> None:
            nonlocal began
            now = time.monotonic()
            verb = "Recorded" if step.is_stamp else "Applied" if step.is_upgrade else "Undid"
            tell(f"{verb} {step.up_revision_id} in {now - began:.1f} s: {step.up_revision.doc}")
            began = now

        config.attributes["applied"] = applied
        config.attributes["tell"] = tell
        work(config)

    return run


@asynccontextmanager
async def _alone(engine: AsyncEngine, tell: Tell) -> AsyncIterator[None]:
    """Hold the lock.

    It is that of a transaction kept open beside the work. A session's lock would outlive us behind a pooler in
    transaction mode, which keeps the session; and a transaction that only waits has no snapshot, so that it is in the
    way of no concurrent index build.
    """
    async with engine.connect() as connection:
        waiting = False
        while not (await connection.execute(text(f"SELECT pg_try_advisory_xact_lock({_LOCK_KEY})"))).scalar_one():
            await connection.rollback()
            if not waiting:
                tell("Another process is changing this schema; waiting for it to finish.")
                waiting = True
            await asyncio.sleep(_LOCK_RETRY_SECONDS)
        await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        yield
        await connection.rollback()


def _config(output_buffer: TextIO | None = None) -> Config:
    config = Config(output_buffer=output_buffer)
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


@asynccontextmanager
async def _engine(dsn: str, options: Options) -> AsyncIterator[AsyncEngine]:
    """Connections that a pooler in transaction mode can serve: nothing is cached, no name is used twice."""
    connect = {
        "timeout": _CONNECT_SECONDS,
        **options,
        "dsn": dsn,
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: f"sempre_{uuid.uuid4().hex}",
    }
    engine = create_async_engine("postgresql+asyncpg://", poolclass=pool.NullPool, connect_args=connect)
    try:
        yield engine
    finally:
        await engine.dispose()
