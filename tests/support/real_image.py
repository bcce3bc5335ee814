"""Our images, built by a real Docker engine, and containers of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import docker

from tests.support import base_image
from tests.support.prefect_env import ROOT
from tests.support.real_docker import RealDocker
from tests.support.wait import eventually

__all__ = ["Built", "built", "image_of", "ready", "told"]

_BUILD_SECONDS = 900
_STOP_SECONDS = 60


@dataclass
class Built:
    """Starts containers on the host's network, as the engine of the tests has no other, and ends them."""

    engine: RealDocker
    client: Any
    started: list[Any] = field(default_factory=list)

    def start(self, image: str, *command: str, **options: Any) -> Any:
        """A running container: one of the docker library's."""
        options = {"network_mode": "host", **options}
        container = self.client.containers.create(image, list(command) or None, **options)
        self.started.append(container)
        container.start()
        return container

    def run(self, image: str, *command: str, **options: Any) -> str:
        """What a command says that has to end with 0."""
        container = self.start(image, *command, **options)
        code = container.wait(timeout=_STOP_SECONDS)["StatusCode"]
        assert code == 0, f"{command} ended with {code}: {told(container)}"
        return told(container)

    def stop(self, container: Any) -> int:
        """As `docker stop -t 60` does; the exit code, 137 if that was not time enough."""
        container.stop(timeout=_STOP_SECONDS)
        container.reload()
        code: int = container.attrs["State"]["ExitCode"]
        return code

    def close(self) -> None:
        for container in self.client.containers.list(all=True):
            container.remove(force=True, v=True)
        self.client.close()


def told(container: Any) -> str:
    """Everything it has printed."""
    printed: bytes = container.logs()
    return printed.decode(errors="replace")


def ready(container: Any, look: Any, description: str, timeout: float = 120.0) -> None:
    """Wait until `look` holds; fails at once if the container ends before."""

    def holds() -> bool:
        container.reload()
        if container.status == "exited":
            raise RuntimeError(f"the container ended before: {description}\n{told(container)}")
        return bool(look())

    eventually(holds, description, timeout, detail=lambda: told(container))


def image_of(target: str) -> str:
    """The name and tag that an image gets here."""
    return f"sempre-{target}:tested"


@contextmanager
def built(engine: RealDocker) -> Iterator[Built]:
    """Both images, the worker's with the extra `docker`. Raises debian.Unavailable where nothing can stand in for their
    base, AssertionError with what the engine said where they cannot be built."""
    client = docker.DockerClient(engine.address, timeout=_BUILD_SECONDS)
    images = Built(engine, client)
    try:
        name, tag = base_image.name()
        path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
        client.api.import_image(str(base_image.archive()), repository=name, tag=tag, changes=[f"ENV {path}"])
        for target, extras in (("server", ""), ("worker", "docker")):
            _build(client, target, extras)
        yield images
    finally:
        images.close()


def _build(client: Any, target: str, extras: str) -> None:
    containerfile = str(base_image.CONTAINERFILE.relative_to(ROOT))
    try:
        client.images.build(
            path=str(ROOT), dockerfile=containerfile, target=target, tag=image_of(target), network_mode="host",
            buildargs={"EXTRAS": extras}, rm=True,
        )  # fmt: skip
    except docker.errors.BuildError as error:
        said = "".join(str(line.get("stream") or "") for line in error.build_log)
        raise AssertionError(f"{target} was not built: {error}\n{said[-5000:]}") from None
