"""Bring a database to a schema revision, with any number of processes trying at once.

One process takes an advisory lock and works; the others wait for it and then find nothing left to do. The lock is
tried, not waited for inside the server: a blocked lock wait would hold a snapshot open, which concurrent index builds
wait for in turn.
"""

import asyncio
import io
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO, TypeAlias

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sempre.db.migrations import indexes
from sempre.db.migrations.indexes import Index

__all__ = [
    "Options",
    "Standing",
    "Tell",
    "current",
    "downgrade",
    "head",
    "is_current",
    "knows",
    "look",
    "rebuild",
    "reset",
    "sql_of",
    "stamp",
    "upgrade",
]

Tell: TypeAlias = Callable[[str], None]
"""Takes a sentence about what is going on, for whoever waits."""

Options: TypeAlias = Mapping[str, Any]
"""Keyword arguments of ``asyncpg.connect`` beyond the DSN: TLS, session settings, ``command_timeout``."""

_PLAIN: Options = MappingProxyType({})
_LOCK_KEY = 5_773_269_180_401_001  # any constant: it names "the schema of this database"
_LOCK_RETRY_SECONDS = 0.2
_CONNECT_SECONDS = 30.0
# There while a database is built for the first time: whoever finds it left behind may go on, also where migrations are
# otherwise left to a job of their own.
_UNFINISHED = "schema_under_construction"
# What tools of other applications name their revisions by default, and we never do.
_FOREIGN = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a database is: its ``revision`` (``None``: nothing was ever built), and whether it is still being built
    for the first time."""

    revision: str | None
    unfinished: bool = False

    @property
    def is_enough(self) -> bool:
        """Whether this release can work on it: the schema is the one we know as newest, or a newer one
        (expand/contract keeps us working there)."""
        if self.revision is None or self.is_foreign:
            return False
        return self.revision == head() or self.revision not in _known()

    @property
    def is_unbuilt(self) -> bool:
        """Whether nobody has used it yet."""
        return self.revision is None or (self.unfinished and not self.is_foreign)

    @property
    def is_foreign(self) -> bool:
        """Whether it is the database of another application."""
        return self.revision is not None and self.revision not in _known() and bool(_FOREIGN.fullmatch(self.revision))


def _quietly(sentence: str) -> None:
    """Nobody waits."""


@cache
def head() -> str:
    """The newest revision this version of Sempre knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


async def upgrade(dsn: str, revision: str = "head", *, options: Options = _PLAIN, tell: Tell = _quietly) -> None:
    """Upgrade to ``revision``. Safe to call from many processes at once, and on an up-to-date database."""

    def build(config: Config) -> None:
        connection = config.attributes["connection"]
        if MigrationContext.configure(connection).get_current_revision() is None:
            connection.execute(text(f"CREATE TABLE IF NOT EXISTS {_UNFINISHED} ()"))
        connection.commit()  # revisions begin and end transactions of their own
        command.upgrade(config, revision)
        connection.execute(text(f"DROP TABLE IF EXISTS {_UNFINISHED}"))
        connection.commit()

    await _locked(dsn, build, options, tell)


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
    return (await look(dsn, options=options)).revision


async def rebuild(
    dsn: str, wanted: Sequence[Index], *, drop: Sequence[str] = (), options: Options = _PLAIN, tell: Tell = _quietly
) -> None:
    """Build the indexes that are missing or invalid, and drop others by name; concurrently, as an upgrade does it."""

    def work(config: Config) -> None:
        connection = config.attributes["connection"]
        environment = EnvironmentContext(config, ScriptDirectory.from_config(config))
        options = {"transaction_per_migration": True}
        context = MigrationContext.configure(connection, opts=options, environment_context=environment)
        with context.begin_transaction(), Operations.context(context):
            indexes.drop(*drop)
            indexes.build(*wanted)

    await _locked(dsn, work, options, tell)


def knows(revision: str) -> bool:
    """Whether it is one of this release's revisions."""
    return revision in _known()


async def look(dsn: str, *, options: Options = _PLAIN) -> Standing:
    """Where the database is."""
    async with _engine(dsn, options) as engine, engine.connect() as connection:
        revision = await connection.run_sync(lambda c: MigrationContext.configure(c).get_current_revision())
        unfinished = (await connection.execute(text(f"SELECT to_regclass('{_UNFINISHED}') IS NOT NULL"))).scalar_one()
        return Standing(revision, bool(unfinished))


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
    """Whether the database has the schema this version expects, or a newer one."""
    return (await look(dsn, options=options)).is_enough


@cache
def _known() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


async def _locked(dsn: str, work: Callable[[Config], None], options: Options, tell: Tell) -> None:
    async with _engine(dsn, options) as engine, _alone(engine, tell), engine.connect() as connection:
        await connection.run_sync(_worker(work, tell, engine))
        await connection.commit()


def _worker(work: Callable[[Config], None], tell: Tell, engine: AsyncEngine) -> Callable[[Connection], None]:
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
        config.attributes["connect"] = engine.connect  # to watch a long step from beside it
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
