"""Images: whether to pull one, and pulling it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import aiodocker

from sempre.workers.docker.errors import ContainerError

__all__ = ["UNREACHABLE", "provide", "pull_policy"]

UNREACHABLE = 900  # the library's status of an engine that does not answer
POLICIES = ("IfNotPresent", "Always", "IfPossible", "Never")

log = logging.getLogger("sempre.workers.docker")


def pull_policy(said: str | None, image: str) -> str:
    """Where nothing is said, what may have changed is pulled: the tag latest, also where it is not written."""
    if said:
        for policy in POLICIES:
            if said.lower() == policy.lower():
                return policy
        raise ContainerError(f"The image_pull_policy {said!r} is none; write one of {', '.join(POLICIES)}.")
    name = image.rpartition("/")[2]
    return "Always" if "@" not in name and name.partition(":")[2] in ("", "latest") else "IfNotPresent"


async def provide(docker: aiodocker.Docker, image: str, policy: str, credentials: Mapping[str, Any] | None) -> None:
    """Pull the image if the policy says so. Raises ContainerError if it cannot be had, DockerError if the engine cannot
    be asked."""
    if policy == "Never" or (policy == "IfNotPresent" and await _is_there(docker, image)):
        return
    try:
        await _pull(docker, image, credentials)
    except aiodocker.DockerError as error:
        if policy == "IfPossible" and await _is_there(docker, image):
            log.warning("The image %s could not be pulled; the one that is here is used. %s", image, error.message)
            return
        if error.status >= UNREACHABLE:
            raise
        raise ContainerError(f"The image {image!r} could not be pulled: {error.message}") from None


async def _is_there(docker: aiodocker.Docker, image: str) -> bool:
    try:
        await docker.images.inspect(image)
    except aiodocker.DockerError as error:
        if error.status == 404:
            return False
        raise
    return True


async def _pull(docker: aiodocker.Docker, image: str, credentials: Mapping[str, Any] | None) -> None:
    if not credentials:
        await docker.images.pull(image)
    else:
        auth = {
            "username": str(credentials.get("username") or ""),
            "password": str(credentials.get("password") or ""),
        }
        # Where no registry is named it is this one; the library wants to see it.
        await docker.images.pull(image if "/" in image else f"docker.io/library/{image}", auth=auth)
    await docker.images.inspect(image)  # a connection that broke while pulling looks like an end
