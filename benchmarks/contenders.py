"""The servers that are compared: started once, each on a database of its own on the same Postgres, measured in turn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.database import Postgres
from tests.support.processes import ManagedProcess, tree_cpu_seconds
from tests.support.servers import ReferenceServer, SempreServer, run_sempre


@dataclass
class Usage:
    """What a measured section cost, in seconds; CPU is user and system of the process with its descendants."""

    wall: float = 0.0
    server_cpu: float = 0.0
    postgres_cpu: float = 0.0
    load_cpu: float = 0.0


class Contender:
    """A running server. While another one is measured it stands still, so that it costs nothing."""

    def __init__(self, name: str, server: SempreServer | ReferenceServer, postgres: Postgres) -> None:
        self.name = name
        self.server = server
        self.postgres = postgres

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def process(self) -> ManagedProcess:
        return self.server.process

    @contextmanager
    def awake(self) -> Iterator[None]:
        self.process.resume()
        self.server.wait_ready(60)
        try:
            yield
        finally:
            self.process.pause()

    @contextmanager
    def measured(self) -> Iterator[Usage]:
        """Fills the usage at the end of the block."""
        usage = Usage()
        server, database = self.process.cpu_seconds(), tree_cpu_seconds(self.postgres.pid)
        began, load = time.perf_counter(), time.process_time()
        yield usage
        usage.wall = time.perf_counter() - began
        usage.load_cpu = time.process_time() - load
        usage.server_cpu = self.process.cpu_seconds() - server
        usage.postgres_cpu = tree_cpu_seconds(self.postgres.pid) - database


def start(name: str, workdir: Path, postgres: Postgres) -> Contender:
    """Start `peer` or `sempre` on a fresh database with default settings; it stands still until it is awake."""
    database = postgres.create()
    server: SempreServer | ReferenceServer
    if name == "peer":
        server = ReferenceServer(workdir / name, database)
    else:
        run_sempre("server", "database", "upgrade", "-y", home=workdir / "home", database=database)
        server = SempreServer(workdir / name, database=database)
    server.start()
    server.process.pause()
    return Contender(name, server, postgres)
