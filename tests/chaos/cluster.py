"""The Postgres side of the stage: a primary, a synchronous standby, and perhaps a pgbouncer."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from tests.chaos.links import Link, Network
from tests.support.database import Database, _unprivileged
from tests.support.debian import binary
from tests.support.net import LOOPBACK, free_port
from tests.support.processes import ManagedProcess
from tests.support.standby import HostsDatabase, Node, Primary, Standby
from tests.support.wait import eventually

NAME = "sempre"


class Cluster:
    """Two nodes on two ports that stay the same, whoever is primary. All methods block until their effect is there.

    Commits wait for the standby, so that a failover loses none.
    """

    def __init__(self, workdir: Path, network: Network, *, standby: bool = True, bouncer: bool = False) -> None:
        self._network = network
        self.primary: Node = Primary()
        self.standby: Standby | None = Standby(self.primary, synchronous=True) if standby else None
        self._ports = [node.port for node in (self.primary, self.standby) if node]
        self.bouncer = Bouncer(workdir, network, self.primary.port) if bouncer else None
        self.failovers = 0

    @property
    def database(self) -> Database:
        """At the present primary, over no link."""
        return self.primary.database(NAME)

    def start(self) -> None:
        assert isinstance(self.primary, Primary)
        self.primary.start()
        self.primary.statement(f'CREATE DATABASE "{NAME}"')
        if self.standby:
            self.standby.start()
        if self.bouncer:
            self.bouncer.start()
            eventually(self.bouncer.answers, "pgbouncer answers", 20)

    def stop(self) -> None:
        if self.bouncer:
            self.bouncer.stop()
        for node in (self.standby, self.primary):
            if node and node is self.primary and os.environ.get("SEMPRE_CHAOS_KEEP"):
                node.stop()
                print(f"[chaos] the database is kept: postgres -D {node.data}", flush=True)
            elif node:
                node.remove()

    def links_of(self, member: str, *, bounced: bool) -> list[Link]:
        """Links of one process to every node, or to pgbouncer."""
        if bounced and self.bouncer:
            return [self._network.link(f"{member}>pgbouncer", self.bouncer.port)]
        return [self._network.link(f"{member}>postgres-{place}", port) for place, port in enumerate(self._ports)]

    def environment(self, links: list[Link], *, bounced: bool) -> dict[str, str]:
        """What a process is told of its links."""
        ports = tuple(link.port for link in links)
        url = HostsDatabase(NAME, "", ports, "any" if bounced and self.bouncer else "read-write").url
        if bounced and self.bouncer:
            url += "&prepared_statement_cache_size=0"
        return {"SEMPRE_SERVER_DATABASE_CONNECTION_URL": url}

    def restart(self) -> None:
        """Start the primary again after `primary.kill()`; the standby comes back to it by itself."""
        self.primary.restart()

    def fail_over(self) -> None:
        """The primary's machine dies; the standby takes over. The cluster has no standby afterwards."""
        assert self.standby
        old, new = self.primary, self.standby
        old.remove()
        new.promote()
        self.primary, self.standby = new, None
        if self.bouncer:
            self.bouncer.follow(new.port)
        self.failovers += 1

    def rebuild_standby(self) -> None:
        """A new standby in the place of the machine that died."""
        assert self.standby is None
        (port,) = set(self._ports) - {self.primary.port}
        standby = Standby(self.primary, synchronous=True, port=port)
        self.standby = standby.start()

    def restart_standby(self) -> None:
        """Start the standby again after `standby.kill()`; commits wait for it again."""
        assert self.standby
        self.standby.restart()
        eventually(self.standby.streaming, "the standby streams", 60)
        self.primary.synchronous(True)

    def whole(self) -> bool:
        """Primary and standby are as they should be, and commits are safe on both."""
        return self.primary.running() and (len(self._ports) == 1 or bool(self.standby and self.standby.streaming()))


class Bouncer:
    """pgbouncer in transaction mode. A link behind it stands for the address that an operator moves at a failover."""

    def __init__(self, workdir: Path, network: Network, port: int) -> None:
        self._workdir = workdir
        self._behind = network.link("pgbouncer>postgres", port)
        self.port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="sempre-pgbouncer-"))
        self._process: ManagedProcess | None = None
        self.wanted = False

    def running(self) -> bool:
        return self._process is not None and self._process.running()

    def start(self) -> None:
        self.wanted = True
        program = binary("pgbouncer")
        users = self._directory / "users.txt"
        users.write_text('"postgres" ""\n')
        configuration = self._directory / "pgbouncer.ini"
        configuration.write_text(
            "[databases]\n"
            f"{NAME} = host={LOOPBACK} port={self._behind.port} dbname={NAME}\n"
            "[pgbouncer]\n"
            f"listen_addr = {LOOPBACK}\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\n"
            "pool_mode = transaction\nmax_client_conn = 400\ndefault_pool_size = 30\n"
            "server_connect_timeout = 3\nserver_login_retry = 1\n"
            "ignore_startup_parameters = extra_float_digits,search_path,options\n"
        )
        user = _unprivileged()
        if user:
            for path in (self._directory, users, configuration):
                shutil.chown(path, user)
        argv = [program.command, str(configuration)]
        if user:
            argv = [program.command, "-u", user, str(configuration)]
        env = {**os.environ, **program.environment}
        self._process = ManagedProcess.start("pgbouncer", argv, log_dir=self._workdir, env=env)

    def answers(self) -> bool:
        try:
            return bool(HostsDatabase(NAME, "", (self.port,), "any").fetch("SELECT 1 AS one"))
        except Exception:  # whatever the driver says of a server that is not there yet
            return False

    def follow(self, port: int) -> None:
        """Point it at another primary."""
        self._behind.aim(port)
        self._behind.cut()

    def kill(self) -> None:
        assert self._process
        self.wanted = False
        self._process.kill()

    def stop(self) -> None:
        if self._process:
            self._process.kill()
        shutil.rmtree(self._directory, ignore_errors=True)
