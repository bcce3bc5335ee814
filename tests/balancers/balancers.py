"""NGINX and HAProxy with the files of deploy/, of which only addresses and places to write are replaced."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.support import debian
from tests.support.net import LOOPBACK, free_port
from tests.support.prefect_env import ROOT
from tests.support.processes import ManagedProcess

DEPLOY = ROOT / "deploy"
KINDS = ("nginx", "haproxy")
WEBSOCKETS = (
    "/events/in",
    "/events/out",
    "/logs/out",
    "/task_runs/subscriptions/scheduled",
    "/work_pools/some-pool/workers/connect",
)


class NobodyThere(AbstractContextManager["NobodyThere"]):
    """A port of this machine that refuses connections, and that nobody else can get meanwhile."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind((LOOPBACK, 0))
        self.port: int = self._socket.getsockname()[1]

    def __exit__(self, *_: object) -> None:
        self._socket.close()


class Balancer:
    """One balancer on a free port before the servers on `ports`: three, as in the files."""

    def __init__(self, kind: str, workdir: Path, ports: Sequence[int]) -> None:
        assert len(ports) == 3
        self.kind = kind
        self.port = free_port()
        self.workdir = workdir / kind
        self.workdir.mkdir(parents=True, exist_ok=True)
        self._program = debian.binary(kind)
        addresses = {f"api-{number}:4200": f"{LOOPBACK}:{port}" for number, port in enumerate(ports, start=1)}
        self._replaced = {
            **addresses,
            "listen 4200;": f"listen {LOOPBACK}:{self.port};",
            "bind :4200": f"bind {LOOPBACK}:{self.port}",
            " /run/": f" {self.workdir}/",
        }
        self._process: ManagedProcess | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def api_url(self) -> str:
        return f"{self.url}/api"

    def command(self, *, replaced: dict[str, str] | None = None) -> list[str]:
        """Write the configuration, with further replacements, and say how to run the balancer with it."""
        for source in (DEPLOY / self.kind).iterdir():
            text = source.read_text()
            for old, new in {**self._replaced, **(replaced or {})}.items():
                text = text.replace(old, new)
            (self.workdir / source.name).write_text(text)
        if self.kind == "haproxy":
            return [self._program.command, "-f", str(self.workdir / "haproxy.cfg")]
        # Its workers would otherwise be another user, to whom the directory of a test is closed.
        user = "user root;" if os.geteuid() == 0 else ""
        return [self._program.command, "-c", str(self.workdir / "nginx.conf"), "-g", f"daemon off; {user}"]

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], **self._program.environment}

    def start(self, *, replaced: dict[str, str] | None = None) -> None:
        process = ManagedProcess.start(
            self.kind, self.command(replaced=replaced), log_dir=self.workdir, env=self.environment()
        )
        self._process = process
        process.wait_for(self._listens, f"listens on port {self.port}", 20)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0

    def log(self) -> str:
        return self._process.output() if self._process else ""

    def stop(self) -> None:
        if self._process:
            self._process.terminate(3)


def settings_of_servers() -> dict[str, Any]:
    """What the files ask of the servers' settings."""
    return {
        "SEMPRE_SERVER_API_KEEPALIVE_TIMEOUT_SECONDS": "75",
        "SEMPRE_SERVER_API_SHUTDOWN_DRAIN_SECONDS": "5",
        "SEMPRE_SERVER_API_FORWARDED_ALLOW_IPS": LOOPBACK,
    }


def available() -> str | None:
    """Why the balancers cannot be run here, if they cannot."""
    try:
        for kind in KINDS:
            debian.binary(kind)
    except debian.Unavailable as reason:
        return str(reason)
    return None if shutil.which("sh") else "no shell"
