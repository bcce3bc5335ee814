"""Images of containers that hold a flow's code, built and pushed by the Docker engine that this machine uses."""

from __future__ import annotations

import os
import posixpath
import re
import sys
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from sempre.sdk.deploying.docker_engine import DockerEngine, ImageError
from sempre.sdk.errors import ConfigurationError

__all__ = ["DockerImage", "ImageError", "code_directory", "dockerfile", "split_reference"]

_CODE = "/opt/sempre"  # where the code lies in images that are made without a Dockerfile
_MADE = ".dockerfile.made"  # in contexts; always the same name, so that layers stay the same
_STANDARD_OUTPUT: Any = object()


class DockerImage:
    """An image by its name, and how it is built.

    ``dockerfile``: the file to build by, below the context; `"auto"` makes one with the context and its
    `requirements.txt`. Without a ``tag``, in the name or apart, it gets the time as one. ``stream_progress_to``: where
    progress is shown; None: nowhere; default: standard output. Further arguments go to `build` of docker's library:
    ``path`` (the context; default: the working directory), ``buildargs``, ``platform``, ``pull``, ``nocache``, ...

    Raises ConfigurationError.
    """

    def __init__(
        self,
        name: str,
        tag: str | None = None,
        dockerfile: str = "auto",
        stream_progress_to: TextIO | None = _STANDARD_OUTPUT,
        build_backend: str = "docker-py",
        **build_kwargs: Any,
    ) -> None:
        repository, own_tag = split_reference(name)
        if own_tag and tag:
            raise ConfigurationError(f"The image {name!r} has a tag already, so {tag!r} cannot be another.")
        if build_backend != "docker-py":
            raise ConfigurationError(
                f"Images are not built by {build_backend!r} here, but by the engine itself. Build it by "
                "`docker buildx build`, for instance in a run_shell_script step, and deploy it with build=False."
            )
        self.name = _with_namespace(repository)
        self.tag = tag or own_tag or datetime.now(UTC).strftime("%Y-%m-%dt%H-%M-%S-%f")
        self.dockerfile = dockerfile
        self.stream_progress_to = stream_progress_to
        self.build_kwargs = build_kwargs
        self.id: str | None = None
        """Once it was built."""

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.tag}"

    @property
    def code_path(self) -> str | None:
        """Where the working directory is in an image without a Dockerfile of the user's; None if that file says."""
        if self.dockerfile != "auto":
            return None
        context, here = self._context, Path.cwd()
        code = code_directory(context)
        if not (context.is_relative_to(here) or here.is_relative_to(context)):
            return code
        return posixpath.normpath(posixpath.join(code, Path(os.path.relpath(here, context)).as_posix()))

    @property
    def _context(self) -> Path:
        return Path(self.build_kwargs.get("path", ".")).resolve()

    def build(self) -> None:
        """Raises ConfigurationError without the docker library, an engine or the Dockerfile, ImageError."""
        if "@" in self.name:
            raise ConfigurationError(f"{self.reference} names an image by what is in it: deploy it with build=False.")
        made = self._made_dockerfile()
        engine = DockerEngine(self._progress_to())
        options = {**self.build_kwargs, "path": str(self._context), "dockerfile": self.dockerfile}
        if made is not None:
            options |= _packed(self._context, made, options.pop("gzip", False))
        self.id = engine.build(self.reference, options)

    def push(self) -> None:
        """Raises ConfigurationError without the docker library or an engine, ImageError."""
        DockerEngine(self._progress_to()).push(self.name, self.tag)

    def _progress_to(self) -> TextIO | None:
        return sys.stdout if self.stream_progress_to is _STANDARD_OUTPUT else self.stream_progress_to

    def _made_dockerfile(self) -> str | None:
        """The Dockerfile's text if it is not a file of the context."""
        context = self._context
        if self.dockerfile == "auto":
            if (context / "Dockerfile").exists():
                raise ConfigurationError(
                    f"There is a Dockerfile in {context}. Say dockerfile='Dockerfile' to build by it."
                )
            return dockerfile(context)
        file = context / self.dockerfile
        if not file.is_file():
            raise ConfigurationError(f"There is no {self.dockerfile} in {context}.")
        return None if file.resolve().is_relative_to(context) else file.read_text(encoding="utf-8")

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


def code_directory(context: Path) -> str:
    """Where the code of a directory lies in an image: under its name, without what Dockerfiles read otherwise.

    One below the working directory lies as far below that one's name: entrypoints are told from there. Raises
    ConfigurationError where Dockerfiles would read its path otherwise.
    """
    here = Path.cwd()
    top, below = (here, context.relative_to(here)) if context.is_relative_to(here) else (context, Path())
    if re.search(r"[^A-Za-z0-9._/-]", below.as_posix()):
        raise ConfigurationError(
            f"A Dockerfile cannot be made for {below}: its path has characters that mean something else there. Rename "
            "it, build from the working directory, or say dockerfile='...' to build by a file of your own."
        )
    return str(PurePosixPath(_CODE, re.sub(r"[^A-Za-z0-9._-]+", "-", top.name) or "code", below.as_posix()))


def dockerfile(context: Path) -> str:
    """A Dockerfile for the code in a directory, on the Python that runs here."""
    from sempre import __version__

    code = code_directory(context)
    lines = [
        f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim",
        f"RUN pip install --no-cache-dir sempre=={__version__}",
    ]
    if (context / "requirements.txt").exists():
        lines += [
            f"COPY requirements.txt {code}/requirements.txt",
            f"RUN pip install --no-cache-dir -r {code}/requirements.txt",
        ]
    lines += [f"COPY . {code}/", f"WORKDIR {code}/", ""]
    return "\n".join(lines)


def _packed(context: Path, made: str, gzip: bool) -> dict[str, Any]:
    """Options that build by a Dockerfile that is no file of the context, and does not become one of the image.

    The context is packed into a temporary file, and sent from there.
    """
    from docker.utils import tar

    ignore = context / ".dockerignore"
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.is_file() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    try:
        packed = tar(str(context), exclude=patterns, dockerfile=(_MADE, made), gzip=gzip)
    except OSError as error:
        raise ImageError(f"{context} cannot be packed: {error}. A .dockerignore says what to leave out.") from None
    return {"fileobj": packed, "custom_context": True, "path": None, "dockerfile": _MADE}
