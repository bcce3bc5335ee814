"""Real Postgres servers on loopback ports that replicate: a primary, standbys that stream from it, and failover.

primary = Primary().start()
standby = Standby(primary, synchronous=True).start()   # from here on no acknowledged commit can be lost
database = both(primary, standby, primary.create())     # a Database whose URL names both hosts
primary.kill()
standby.promote()
again = Standby(standby, port=primary.port).start()     # the old host comes back as the new one's standby
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil  # type: ignore[import-untyped, unused-ignore]

from sempre.db.embedded import _programs
from tests.support.database import Database, Postgres, _unprivileged
from tests.support.net import LOOPBACK, free_port
from tests.support.processes import session_id
from tests.support.wait import eventually

__all__ = ["HostsDatabase", "Node", "Primary", "Standby", "both"]

_CONFIGURATION = {
    "listen_addresses": f"'{LOOPBACK}'",
    "fsync": "off",  # nobody pulls the plug: what a killed process wrote is in the system's cache
    "wal_level": "replica",
    "hot_standby": "on",
    "max_wal_senders": "10",
    "max_connections": "200",
    "wal_keep_size": "'256MB'",
    "wal_receiver_timeout": "'3s'",
    "wal_retrieve_retry_interval": "'200ms'",
    "max_standby_streaming_delay": "'1s'",
    "shared_buffers": "'64MB'",
    "io_method": "sync",
    "jit": "off",
    "logging_collector": "off",
}
START_SECONDS = 60.0


@dataclass(frozen=True)
class HostsDatabase(Database):
    """A database found by several hosts, of which the one that takes writes is used. ``url`` is what a server gets."""

    ports: tuple[int, ...] = ()
    attributes: str = "read-write"

    @property
    def url(self) -> str:
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in self.ports)
        return f"postgresql://postgres@{hosts}/{self.name}?target_session_attrs={self.attributes}"


def both(first: Node, second: Node, database: Database) -> HostsDatabase:
    """The database by two hosts, in this order: what a server that survives a failover is given."""
    return HostsDatabase(database.name, database.socket_dir, (first.port, second.port))


class Node(Postgres):
    """One Postgres server with a TCP port on loopback and data of its own. Use Primary or Standby.

    It can be stopped, killed and started again on the same port and data; ``remove`` ends it for good.
    """

    def __init__(self, *, port: int | None = None) -> None:
        session_id()
        self.port = port or free_port()
        # Not under pytest's tmp_path: unix socket paths are limited to about 100 characters.
        self.directory = Path(tempfile.mkdtemp(prefix="sempre-pg-"))
        self.data = self.directory / "data"
        self._templates: dict[str, Database] = {}
        self._user = _unprivileged()
        self._process: subprocess.Popen[bytes] | None = None
        self._family: list[psutil.Process] = []
        if self._user:
            shutil.chown(self.directory, self._user)
            _open_way(_programs())

    # -- addresses

    def database(self, name: str = "postgres") -> Database:
        """A database of this node by its one TCP address: killed with it, and refused where nothing listens."""
        return HostsDatabase(name, str(self.directory), (self.port,), "any")

    @property
    def pid(self) -> int:
        assert self._process is not None, "the node was not started"
        return self._process.pid

    def _admin(self, *statements: str) -> None:
        self.statement(*statements)

    def create(self, template: Database | None = None) -> Database:
        return self.database(super().create(template).name)

    # -- life

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(_programs() / program), *arguments],
            env=_environment(), user=self._user, cwd=self.directory, capture_output=True, text=True, check=False,
            timeout=START_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{program} ended with {done.returncode}: {done.stdout}{done.stderr}"

    def _configure(self, **more: str) -> None:
        """Settings that win over what is there, inherited from a primary for instance."""
        lines = [f"{name} = {value}\n" for name, value in {**_CONFIGURATION, **more, "port": str(self.port)}.items()]
        lines.append(f"unix_socket_directories = '{self.directory}'\n")
        with (self.data / "postgresql.auto.conf").open("a") as configuration:
            configuration.writelines(lines)
        with (self.data / "pg_hba.conf").open("w") as access:
            access.write("local all all trust\nhost all all 127.0.0.1/32 trust\n")
            access.write("local replication all trust\nhost replication all 127.0.0.1/32 trust\n")

    def _boot(self) -> None:
        """Start the server on the data that is there and wait until it takes connections."""
        # The pid file of a killed server names a process that is gone, or another one since.
        if not self.running():
            (self.data / "postmaster.pid").unlink(missing_ok=True)
        with (self.directory / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(_programs() / "postgres"), "-D", str(self.data)],
                env=_environment(), user=self._user, cwd=self.directory, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        eventually(self.accepts, f"Postgres takes connections at port {self.port}", START_SECONDS, 0.05, self._log)

    def _log(self) -> str:
        return "\n".join((self.directory / "postgres.log").read_text(errors="replace").splitlines()[-20:])

    def accepts(self) -> bool:
        """Whether it takes connections and answers now."""
        if not self.running():
            raise RuntimeError(f"Postgres at port {self.port} ended: {self._log()}")
        return self.answers("SELECT true")

    def answers(self, sql: str) -> bool:
        """Whether it answers the statement with something true within 2 s."""

        async def ask() -> bool:
            connection = await asyncpg.connect(self.database().url, timeout=2, command_timeout=2)
            try:
                return bool(await connection.fetchval(sql))
            finally:
                connection.terminate()

        try:
            return asyncio.run(ask())
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def restart(self) -> None:
        """Start again after ``stop`` or ``kill``, on the same data and port."""
        assert not self.running()
        self._boot()

    def stop(self) -> None:
        """Fast shutdown: sessions are ended (57P01), everything is written."""
        if self.running():
            assert self._process
            self.resume()
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """kill -9 of the whole server, as when its machine dies."""
        if self.running():
            assert self._process
            self._signal(psutil.Process.kill)
            self._process.wait(20)
            psutil.wait_procs(self._family, timeout=10)

    def pause(self) -> None:
        """SIGSTOP of the whole server: connections stay open and nobody answers."""
        self._signal(psutil.Process.suspend)

    def resume(self) -> None:
        for member in self._family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.resume()

    def _signal(self, act: Callable[[psutil.Process], None]) -> None:
        postmaster = psutil.Process(self.pid)
        with contextlib.suppress(psutil.NoSuchProcess):
            postmaster.suspend()  # first, so that no session begins behind our back
            self._family = [postmaster, *postmaster.children(recursive=True)]
        for member in self._family:
            with contextlib.suppress(psutil.NoSuchProcess):
                act(member)

    def remove(self) -> None:
        """End it and delete its data."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- replication

    def statement(self, *statements: str) -> None:
        """Run statements as the administrator, each for itself; not inside a running event loop."""
        for statement in statements:
            self.database().fetch(statement)

    def is_standby(self) -> bool:
        return bool(self.database().fetch("SELECT pg_is_in_recovery() AS it")[0]["it"])

    def synchronous(self, on: bool) -> None:
        """Whether commits wait until a standby has them. Without a standby they wait for ever."""
        self.statement(f"ALTER SYSTEM SET synchronous_standby_names = '{'*' if on else ''}'", "SELECT pg_reload_conf()")
        wanted = "*" if on else ""
        eventually(
            lambda: self.database().fetch("SHOW synchronous_standby_names")[0]["synchronous_standby_names"] == wanted,
            "the server has read its settings",
        )


