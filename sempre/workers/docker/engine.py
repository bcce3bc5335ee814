"""The connection to a Docker engine."""

from __future__ import annotations

import os
from pathlib import Path

import aiodocker
import aiohttp

from sempre.workers.docker.errors import ContainerError

__all__ = ["connect"]

SOCKET = "unix:///var/run/docker.sock"


def connect() -> tuple[aiodocker.Docker, str]:
    """A client of the engine of DOCKER_HOST, of the Docker context, or of this machine, and its address. Must be called
    in the loop that uses it. Raises ContainerError if none is named rightly."""
    address = os.environ.get("DOCKER_HOST") or ""
    try:
        if not address and not os.environ.get("DOCKER_CONTEXT") and Path(SOCKET.removeprefix("unix://")).is_socket():
            address = SOCKET
        if address.startswith("unix://"):
            # Each run holds two connections for as long as it takes, so their number must have no limit.
            connector = aiohttp.UnixConnector(address.removeprefix("unix://"), limit=0)
            return aiodocker.Docker(url="unix://localhost", connector=connector), address
        if address.startswith(("tcp://", "http://")) and os.environ.get("DOCKER_TLS_VERIFY", "0") != "1":
            url = f"http://{address.partition('://')[2]}"
            return aiodocker.Docker(url=url, connector=aiohttp.TCPConnector(limit=0)), address
        docker = aiodocker.Docker(url=address or None)
    except (ValueError, AssertionError, OSError) as error:
        raise ContainerError(
            f"There is no Docker engine to run containers on{f': {error}' if str(error) else ''}. Start one, or set "
            "DOCKER_HOST to its address."
        ) from None
    return docker, address or docker.docker_host
