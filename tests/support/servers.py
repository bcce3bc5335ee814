"""Servers under test: one process, an ensemble behind a proxy, and the reference server of the protocol."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tests.support.database import Database
from tests.support.net import LOOPBACK, answers, free_port
from tests.support.prefect_env import ROOT, base_environment, interpreter
from tests.support.processes import ManagedProcess
from tests.support.proxy import RoundRobinProxy

SEMPRE = (sys.executable, "-c", "from sempre.cli import main; main()")
START_TIMEOUT = 60.0


class Target(Protocol):
    """What conformance tests run against."""

    @property
    def api_url(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


def sempre_environment(home: Path, database: Database | None, extra: Mapping[str, str] | None) -> dict[str, str]:
    """The caller's environment without settings of either product; `database=None` means the embedded one."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SEMPRE_"))}
    own = {"SEMPRE_HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    if database:
        own["SEMPRE_SERVER_DATABASE_CONNECTION_URL"] = database.url
    return {**kept, **own, **(extra or {})}


def run_sempre(*args: str, home: Path, database: Database | None = None, timeout: float = 60.0) -> str:
    """Run `sempre ARGS` to its end; returns stdout. AssertionError with the output unless it exits with 0."""
    done = subprocess.run(
        [*SEMPRE, *args],
        env=sempre_environment(home, database, None),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"sempre {' '.join(args)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


class _Server:
    """A server process on a fixed port that can be stopped, killed and started again."""

    name = "server"

    def __init__(self, workdir: Path, *, port: int | None = None) -> None:
        self.workdir = workdir
        workdir.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self._process: ManagedProcess | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def api_url(self) -> str:
        return f"{self.url}/api"

    @property
    def process(self) -> ManagedProcess:
        assert self._process is not None, f"{self.name} was not started"
        return self._process

    def launch(self) -> ManagedProcess:
        raise NotImplementedError

    def ready(self) -> bool:
        return answers(f"{self.api_url}/ready")

    def start(self, timeout: float = START_TIMEOUT) -> None:
        """Start and wait until usable."""
        self._process = self.launch()
        self.wait_ready(timeout)

    def wait_ready(self, timeout: float = START_TIMEOUT) -> None:
        self.process.wait_for(self.ready, f"answers at {self.api_url}/ready", timeout)

    def stop(self) -> None:
        if self._process:
            self._process.terminate()

    def kill(self) -> None:
        """kill -9 of the server and its children."""
        self.process.kill()

    def restart(self, timeout: float = START_TIMEOUT) -> None:
        """Start again on the same port and state, after `stop` or `kill` (or stop now)."""
        self.stop()
        self.start(timeout)


class SempreServer(_Server):
    """`sempre server start`. Without a database it uses the embedded one under its home."""

    name = "sempre"

    def __init__(
        self,
        workdir: Path,
        *,
        database: Database | None = None,
        port: int | None = None,
        services: bool = True,
        env: Mapping[str, str] | None = None,
        name: str = "sempre",
    ) -> None:
        super().__init__(workdir, port=port)
        self.database = database
        self.services = services
        self.env = dict(env or {})
        self.name = name

    def launch(self) -> ManagedProcess:
        argv = [*SEMPRE, "server", "start", "--host", LOOPBACK, "--port", str(self.port)]
        if not self.services:
            argv.append("--no-services")
        env = sempre_environment(self.workdir / "home", self.database, self.env)
        return ManagedProcess.start(self.name, argv, log_dir=self.workdir, env=env, cwd=self.workdir)


class ServicesProcess:
    """`sempre server services start`: background services without an API."""

    def __init__(self, workdir: Path, database: Database, name: str, env: Mapping[str, str] | None = None) -> None:
        self.workdir = workdir
        self.database = database
        self.name = name
        self.env = dict(env or {})
        self.process: ManagedProcess | None = None

    def start(self) -> None:
        env = sempre_environment(self.workdir / "home", self.database, self.env)
        argv = [*SEMPRE, "server", "services", "start"]
        self.process = ManagedProcess.start(self.name, argv, log_dir=self.workdir, env=env, cwd=self.workdir)

    def stop(self) -> None:
        if self.process:
            self.process.terminate()

    def kill(self) -> None:
        if self.process:
            self.process.kill()


class Ensemble:
    """API servers without services, services processes and a proxy in front, all on one Postgres."""

    def __init__(
        self,
        workdir: Path,
        database: Database,
        *,
        servers: int = 2,
        services: int = 2,
        env: Mapping[str, str] | None = None,
    ) -> None:
        workdir.mkdir(parents=True, exist_ok=True)
        self.database = database
        self.servers = [
            SempreServer(workdir, database=database, services=False, env=env, name=f"api-{index}")
            for index in range(servers)
        ]
        self.services = [ServicesProcess(workdir, database, f"services-{index}", env) for index in range(services)]
        self.proxy = RoundRobinProxy([(LOOPBACK, server.port) for server in self.servers])

    @property
    def api_url(self) -> str:
        return f"{self.proxy.url}/api"

    def start(self) -> None:
        for server in self.servers:
            server.start()
        for services in self.services:
            services.start()
        self.proxy.start()

    def stop(self) -> None:
        self.proxy.stop()
        for services in self.services:
            services.stop()
        for server in self.servers:
            server.stop()


class ReferenceServer(_Server):
    """The reference server of the protocol from the black-box environment: proves the tests, and is the bench's peer.

    It is given Postgres, its own home and short service intervals only where the caller asks for them.
    """

    name = "reference"

    def __init__(
        self,
        workdir: Path,
        database: Database,
        *,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(workdir, port=port)
        self.database = database
        self.env = dict(env or {})

    def launch(self) -> ManagedProcess:
        home = self.workdir / "reference-home"
        home.mkdir(exist_ok=True)
        env = {
            **base_environment(home),
            "PREFECT_API_DATABASE_CONNECTION_URL": self.database.sqlalchemy_url,
            "PREFECT_SERVER_UI_ENABLED": "false",
            **self.env,
        }
        argv: list[str | Path] = [
            interpreter(),
            "-m",
            "prefect",
            "server",
            "start",
            "--host",
            LOOPBACK,
            "--port",
            str(self.port),
        ]
        return ManagedProcess.start(self.name, argv, log_dir=self.workdir, env=env, cwd=self.workdir)

    def start(self, timeout: float = 180.0) -> None:
        # Its first start runs all of its migrations.
        super().start(timeout)
