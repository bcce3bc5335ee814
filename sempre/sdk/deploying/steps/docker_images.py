"""The steps `build_docker_image` and `push_docker_image`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sempre.sdk.deploying.docker_engine import DockerEngine
from sempre.sdk.deploying.images import DockerImage
from sempre.sdk.deploying.images import dockerfile as made_dockerfile
from sempre.sdk.deploying.secrets import in_clear

__all__ = ["build_docker_image", "push_docker_image"]


def build_docker_image(
    image_name: str,
    dockerfile: str = "Dockerfile",
    tag: str | None = None,
    additional_tags: Sequence[str] | None = None,
    ignore_cache: bool = False,
    persist_dockerfile: bool = False,
    dockerfile_output_path: str = "Dockerfile.generated",
    **build_kwargs: Any,
) -> dict[str, Any]:
    """Build an image; `dockerfile: auto` makes the file, which ``persist_dockerfile`` keeps. Further inputs are those
    of `DockerImage`. Output: ``image``, ``image_name``, ``tag``, ``image_id``, ``additional_tags``.

    ``ignore_cache`` changes nothing: steps of one `deploy` that are the same are run once, those of the next one again.
    Raises ConfigurationError, ImageError.
    """
    made = DockerImage(image_name, tag, dockerfile, **build_kwargs)
    if persist_dockerfile and dockerfile == "auto":
        Path(dockerfile_output_path).write_text(made_dockerfile(Path(build_kwargs.get("path", ".")).resolve()))
    made.build()
    if additional_tags:
        engine = DockerEngine()
        for each in additional_tags:
            engine.tag(made.reference, made.name, each)
    return {**_named(made.name, made.tag, additional_tags), "image_id": made.id}


def push_docker_image(
    image_name: str,
    tag: str | None = None,
    credentials: Mapping[str, Any] | None = None,
    additional_tags: Sequence[str] | None = None,
    ignore_cache: bool = False,
) -> dict[str, Any]:
    """Push an image under its tags (default: `latest`). Output as of `build_docker_image`, without ``image_id``.

    ``credentials``: `username`, `password` and perhaps `registry_url`, in clear or as a block; default: the login of
    docker's configuration. Raises ConfigurationError, ImageError.
    """
    engine = DockerEngine(sys.stdout)
    first = tag or "latest"
    for each in (first, *(additional_tags or ())):
        engine.push(image_name, each, in_clear(credentials))
    return _named(image_name, first, additional_tags)


def _named(name: str, tag: str, additional_tags: Sequence[str] | None) -> dict[str, Any]:
    return {
        "image": f"{name}:{tag}",
        "image_name": name,
        "tag": tag,
        "additional_tags": list(additional_tags or ()),
    }
