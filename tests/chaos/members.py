"""The processes on the stage: API servers, services processes and stock workers."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]

from tests.chaos.links import Link
from tests.support.net import LOOPBACK, answers, free_port
from tests.support.prefect_env import PrefectClient
from tests.support.processes import ManagedProcess
from tests.support.servers import SEMPRE, sempre_environment

FLOWS = Path(__file__).parent / "flows"

GRACE_SECONDS = 30.0
"""What Kubernetes gives a process between SIGTERM and kill -9."""


@dataclass(eq=False)
class Member:
    """One process that can be struck. `env` counts from the next start on; `wanted`: it should be running now.

    `postgres` and `redis` are its links to them, `http` the balancer's link to it.
    """

    name: str
    role: str
    launch: Callable[[Member], ManagedProcess]
    env: dict[str, str] = field(default_factory=dict)
    port: int = 0
    wanted: bool = False
    process: ManagedProcess | None = None
    postgres: list[Link] = field(default_factory=list)
    redis: Link | None = None
    http: Link | None = None
    paused: bool = False

    def start(self) -> None:
        """Start it; does not wait until it is ready, for it may not be able to be."""
        self.wanted, self.paused = True, False
        self.process = self.launch(self)

    def running(self) -> bool:
        return self.process is not None and self.process.running()

    def ready(self) -> bool:
        """Running and, if it has a port, taking requests."""
        if not self.running():
            return False
        return not self.port or answers(f"http://{LOOPBACK}:{self.port}/api/ready")

    def kill(self) -> None:
        """kill -9 of it and of everything it started: the machine is gone."""
        self.wanted = False
        for victim in reversed(self._family()):
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        if self.process:
            self.process.kill()

    def stop(self, grace: float = GRACE_SECONDS) -> int | None:
        """SIGTERM, and kill -9 when the grace is over. Its exit code; None if it had to be killed or never ran."""
        self.wanted = False
        if self.process is None:
            return None
        self.resume()
        family = self._family()[1:]
        self.process.signal(signal.SIGTERM)
        try:
            return self.process.wait(grace)
        except AssertionError:
            return None
        finally:
            for left in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    left.kill()
            self.process.kill()

    def pause(self) -> None:
        """SIGSTOP of it and of everything it started: the machine hangs."""
        self.paused = True
        for victim in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.suspend()

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            for victim in self._family():
                with contextlib.suppress(psutil.NoSuchProcess):
                    victim.resume()

    def tail(self) -> str:
        return self.process.tail() if self.process else f"{self.name} was never started"

    def _family(self) -> list[psutil.Process]:
        if not self.running():
            return []
        assert self.process
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def api_member(workdir: Path, name: str, env: Mapping[str, str]) -> Member:
    """`sempre server start --no-services`."""
    port = free_port()
    command = ("server", "start", "--host", LOOPBACK, "--port", str(port), "--no-services")
    return Member(name, "api", _sempre(workdir, *command), dict(env), port)


def services_member(workdir: Path, name: str, env: Mapping[str, str]) -> Member:
    """`sempre server services start`, asked for its readiness at a port of its own."""
    port = free_port()
    environment = {**env, "SEMPRE_SERVER_SERVICES_HEALTH_PORT": str(port)}
    return Member(name, "services", _sempre(workdir, "server", "services", "start"), environment, port)


def _sempre(workdir: Path, *command: str) -> Callable[[Member], ManagedProcess]:
    def launch(member: Member) -> ManagedProcess:
        env = sempre_environment(workdir / member.name, None, member.env)
        return ManagedProcess.start(member.name, [*SEMPRE, *command], log_dir=workdir, env=env, cwd=workdir)

    return launch


def worker_member(workdir: Path, name: str, api_url: str, pool: str) -> Member:
    """The stock process worker, with a home of its own."""
    client = PrefectClient(api_url, workdir / name, FLOWS)

    def launch(member: Member) -> ManagedProcess:
        command = ("worker", "start", "--pool", pool, "--type", "process", "--name", name, "--limit", "6")
        return client.start_cli(*command, env=member.env)

    return Member(name, "worker", launch)
