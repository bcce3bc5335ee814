"""The steps `build_docker_image` and `push_docker_image`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sempre.sdk.deploying.images import DockerImage, docker_client, push_image

__all__ = ["build_docker_image", "push_docker_image"]


def build_docker_image(
    image_name: str,
    dockerfile: str = "Dockerfile",
    tag: str | None = None,
    additional_tags: Sequence[str] | None = None,
    **build_kwargs: Any,
) -> dict[str, Any]:
    """Build an image (`dockerfile: auto` makes the file). Output: ``image``, ``image_name``, ``tag``,
    ``additional_tags``. Raises ConfigurationError, ImageError."""
    made = DockerImage(image_name, tag, dockerfile, **build_kwargs)
    made.build()
    for each in additional_tags or ():
        docker_client().api.tag(made.reference, made.name, each)
    return {
        "image": made.reference,
        "image_name": made.name,
        "tag": made.tag,
        "additional_tags": list(additional_tags or ()),
    }


def push_docker_image(
    image_name: str,
    tag: str | None = None,
    credentials: Mapping[str, str] | None = None,
    additional_tags: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Push an image under its tags. Output as of `build_docker_image`. Raises ConfigurationError, ImageError."""
    client = docker_client()
    first = tag or "latest"
    for each in (first, *(additional_tags or ())):
        push_image(client, image_name, each, credentials)
    return {
        "image": f"{image_name}:{first}",
        "image_name": image_name,
        "tag": first,
        "additional_tags": list(additional_tags or ()),
    }