class Primary(Node):
    """An empty server that takes writes."""

    def start(self) -> Primary:
        if not self.data.exists():
            self._run(
                "initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-sync", "--no-instructions",
            )  # fmt: skip
            self._configure()
        self._boot()
        return self


class Standby(Node):
    """A copy of ``primary`` (any running node that takes writes) that streams from it and answers reads.

    ``synchronous``: the primary acknowledges no commit that the standby does not have, so that none is lost at a
    failover. ``port`` may be that of a node that was killed, whose place it takes in a URL of several hosts.
    """

    def __init__(self, primary: Node, *, synchronous: bool = False, port: int | None = None) -> None:
        super().__init__(port=port)
        self.primary = primary
        self._synchronous = synchronous

    def start(self) -> Standby:
        """Copy the primary, start, and wait until it streams. About two seconds for a small database."""
        self._run(
            "pg_basebackup", "-D", str(self.data), "-h", LOOPBACK, "-p", str(self.primary.port), "-U", "postgres",
            "-X", "stream", "-c", "fast", "-R", "--no-sync",
        )  # fmt: skip
        name = f"standby_{self.port}"
        address = f"host={LOOPBACK} port={self.primary.port} user=postgres application_name={name}"
        self._configure(primary_conninfo=f"'{address}'", synchronous_standby_names="''")
        self._boot()
        eventually(self.streaming, "the standby streams", START_SECONDS, 0.05, self._log)
        if self._synchronous:
            self.primary.synchronous(True)
        return self

    def streaming(self) -> bool:
        """Whether the primary sends it what it writes now."""
        found = self.primary.database().fetch(
            "SELECT 1 FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'",
            f"standby_{self.port}",
        )
        return bool(found)

    def promote(self) -> None:
        """Make it take writes, and wait until it does. Kill the primary first: two of them are two truths."""
        self.statement("SELECT pg_promote(true, 60)")
        eventually(lambda: not self.is_standby(), "the standby is promoted", START_SECONDS, 0.02)

    def pause_replay(self) -> None:
        """It goes on receiving and answers reads as of now."""
        self.statement("SELECT pg_wal_replay_pause()")
        paused = "SELECT pg_get_wal_replay_pause_state() = 'paused' AS it"
        eventually(lambda: self.database().fetch(paused)[0]["it"], "replay is paused", 60, 0.02)

    def resume_replay(self) -> None:
        self.statement("SELECT pg_wal_replay_resume()")


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}


def _open_way(path: Path) -> None:
    """Let an unprivileged account reach the programs: search permission on the directories above them."""
    for directory in reversed([path, *path.parents]):
        mode = directory.stat().st_mode
        if not mode & 0o001:
            directory.chmod(mode | 0o001)
