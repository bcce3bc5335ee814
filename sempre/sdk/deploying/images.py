"""Images of containers that hold a flow's code, built and pushed by the docker on this machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from sempre.sdk.errors import ConfigurationError, SempreException

__all__ = ["DockerImage", "ImageError", "docker_client", "push_image"]

_CODE = "/opt/sempre"  # where the code lies in images that are made without a Dockerfile


class ImageError(SempreException):
    """An image could not be built or pushed; the text is what docker said last."""


class DockerImage:
    """An image by its name, and how it is built.

    ``dockerfile``: the file to build by; `"auto"` makes one with the working directory and its `requirements.txt`.
    Without a ``tag``, in the name or apart, it gets the time as one. Further arguments go to docker's build.
    """

    def __init__(self, name: str, tag: str | None = None, dockerfile: str = "auto", **build_kwargs: Any) -> None:
        repository, own_tag = split_reference(name)
        if own_tag and tag:
            raise ConfigurationError(f"The image {name!r} has a tag already, so {tag!r} cannot be another.")
        self.name = _with_namespace(repository)
        self.tag = tag or own_tag or datetime.now(UTC).strftime("%Y-%m-%dt%H-%M-%S-%f")
        self.dockerfile = dockerfile
        self.build_kwargs = build_kwargs

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.tag}"

    @property
    def code_path(self) -> str | None:
        """Where the code is in an image without a Dockerfile of the user's; None if that file says."""
        return f"{_CODE}/{Path.cwd().name}" if self.dockerfile == "auto" else None

    def build(self) -> None:
        """Raises ConfigurationError without the docker library or the Dockerfile, ImageError."""
        client = docker_client()
        context = Path(self.build_kwargs.get("path", ".")).absolute()
        made = None
        if self.dockerfile == "auto":
            if (context / "Dockerfile").exists():
                raise ConfigurationError(
                    f"There is a Dockerfile in {context}. Say dockerfile='Dockerfile' to build by it."
                )
            made = context / f"Dockerfile.{uuid4().hex[:8]}"
            made.write_text(dockerfile(context, str(self.code_path)))
        elif not (context / self.dockerfile).exists():
            raise ConfigurationError(f"There is no {self.dockerfile} in {context}.")
        try:
            options = {**self.build_kwargs, "path": str(context), "dockerfile": made.name if made else self.dockerfile}
            _follow(client.api.build(tag=self.reference, decode=True, rm=True, **options), "built")
        finally:
            if made is not None:
                made.unlink(missing_ok=True)

    def push(self) -> None:
        """Raises ConfigurationError without the docker library, ImageError."""
        push_image(docker_client(), self.name, self.tag)

    def __repr__(self) -> str:
        return f"DockerImage({self.reference!r})"


def split_reference(reference: str) -> tuple[str, str | None]:
    """Repository and tag of an image; a port is none."""
    repository, colon, tag = reference.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (reference, None)


def _with_namespace(repository: str) -> str:
    from sempre.settings import get_current_settings

    namespace = get_current_settings().deployments.default_docker_build_namespace
    return f"{namespace.rstrip('/')}/{repository}" if namespace and "/" not in repository else repository


def dockerfile(context: Path, code_path: str) -> str:
    """A Dockerfile for the code in a directory, on the Python that runs here."""
    from sempre import __version__

    lines = [
        f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim",
        f"RUN pip install --no-cache-dir sempre=={__version__}",
    ]
    if (context / "requirements.txt").exists():
        lines += [
            f"COPY requirements.txt {code_path}/requirements.txt",
            f"RUN pip install --no-cache-dir -r {code_path}/requirements.txt",
        ]
    lines += [f"COPY . {code_path}/", f"WORKDIR {code_path}/", ""]
    return "\n".join(lines)


def docker_client() -> Any:
    """Docker's own client. Raises ConfigurationError if there is none, or no docker to talk to."""
    try:
        import docker
    except ImportError:
        raise ConfigurationError(
            "Images are built and pushed by the docker library, which is not installed: pip install docker. Or say "
            "build=False and push=False, for an image that is there already."
        ) from None
    try:
        return docker.from_env()
    except docker.errors.DockerException as error:
        raise ConfigurationError(f"There is no docker to build and push images with: {error}") from None


def push_image(client: Any, name: str, tag: str, credentials: Mapping[str, str] | None = None) -> None:
    login = {"auth_config": dict(credentials)} if credentials else {}
    _follow(client.api.push(name, tag=tag, stream=True, decode=True, **login), "pushed")


def _follow(events: Any, done: str) -> None:
    """Show what docker does. Raises ImageError."""
    for event in events:
        if event.get("error"):
            raise ImageError(f"The image was not {done}: {event['error'].strip()}")
        line = event.get("stream")
        if line and line.strip():
            print(line.rstrip(), flush=True)  # noqa: T201 (a build takes minutes, and says what it does)
