"""What clients talk to: a balancer before all API servers, with a link to each of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.balancers import balancers
from tests.chaos.links import Network
from tests.chaos.members import Member
from tests.support.debian import Unavailable, binary
from tests.support.net import LOOPBACK, answers, free_port
from tests.support.prefect_env import ROOT
from tests.support.processes import ManagedProcess

ROUND_ROBIN = "round-robin"


def chosen() -> str:
    """`haproxy` with the file of deploy/, as SEMPRE_CHAOS_BALANCER says (also `nginx`, `round-robin`), or, where
    there is none, the round-robin proxy of tests/support: it balances each request of a connection, but has no health
    checks."""
    kind = os.environ.get("SEMPRE_CHAOS_BALANCER", "haproxy")
    try:
        if kind != ROUND_ROBIN:
            binary(kind)
    except Unavailable:
        return ROUND_ROBIN
    return kind


class Balancer:
    """Starts, dies and comes back on one port."""

    def __init__(self, workdir: Path, network: Network, apis: Sequence[Member]) -> None:
        self._workdir = workdir
        self.kind = chosen()
        self._ports = []
        for api in apis:
            api.http = network.link(f"balancer>{api.name}", api.port)
            self._ports.append(api.http.port)
        self._process: ManagedProcess | None = None
        self._nobody = balancers.NobodyThere()
        self._real: balancers.Balancer | None = None
        if self.kind != ROUND_ROBIN:
            # The files of deploy/ name three servers; what is too few is a server that is down for good.
            places = [*self._ports, self._nobody.port, self._nobody.port][:3]
            self._real = balancers.Balancer(self.kind, workdir, places)
        self.port = self._real.port if self._real else free_port()

    @property
    def api_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/api"

    def start(self) -> None:
        """Start it; with servers up it answers within a moment."""
        argv, env = self._command()
        self._process = ManagedProcess.start("balancer", argv, log_dir=self._workdir, env=env)

    def answers(self) -> bool:
        return answers(f"{self.api_url}/ready")

    def kill(self) -> None:
        assert self._process
        self._process.kill()

    def stop(self) -> None:
        if self._process:
            self._process.terminate(1)
        self._nobody.__exit__()

    def _command(self) -> tuple[list[str], dict[str, str]]:
        if self._real:
            return self._real.command(), self._real.environment()
        argv = [sys.executable, "-m", "tests.support.proxy", "--listen", str(self.port)]
        for port in self._ports:
            argv += ["--backend", f"{LOOPBACK}:{port}"]
        return argv, {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
