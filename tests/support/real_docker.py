"""A Docker engine and a registry as they are, from Debian's packages, for tests run by root: in folders of their own,
without touching the machine's network or its own engine."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support import debian
from tests.support.net import LOOPBACK, free_port
from tests.support.processes import ManagedProcess
from tests.support.wait import eventually

LOGIN = ("me", "hush")
_HTPASSWD = "me:$2b$05$abcdefghijklmnopqrstuulzd.YqjLDl8lvpSmVj3De/fioSBHnUa\n"
_REGISTRY = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http: {{addr: {address}}}
auth: {{htpasswd: {{realm: images, path: {folder}/htpasswd}}}}
"""
_PROGRAMS = {"dockerd": "docker.io", "containerd": "containerd", "runc": "runc", "docker-registry": "docker-registry"}
_START_SECONDS = 60


@dataclass
class RealDocker:
    """``registry`` is host and port; it takes the login :data:`LOGIN` only."""

    address: str
    registry: str

    def tags(self, repository: str) -> list[str]:
        """What the registry has."""
        answer = httpx.get(f"http://{self.registry}/v2/{repository}/tags/list", auth=LOGIN)
        return [] if answer.status_code == 404 else list(answer.raise_for_status().json()["tags"])


@contextmanager
def real_docker(storage: str = "vfs") -> Iterator[RealDocker]:
    """`storage` is the engine's storage driver; vfs works everywhere. Raises debian.Unavailable where it cannot be had
    or started."""
    if os.geteuid() != 0:
        raise debian.Unavailable("A Docker engine is started by root only.")
    programs = {name: debian.binary(name, package=package) for name, package in _PROGRAMS.items()}
    folders = dict.fromkeys(str(program.path.parent) for program in programs.values())
    environment = {**os.environ, "PATH": os.pathsep.join([*folders, os.environ["PATH"]])}
    for program in programs.values():
        environment |= program.environment
    with tempfile.TemporaryDirectory(prefix="docker-", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        docker = RealDocker(f"unix://{folder}/d.sock", f"{LOOPBACK}:{port}")
        (folder / "htpasswd").write_text(_HTPASSWD)
        (folder / "registry.yml").write_text(_REGISTRY.format(folder=folder, address=docker.registry))
        engine = [
            programs["dockerd"].command, "--host", docker.address, "--data-root", f"{folder}/data", "--exec-root",
            f"{folder}/run", "--pidfile", f"{folder}/pid", "--bridge=none", "--iptables=false", "--ip6tables=false",
            f"--storage-driver={storage}",
        ]  # fmt: skip
        registry = [programs["docker-registry"].command, "serve", f"{folder}/registry.yml"]
        started = [
            ManagedProcess.start(name, command, log_dir=folder, env=environment)
            for name, command in (("engine", engine), ("registry", registry))
        ]
        try:
            eventually(lambda: _answer(docker) or _ended(started), "engine and registry answer", _START_SECONDS)
            if _ended(started):
                raise debian.Unavailable(f"No Docker engine can be started here: {started[0].tail(5)}")
            yield docker
        finally:
            for process in started:
                process.terminate(20)
            _unmount(folder)


def _unmount(folder: Path) -> None:
    """What engines leave mounted when they end: the network of containers that had the host's."""
    mounted = [Path(line.split()[1]) for line in Path("/proc/mounts").read_text().splitlines()]
    for path in sorted((path for path in mounted if path.is_relative_to(folder)), reverse=True):
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _answer(docker: RealDocker) -> bool:
    socket = docker.address.removeprefix("unix://")
    if not Path(socket).is_socket():
        return False
    try:
        httpx.get(f"http://{docker.registry}/v2/")
        with httpx.Client(transport=httpx.HTTPTransport(uds=socket)) as engine:
            return engine.get("http://engine/_ping").status_code == 200
    except httpx.TransportError:
        return False


def _ended(processes: list[ManagedProcess]) -> bool:
    return any(process.popen.poll() is not None for process in processes)
