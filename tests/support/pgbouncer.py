"""A real pgbouncer in transaction mode in front of one Postgres node."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.database import Database, _unprivileged
from tests.support.debian import binary
from tests.support.net import LOOPBACK, free_port
from tests.support.processes import session_id
from tests.support.standby import HostsDatabase, Node
from tests.support.wait import eventually

__all__ = ["Pgbouncer"]


class Pgbouncer:
    """``sessions``: connections to Postgres, shared by all clients, each for the length of a transaction.
    ``clients``: the most that may be connected. Raises debian.Unavailable where there is no such program."""

    def __init__(self, node: Node, *, sessions: int = 3, clients: int = 200) -> None:
        self._program = binary("pgbouncer")
        self.node = node
        self.port = free_port()
        self._options = {
            "listen_addr": LOOPBACK,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            "default_pool_size": sessions,
            "max_client_conn": clients,
            "server_connect_timeout": 2,
            "server_login_retry": 0.2,
            "query_wait_timeout": 5,
            "ignore_startup_parameters": "extra_float_digits,search_path",
        }
        self.directory = Path(tempfile.mkdtemp(prefix="sempre-bouncer-"))
        self._process: subprocess.Popen[bytes] | None = None

    def database(self, name: str) -> Database:
        """A database as clients of the pooler reach it."""
        return HostsDatabase(name, "", (self.port,), "any")

    def start(self) -> Pgbouncer:
        """Start, or start again after ``kill``."""
        session_id()
        target = f"* = host={LOOPBACK} port={self.node.port} user=postgres"
        options = "\n".join(f"{key} = {value}" for key, value in self._options.items())
        configuration = self.directory / "pgbouncer.ini"
        configuration.write_text(f"[databases]\n{target}\n[pgbouncer]\n{options}\n")
        user = _unprivileged()
        if user:
            shutil.chown(self.directory, user)
        with (self.directory / "pgbouncer.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program.command, str(configuration)],
                env={**_own_environment(), **self._program.environment},
                user=user, cwd=self.directory, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        eventually(self._answers, "pgbouncer takes connections", 60, 0.05, self._log)
        return self

    def _answers(self) -> bool:
        try:
            return bool(self.database("postgres").fetch("SELECT 1"))
        except OSError:
            return False

    def _log(self) -> str:
        return (self.directory / "pgbouncer.log").read_text(errors="replace")[-2000:]

    def kill(self) -> None:
        """kill -9: every client's connection is reset."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def _own_environment() -> dict[str, str]:

    return {key: value for key, value in os.environ.items() if not key.startswith("PG")}
